"""Signatures of webhooks: LiveKit's own receivers judge what lkhub signs, and lkhub refuses whatever is not signed."""

import base64
import hashlib
import json
import time
from typing import Any

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from livekit.api import TokenVerifier, WebhookReceiver

from lkhub.livekit.claims import SignatureError
from lkhub.livekit.tokens import Grant, join_grant, sign_claims
from lkhub.livekit.tokens import sign as sign_grant
from lkhub.livekit.webhooks import (
    WebhookEvent,
    dump_event,
    read_event,
    shorten_url,
    sign,
    verify_body,
    verify_token,
)
from lkhub.secret import Secret

SECRET, OTHER = Secret("XYZ" * 22), Secret("ABC" * 22)
KEYS = {"APInew": SECRET, "APIold": OTHER}
NOW = 1_800_000_000.5
BODY = b'{"event":"room_started","id":"EV_1","room":{"sid":"RM_1","name":"lobby"}}'


def digest(body: bytes = BODY) -> str:
    return base64.b64encode(hashlib.sha256(body).digest()).decode()


def token(key: str = "APInew", secret: str = SECRET.reveal(), algorithm: str = "HS256", **claims: Any) -> str:
    usual = {"iss": key, "nbf": int(NOW), "exp": int(NOW) + 300, "sha256": digest()}
    given = {name: value for name, value in (usual | claims).items() if value is not None}
    return jwt.encode(given, secret, algorithm)


def check(token: str, body: bytes = BODY, now: float = NOW) -> None:
    verify_body(body, verify_token(token, KEYS, now))


def test_what_lkhub_signs_is_accepted_by_lkhub() -> None:
    check(sign(BODY, "APInew", SECRET, NOW))
    check(sign(BODY, "APIold", OTHER, NOW))


def test_what_lkhub_signs_is_accepted_by_livekits_receiver() -> None:
    receiver = WebhookReceiver(TokenVerifier("APInew", SECRET.reveal()))
    event = receiver.receive(BODY.decode(), sign(BODY, "APInew", SECRET, time.time()))
    assert (event.event, event.id, event.room.name) == ("room_started", "EV_1", "lobby")
    with pytest.raises(Exception, match="hash mismatch"):
        receiver.receive(BODY.decode() + " ", sign(BODY, "APInew", SECRET, time.time()))


@pytest.mark.parametrize("key", KEYS)
def test_every_key_of_the_ring_signs(key: str) -> None:
    check(token(key, KEYS[key].reveal()))


def unsigned(header: dict[str, Any], claims: dict[str, Any], signature: str = "") -> str:
    parts = (base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in (header, claims))
    return ".".join([*parts, signature])


CLAIMS: dict[str, Any] = {"iss": "APInew", "nbf": int(NOW), "exp": int(NOW) + 300, "sha256": digest()}


@pytest.mark.parametrize(
    "forged",
    [
        "",
        "..",
        "a.b",
        "a.b.c.d",
        "é.é.é",
        "x" * 5000,
        unsigned({"alg": "none"}, CLAIMS),
        unsigned({"alg": "None", "typ": "JWT"}, CLAIMS),
        unsigned({}, CLAIMS),
        unsigned([], CLAIMS),  # type: ignore[arg-type]
        unsigned({"alg": "HS256"}, []),  # type: ignore[arg-type]
        token(algorithm="HS384"),
        token(algorithm="HS512"),
        token(secret=OTHER.reveal()),
        token("APIother"),
        token("APIother", "-" * 66),
        token("APIold"),
        token(iss=None),
        sign_claims(CLAIMS | {"iss": ["APInew"]}, SECRET),
        token(exp=int(NOW) - 61),
        token(exp=None),
        token(nbf=int(NOW) + 62),
        token(sha256=None),
        token(sha256=""),
        token(sha256=7),
        token(sha256=digest(b"another body")),
        token(sha256="é"),
        token()[:-2] + ("A" if token()[-2] != "A" else "B") + token()[-1],
        sign_grant(Grant("ann", join_grant("lobby")), "APInew", SECRET, NOW),
    ],
)
def test_what_is_not_signed_by_a_key_of_this_hub_is_refused(forged: str) -> None:
    with pytest.raises(SignatureError):
        check(forged)


@pytest.mark.parametrize(
    "claims",
    [{"exp": True}, {"exp": 1e999}, {"exp": 10**400}, {"exp": "never"}, {"exp": None}, {"nbf": "0"}, {"nbf": None}],
)
def test_claims_that_are_no_times(claims: dict[str, Any]) -> None:
    with pytest.raises(SignatureError):
        check(sign_claims(CLAIMS | claims, SECRET))


def test_time_of_a_token_is_judged_by_a_minute() -> None:
    check(token(), now=NOW + 359)
    check(token(), now=NOW - 59)
    for now in (NOW + 361, NOW - 62):
        with pytest.raises(SignatureError, match="expired"):
            check(token(), now=now)


def test_errors_repeat_nothing() -> None:
    for forged in (token(secret="XYZ" * 23), token("APIXYZ"), "XYZ.XYZ.XYZ", token(sha256="XYZ")):
        with pytest.raises(SignatureError) as raised:
            check(forged)
        assert "XYZ" not in str(raised.value)


@given(st.text(max_size=200) | st.builds(".".join, st.lists(st.text("ab-_=é{}", max_size=9), min_size=3, max_size=3)))
def test_no_text_is_anything_but_refused(text: str) -> None:
    with pytest.raises(SignatureError):
        check(text)


# --- events


def test_password_of_turn_is_neither_kept_nor_passed_on() -> None:
    room = {"sid": "RM_1", "name": "l", "turnPassword": "XYZ"}
    body = {"event": "agent_job_started", "id": "EV_1", "room": room, "job": {"id": "AJ_1", "room": room}}
    event, data = read_event(json.dumps(body).encode())
    assert "XYZ" not in dump_event(data)
    passed_on = json.loads(dump_event(data))
    assert passed_on["room"] == passed_on["job"]["room"] == {"sid": "RM_1", "name": "l"}
    assert event.room.name == "l"


def test_everything_else_is_passed_on_as_it_came() -> None:
    body = {"event": "new_thing", "id": "EV_1", "createdAt": "17", "more": {"ü": [1, None, 1.5]}, "room": {"x": "y"}}
    assert json.loads(dump_event(read_event(json.dumps(body).encode())[1])) == body


@pytest.mark.parametrize(
    ("body", "room"),
    [
        ({"room": {"name": "lobby"}}, "lobby"),
        ({"egressInfo": {"roomName": "lobby"}}, "lobby"),
        ({"ingressInfo": {"roomName": "lobby"}}, "lobby"),
        ({"job": {"id": "AJ_1", "room": {"name": "lobby"}}}, "lobby"),
        ({}, ""),
    ],
)
def test_room_of_an_event(body: dict[str, Any], room: str) -> None:
    assert read_event(json.dumps({"event": "e", "id": "1", **body}).encode())[0].room_name == room


def test_calls_of_the_verification_are_known() -> None:
    assert WebhookEvent("room_started", "EV_1", read_event(BODY)[0].room).is_of_a_probe is False
    body = b'{"event":"room_started","id":"EV_1","room":{"name":"lkhub-verify-17"}}'
    assert read_event(body)[0].is_of_a_probe


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"{", b"{}", b'{"event":"","id":"1"}', b'{"event":"e","id":""}', b'{"event":"e","id":7}', b"\xff",
     b'{"event":"e","id":"1","room":[]}', b'{"event":"e","id":"1","room":{"name":7}}', b"[" * 100_000],
)  # fmt: skip
def test_what_is_no_event_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError):
        read_event(body)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://a.example/hook", "https://a.example/hook"),
        ("https://a.example:8443/hook?token=XYZ", "https://a.example:8443/hook?…"),
        ("https://a.example/#a?b", "https://a.example/"),
        ("http://[?token=XYZ", "http://[?…"),
    ],
)
def test_query_of_a_receiver_is_not_shown(url: str, shown: str) -> None:
    assert shorten_url(url) == shown
