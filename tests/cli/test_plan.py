import json

import pytest

from tests.bandwidth.test_report import CASES
from tests.cli.conftest import Run
from tests.documents import ROOT, read_section

JSON = ROOT / "docs/reference/json.md"


@pytest.mark.parametrize("arguments", CASES)
def test_text_is_on_stdout_without_a_hub(run: Run, arguments: str) -> None:
    done = run("plan", *arguments.split())
    assert (done.code, done.err) == (0, "")
    lines = CASES[arguments].as_text().splitlines()
    assert [line for line in done.out.splitlines() if " CPU " not in line] == [
        line for line in lines if " CPU " not in line
    ]


@pytest.mark.parametrize("uplink", [(), ("--uplink", "40M")], ids=repr)
def test_json_has_the_keys_of_the_reference(run: Run, uplink: tuple[str, ...]) -> None:
    [shown] = [token.content for token in read_section(JSON, "lkhub plan --json") if token.info == "json"]
    made = run("plan", "--voice", "8", "--video", "4", "--rooms", "5", *uplink, "--json").json
    example = json.loads(shown)
    assert list(made) == list(example)
    assert [list(row) for row in made["sent"]] == [list(row) for row in example["sent"]]
    if uplink:
        made["cpu"]["cores"] = example["cpu"]["cores"]
        assert made == example


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("--rooms", "5"),
        ("--voice", "0", "--video", "0"),
        ("--voice", "-1"),
        ("--voice", "2", "--rooms", "0"),
        ("--voice", "two"),
        ("--voice", "2", "--uplink", "40"),
        ("--voice", "2", "--uplink", "5MB/s"),
        ("--video", "2", "--resolution", "8k"),
        ("--voice", "1000001"),
    ],
    ids=" ".join,
)
def test_wrong_question_has_no_answer(run: Run, arguments: tuple[str, ...]) -> None:
    done = run("plan", *arguments)
    assert (done.code, done.out) == (2, "")
    assert "bug" not in done.err


def test_help_says_what_the_numbers_count(run: Run) -> None:
    assert run("plan", "--help").out.count("in EACH room") == 2
