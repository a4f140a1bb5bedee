import json
from dataclasses import replace
from typing import Any, get_type_hints

import jwt
import pytest

from lkhub.checks.called import FOREIGN
from lkhub.checks.calls import check_paths
from lkhub.checks.paths import (
    PROBE_TIMEOUT_MS,
    TOKEN_SECONDS,
    Overrides,
    PathResult,
    build_request,
    looks_swapped,
    open_rooms,
    read_result,
)
from lkhub.livekit.tokens import PROBE_ROOM_PREFIX
from lkhub.secret import Secret
from lkhub.wire.engine import ProbeResult
from lkhub.wire.message import VERSION, dump_message, parse_message

SECRET = Secret("XYZ" * 15)

ROW: dict[str, Any] = {
    "path": "udp",
    "ok": True,
    "stage": "media",
    "detail": "",
    "connect_ms": 12.3,
    "rtt_ms": 0.4,
    "loss": 0.0,
    "local": "udp host 127.0.0.1:51234",
    "remote": "udp host 127.0.0.1:7882",
    "relay": None,
}


UNMEASURED: dict[str, Any] = {
    "picture_loss": None,
    "jitter_ms": None,
    "lateness_ms": None,
    "reason": "",
    "evidence": {},
}


def read_row(row: Any, *, promised: bool) -> PathResult:
    return read_result(parse_message(ProbeResult, json.dumps(row)), promised=promised)


def claims(token: str) -> dict[str, Any]:
    return jwt.decode(token, SECRET.reveal(), algorithms=["HS256"])


def test_every_path_has_its_own_room_and_two_participants() -> None:
    rooms = open_rooms(("udp", "turn-udp"), "API", SECRET)
    assert [room.path for room in rooms] == ["udp", "turn-udp"]
    assert len({room.room for room in rooms}) == 2
    for room in rooms:
        people = [claims(token) for token in room.tokens]
        assert {person["video"]["room"] for person in people} == {room.room}
        assert len({person["sub"] for person in people}) == 2


def test_rooms_of_a_probe_are_recognised_and_get_no_agent() -> None:
    [room] = open_rooms(("udp",), "API", SECRET)
    assert room.room.startswith(PROBE_ROOM_PREFIX)
    for token in room.tokens:
        assert claims(token)["roomConfig"]["agents"], "an empty list would call every unnamed agent"


def test_probe_tokens_are_useless_afterwards() -> None:
    [room] = open_rooms(("udp",), "API", SECRET)
    for token in room.tokens:
        person = claims(token)
        assert person["exp"] - person["nbf"] <= TOKEN_SECONDS + 60
        assert TOKEN_SECONDS * 1000 > PROBE_TIMEOUT_MS
        assert not {"roomAdmin", "roomCreate", "roomList"} & set(person["video"])


def test_rooms_of_two_verifications_do_not_meet() -> None:
    names = {open_rooms(("udp",), "API", SECRET)[0].room for _ in range(50)}
    assert len(names) == 50


def test_request_is_the_contract_with_the_engine() -> None:
    request = build_request("ws://127.0.0.1:7880", {"udp": ("a", "b"), "tcp": ["c"]})
    assert json.loads(dump_message(request)) == {
        "version": VERSION,
        "url": "ws://127.0.0.1:7880",
        "timeout_ms": 10_000,
        "media_ms": 400,
        "paths": [{"path": "udp", "tokens": ["a", "b"]}, {"path": "tcp", "tokens": ["c"]}],
        "resolve": {},
        "ca_file": "",
    }


def test_request_to_the_own_hub_has_its_root_and_overrides() -> None:
    overrides = Overrides("/var/lib/lkhub/ca/root.crt", {"rtc.example.com": "127.0.0.1"}, "http://127.0.0.1:7880")
    request = build_request("wss://rtc.example.com", {"turn-tls": ["a"]}, overrides)
    assert request.ca_file == "/var/lib/lkhub/ca/root.crt"
    assert request.resolve == {"rtc.example.com": "127.0.0.1"}
    assert "7880" not in dump_message(request), "the probe goes the way of a client"


@pytest.mark.parametrize("overrides", [None, Overrides("", {}, "http://127.0.0.1:7880")], ids=["foreign", "plain"])
def test_request_names_neither_root_nor_overrides_where_there_are_none(overrides: Overrides | None) -> None:
    request = build_request("ws://127.0.0.1:7880", {}, overrides)
    assert (request.ca_file, request.resolve) == ("", {})


def test_row_of_the_probe_is_read() -> None:
    result = read_row(ROW, promised=True)
    assert (result.path, result.ok, result.stage, result.rtt_ms) == ("udp", True, "media", 0.4)
    assert result.native is None
    assert result.as_json() == {**ROW, "native": None, "native_detail": None, **UNMEASURED}


def test_row_says_whether_native_applications_accept_the_chain() -> None:
    row = {**ROW, "path": "turn-tls", "native": False, "native_detail": "ISRG Root X1 is not among its roots"}
    result = read_row(row, promised=True)
    assert (result.ok, result.native, result.native_detail) == (True, False, "ISRG Root X1 is not among its roots")


@pytest.mark.parametrize(
    ("ok", "stage", "promised", "read"),
    [
        (None, "join", True, False),
        (None, "join", False, None),
        (None, "media", True, None),
        (None, "gather", True, None),
        (True, "media", True, True),
        (False, "connect", False, False),
    ],
)
def test_path_that_is_promised_and_not_offered_has_failed(
    ok: bool | None, stage: str, promised: bool, read: bool | None
) -> None:
    assert read_row({**ROW, "ok": ok, "stage": stage}, promised=promised).ok is read


@pytest.mark.parametrize("row", [{}, {**ROW, "ok": "yes please"}, {"path": "udp"}, []], ids=str)
def test_malformed_row_is_a_value_error(row: Any) -> None:
    with pytest.raises(ValueError):
        read_row(row, promised=True)


def test_result_has_all_that_the_probe_says() -> None:
    assert get_type_hints(PathResult) == get_type_hints(ProbeResult)


def test_key_that_is_as_long_as_a_secret_is_not_shown() -> None:
    """The user may have swapped key and secret, and may paste the output into a public place."""
    secret = "s3cr3t" * 8
    for said in (f"invalid API key: {secret}", "invalid API key"):
        row = {"path": "udp", "ok": False, "stage": "token", "detail": said, "reason": "unknown-key"}
        result = read_row({**row, "evidence": {"key": secret}}, promised=False)
        assert secret not in str(result.as_json())
        for hub in (FOREIGN, replace(FOREIGN, given_tokens=True)):
            [finding] = check_paths([result], hub)
            assert secret not in str(finding)
            assert "key and secret are mixed up" in finding.cause
    known = read_row({**row, "evidence": {"key": "APIabcdefghijk"}}, promised=False)
    assert known.evidence == {"key": "APIabcdefghijk"}


@pytest.mark.parametrize(
    ("key", "secret", "swapped"),
    [
        ("APIabcdefghijk", "s" * 43, False),
        ("s" * 43, "APIabcdefghijk", True),
        ("devkey", "secret", False),
        ("k" * 40, "s" * 43, False),
    ],
)
def test_key_and_secret_that_look_swapped(key: str, secret: str, swapped: bool) -> None:
    assert looks_swapped(key, secret) is swapped
