"""Messages as they are on the wire: what Python and the engine agree on, which engine/wire_test.go reads, too.

A change of one side alone fails here or there. Keys that a message may lack are missing where Go leaves them out.
"""

import json
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

from lkhub.wire.engine import (
    ConfigAnswer,
    DrainRequest,
    EdgeStatus,
    MediaStatus,
    ProbeRequest,
    ProbeResult,
    RelayStatus,
    ResumeAnswer,
    StunAnswer,
)
from lkhub.wire.failure import FailureAnswer
from lkhub.wire.message import VERSION, dump_message, parse_message

FOLDER = Path(__file__).parent.parent / "golden/wire"

KINDS: dict[str, type[Any]] = {
    "config-answer": ConfigAnswer,
    "drain-request": DrainRequest,
    "edge-status": EdgeStatus,
    "failure": FailureAnswer,
    "media-status": MediaStatus,
    "probe-failure": ProbeResult,
    "probe-request": ProbeRequest,
    "probe-result": ProbeResult,
    "relay-status": RelayStatus,
    "resume-answer": ResumeAnswer,
    "stun-answer": StunAnswer,
}


def test_every_message_has_a_class() -> None:
    assert {path.stem for path in FOLDER.iterdir()} == {*KINDS, "portmap", "resume-request"}, "these have their own"


@pytest.mark.parametrize("name", KINDS)
def test_message_is_read_and_written_as_it_is(name: str) -> None:
    text = (FOLDER / f"{name}.json").read_text()
    message = parse_message(KINDS[name], text)
    written = json.loads(dump_message(message))
    assert written["version"] == VERSION
    assert list_differences(json.loads(text), written) == []
    assert parse_message(KINDS[name], json.dumps(written)) == message


def list_differences(golden: Any, written: Any, where: str = "") -> list[str]:
    """What Python writes besides must be a default: an empty value."""
    if isinstance(golden, dict) and isinstance(written, dict):
        below = [list_differences(golden[key], written.get(key), f"{where}.{key}") for key in golden]
        more = [f"{where}.{key}" for key, value in written.items() if key not in golden and not is_default(key, value)]
        return [*chain.from_iterable(below), *more]
    if isinstance(golden, list) and isinstance(written, list) and len(golden) == len(written):
        pairs = enumerate(zip(golden, written, strict=True))
        return [difference for number, pair in pairs for difference in list_differences(*pair, f"{where}.{number}")]
    return [] if golden == written else [where]


def is_default(key: str, value: Any) -> bool:
    return not value or key in ("exit_code", "version")


@pytest.mark.parametrize("name", KINDS)
def test_golden_message_has_every_key(name: str) -> None:
    """So that the other side is asked for each of them."""
    keys = set(json.loads((FOLDER / f"{name}.json").read_text()))
    known = set(KINDS[name].__struct_fields__)
    assert known - keys <= {"lkhub", "unproven"}
    assert keys - known == {"version"}
