"""livekit.yaml, judged by livekit-server's own parser. Each file in `livekit` has its text beside it;
`REWRITE_GOLDEN=1 pytest tests/inspect` writes the texts, and the difference is to be read.
"""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lkhub.findings.finding import Finding
from lkhub.host.engine import bundled_engine, check_config
from lkhub.inspect.given import GivenFile
from lkhub.inspect.judge.livekit_yaml import judge_livekit_yaml
from lkhub.inspect.livekit_keys import SINCE, UNTIL
from lkhub.render.yaml_text import dump_yaml
from lkhub.source.path import dotted
from lkhub.source.yaml import parse_document
from lkhub.wire.engine import ConfigMessage
from tests.inspect.conftest import judge, show

CASES = sorted((Path(__file__).parent / "livekit").glob("*.yaml"))


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_text_is_the_golden_one(path: Path) -> None:
    expected, text = path.with_suffix(".txt"), show(judge(path))
    if os.environ.get("REWRITE_GOLDEN"):
        expected.write_text(text)
    assert text == expected.read_text()


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_no_secret_is_shown(path: Path) -> None:
    text = show(judge(path))
    assert "CANARY" not in text
    assert "0123456789abcdef" not in text


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_edits_remove_what_they_are_for(path: Path) -> None:
    """An edit is the whole of a fix: what it is for is gone after it, and nothing else comes."""
    before = judge(path)
    text = path.read_text().splitlines()
    for finding in before.findings:
        for edit in (fix.edit for fix in finding.fix if fix.edit):
            changed = list(text)
            assert edit.line
            name = edit.key.rpartition(".")[2]
            line = changed[edit.line - 1]
            begin = line.index(name)
            end = _find_end(line, begin)
            new = "" if edit.value is None else f"{name}: {edit.value}"
            changed[edit.line - 1] = line[:begin] + new + line[end:]
            after = judge_text(path.name, "\n".join(changed) + "\n")
            assert finding.ref not in {each.ref for each in after}
            assert {each.ref for each in after} <= {each.ref for each in before.findings}


def _find_end(line: str, begin: int) -> int:
    """Where a key's value ends that begins on this line: in flow style at the brace that closes what is around it."""
    depth = 0
    for at, character in enumerate(line[begin:], begin):
        depth += (character in "{[") - (character in "}]")
        if depth < 0 or (depth == 0 and character == ","):
            return at
    return len(line)


def judge_text(name: str, text: str) -> tuple[Finding, ...]:
    found = judge_livekit_yaml(
        GivenFile(name, text), parse_document(text.encode(), "x"), check_config(bundled_engine(), text)
    )
    return found.findings


def find_unknown(keys: Iterable[str]) -> set[str]:
    """Those of these dotted keys that the parser does not know."""
    tree: dict[str, Any] = {}
    for key in keys:
        *above, last = key.split(".")
        place = tree
        for step in above:
            place = place.setdefault(step, {})
        place.setdefault(last, {})
    text = dump_yaml(tree)
    document = parse_document(text.encode(), "x")
    lines = {message.line for message in check_config(bundled_engine(), text) if message.code == "unknown-key"}
    return {dotted(path) for path, line in document.lines.items() if line in lines}


def test_each_key_that_is_known_is_known_to_the_parser() -> None:
    """By the version that the engine carries: a key of a later one is unknown to it."""
    assert find_unknown(key for key, version in SINCE.items() if version != "1.13.6") == set()


def test_each_key_that_is_gone_is_unknown_to_the_parser() -> None:
    assert find_unknown(UNTIL) == set(UNTIL)


@given(
    st.text(max_size=300),
    st.lists(st.tuples(st.sampled_from(["syntax", "unknown-key", "weak-key", "new"]), st.integers(1, 40))),
)
def test_any_text_and_any_message_is_judged(text: str, told: list[tuple[str, int]]) -> None:
    count = len(text.splitlines())
    messages = tuple(ConfigMessage(code, line if line <= count else None, "wrong") for code, line in told)
    file = GivenFile("livekit.yaml", text)
    judged = judge_livekit_yaml(file, parse_document(text.encode("utf-8", "replace"), file.path), messages)
    assert judged.verdict in ("ok", "will-not-start", "not-judged")
    assert judged.verdict == "ok" or judged.findings
