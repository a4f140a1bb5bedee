"""The hub's one port: how a connection to it is handled."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lkhub.render.caddy import CONNECTIONS_PER_ADDRESS, HANDSHAKE, STUN_START
from tests.render.edges import HUBS, WITH_TLS, plan_of, render


def front(hub: str) -> list[dict[str, Any]]:
    """The handlers that a connection passes on the port of TLS."""
    [server] = render(hub)["apps"]["layer4"]["servers"].values()
    [route] = server["routes"]
    handlers: list[dict[str, Any]] = route["handle"]
    return handlers


WITH_FRONT = pytest.mark.parametrize(
    "hub", [name for name in HUBS if name not in ("external", "external-elsewhere", "lan-external")]
)


@WITH_FRONT
def test_who_does_not_finish_the_handshake_is_cut_off(hub: str) -> None:
    handlers = front(hub)
    names = [handler["handler"] for handler in handlers]
    assert names[-4:] == ["lkhub_limit", "lkhub_deadline", "tls", "subroute"]
    limit, deadline, _, streams = handlers[-4:]
    assert limit["per_address"] == CONNECTIONS_PER_ADDRESS
    assert deadline["after"] == streams["matching_timeout"] == HANDSHAKE
    for route in streams["routes"]:
        first = route["handle"][0]
        assert first == {"handler": "lkhub_deadline", "after": "0s"}, "a call lasts longer than a handshake"


@WITH_FRONT
def test_client_without_a_server_name_gets_the_hubs_certificate_and_a_foreign_name_gets_none(hub: str) -> None:
    [policy] = next(handler for handler in front(hub) if handler["handler"] == "tls")["connection_policies"]
    plan = plan_of(hub)
    assert plan.edge is not None
    assert plan.edge.turn or "external" not in hub
    own = plan.edge.names[0] if plan.edge.tls.mode != "external" or not plan.edge.turn else plan.edge.turn.host
    assert policy["default_sni"] == own
    assert "fallback_sni" not in policy
    assert set(policy["alpn"]) == {"http/1.1", "stun.turn"}


@WITH_TLS
def test_turn_goes_to_the_relay_and_everything_else_to_http(hub: str) -> None:
    *turn, rest = front(hub)[-1]["routes"]
    assert "match" not in rest, "in the end there is no condition"
    assert rest["handle"][-1] == {"handler": "lkhub_handover", "to": "hub"}
    plan = plan_of(hub)
    assert plan.edge is not None
    assert len(turn) == (1 if plan.edge.turn else 0)
    for route in turn:
        assert route["match"] == [{"regexp": {"pattern": STUN_START, "count": 2}}]
        assert route["handle"][-1] == {"handler": "lkhub_handover", "to": "relay"}
    assert set(render(hub)["apps"]["lkhub"]) == ({"relay"} if turn else set())


@pytest.mark.parametrize("hub", ["external-turn-beside", "external-turn-split"])
def test_port_of_turn_beside_a_proxy_is_for_turn_alone(hub: str) -> None:
    handlers = front(hub)
    believed = handlers[0]
    assert (believed["handler"], believed["fallback_policy"]) == ("proxy_protocol", "REJECT")
    assert believed["allow"] == ["127.0.0.0/8", "::1/128"]
    [route] = handlers[-1]["routes"]
    assert route["match"] == [{"regexp": {"pattern": STUN_START, "count": 2}}]


def is_turn(start: bytes) -> bool:
    """What caddy-l4's matcher says of the first two bytes: Go reads the pattern as Python does."""
    return re.match(STUN_START.encode(), start[:2], re.DOTALL) is not None


@given(st.binary(min_size=2, max_size=40))
def test_two_bytes_decide(start: bytes) -> None:
    assert is_turn(start) is (start[0] == 0 and start[1] < 16)


# RFC 8489 (Binding), RFC 8656 (Allocate to ChannelBind), RFC 6062 (Connect, ConnectionBind).
STUN_METHODS = (0x001, 0x003, 0x004, 0x006, 0x007, 0x008, 0x009, 0x00A, 0x00B)


@given(st.sampled_from(STUN_METHODS), st.integers(0, 0xFFFF), st.binary(min_size=12, max_size=12))
def test_every_request_of_a_turn_client_is_turn(method: int, length: int, transaction: bytes) -> None:
    kind = (method & 0xF80) << 2 | (method & 0x70) << 1 | method & 0xF
    header = kind.to_bytes(2, "big") + length.to_bytes(2, "big") + 0x2112A442.to_bytes(4, "big") + transaction
    assert is_turn(header)


# RFC 9110, section 5.6.2: the first character of a method. Servers skip an empty line in front.
METHODS = st.from_regex(rb"\A(\r\n)?[!#$%&'*+.^_`|~0-9A-Za-z-]+ /", fullmatch=False)


@given(METHODS)
def test_no_http_request_is_turn(start: bytes) -> None:
    assert not is_turn(start)


@pytest.mark.parametrize(
    "start", [b"PRI * HTTP/2.0\r\n", b"GET /rtc HTTP/1.1", b"\x16\x03\x01", b"\x40\x00\x00\x04", b"PROXY "]
)
def test_what_else_comes_over_tls_is_not_turn(start: bytes) -> None:
    """HTTP/2, TLS in TLS, data on an unbound channel, a PROXY header from a client."""
    assert not is_turn(start)
