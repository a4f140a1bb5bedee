"""The version of messages."""

import json
from dataclasses import dataclass

import pytest

from lkhub.wire.failure import Failure, parse_answer
from lkhub.wire.message import VERSION, OtherVersionError, dump_message, parse_message, unpack_message


@dataclass(frozen=True)
class Sample:
    text: str


def test_message_without_a_version_is_of_this_one() -> None:
    assert parse_message(Sample, '{"text": "a"}') == parse_message(Sample, dump_message(Sample("a"))) == Sample("a")


@pytest.mark.parametrize("version", [VERSION - 1, VERSION + 1, "1", None])
def test_message_of_another_version_is_not_read(version: object) -> None:
    message = {"text": "a", "version": version}
    with pytest.raises(OtherVersionError, match=f"of version {version!r}, and this lkhub knows version {VERSION}"):
        parse_message(Sample, json.dumps(message))
    with pytest.raises(OtherVersionError):
        unpack_message(Sample, message)
    with pytest.raises(OtherVersionError):
        parse_answer(Sample, json.dumps({"error": {"message": "x"}, "version": version}))


def test_one_shot_answers_or_fails() -> None:
    assert parse_answer(Sample, '{"version": 1, "text": "a"}') == Sample("a")
    assert parse_answer(Sample, '{"version": 1, "error": {"code": "x", "message": "no"}}') == Failure("no", code="x")
    for nonsense in ("", "[]", "{}", '{"error": 1}', '{"text": 1}'):
        with pytest.raises(ValueError):
            parse_answer(Sample, nonsense)
