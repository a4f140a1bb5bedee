"""What the engine is asked and answers about the router. Its own message_test.go reads the same examples."""

import json
from pathlib import Path
from typing import Any

import pytest

from lkhub.source.typed import pack
from lkhub.wire.failure import Failure, FailureAnswer
from lkhub.wire.message import dump_message
from lkhub.wire.portmap import Answer, Port, Protocol, Record, RecordedPort, Request, parse_answer

GOLDEN: dict[str, Any] = json.loads((Path(__file__).parents[1] / "golden/wire/portmap.json").read_text())

MEDIA: tuple[Protocol, int, str] = ("udp", 7882, "lkhub media.udp")
WEB: tuple[Protocol, int, str] = ("tcp", 443, "lkhub tls.listen")
NONCE = "000102030405060708090a0b"
PORTS = (RecordedPort(*MEDIA, own=True), RecordedPort(*WEB, own=False))
UPLINK = ("192.168.1.1", "192.168.1.5")

REQUESTS = {
    "map": Request("map", 43200, (Port(*MEDIA), Port(*WEB)), None),
    "renew": Request("renew", 43200, (), Record(*UPLINK, "pcp", NONCE, PORTS)),
    "unmap": Request("unmap", 0, (), Record(*UPLINK, "upnp", "", PORTS[:1])),
}


def test_requests_are_those_that_the_engine_tests() -> None:
    assert {name: json.loads(dump_message(request)) for name, request in REQUESTS.items()} == GOLDEN["requests"]


@pytest.mark.parametrize("name", GOLDEN["answers"])
def test_answers_are_those_that_the_engine_tests(name: str) -> None:
    told = GOLDEN["answers"][name]
    answer = parse_answer(json.dumps(told))
    assert isinstance(answer, Answer)
    assert (answer.means, answer.error.code if answer.error else None) == (
        told["means"],
        told.get("error", {}).get("code"),
    )
    assert [pack(row) for row in answer.mappings] == told["mappings"]
    assert [pack(row) for row in answer.tried] == told["tried"]


def test_engine_of_a_later_version_may_say_more() -> None:
    told = {**GOLDEN["answers"]["granted"], "more": 1}
    told["mappings"] = [{**row, "more": 1} for row in told["mappings"]]
    assert parse_answer(json.dumps(told)) == parse_answer(json.dumps(GOLDEN["answers"]["granted"]))


def test_request_that_the_engine_does_not_take_has_an_error_alone() -> None:
    answer = parse_answer('{"error": {"code": "usage", "message": "version is 2"}}')
    assert answer == FailureAnswer(Failure("version is 2", code="usage"))


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"error": {}}', '{"version": 1, "mappings": [{}]}', "7"])
def test_malformed_answer_is_reported(text: str) -> None:
    with pytest.raises(ValueError):
        parse_answer(text)
