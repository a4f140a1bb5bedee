from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lkhub.secret import FromEnv, FromFile, Secret
from lkhub.spec.model import Spec
from lkhub.spec.turn import Login, SharedSecret, parse_external_turn


@pytest.mark.parametrize(
    ("given", "host", "port", "protocol"),
    [
        ("turns:turn.example.com", "turn.example.com", 5349, "tls"),
        ("turns:turn.example.com:443?transport=tcp", "turn.example.com", 443, "tls"),
        ("turn:turn.example.com", "turn.example.com", 3478, "udp"),
        ("turn:192.0.2.1:99?transport=tcp", "192.0.2.1", 99, "tcp"),
        ("turn:[2001:db8::1]?transport=udp", "[2001:db8::1]", 3478, "udp"),
    ],
)
def test_url_says_host_port_and_transport(given: str, host: str, port: int, protocol: str) -> None:
    server = parse_external_turn({"url": given, "secret": "s"})
    assert (server.host, server.port, server.protocol) == (host, port, protocol)
    assert parse_external_turn({"url": server.url, "secret": "s"}) == server


@pytest.mark.parametrize(
    ("given", "source"), [("s", Secret("s")), ({"file": "f"}, FromFile("f")), ({"env": "E"}, FromEnv("E"))]
)
def test_both_ways_to_log_in_take_references(given: Any, source: Any) -> None:
    assert parse_external_turn({"url": "turn:a", "secret": given}).auth == SharedSecret(source)
    login = parse_external_turn({"url": "turn:a", "username": "u", "credential": given})
    assert (login.auth, login.secret) == (Login("u", source), source)


def test_nothing_shows_a_secret() -> None:
    entries = [{"url": "turn:a", "secret": "XYZXYZ"}, {"url": "turn:a", "username": "u", "credential": "XYZXYZ"}]
    spec = Spec.model_validate({"turn": {"external": entries}})
    assert "XYZ" not in repr(spec) + spec.model_dump_json()


NOT_A_SERVER = st.recursive(
    st.none() | st.booleans() | st.integers() | st.just("XYZXYZ"),
    lambda below: (
        st.lists(below, max_size=2)
        | st.dictionaries(st.sampled_from(["url", "secret", "username", "credential", "XYZXYZ"]), below, max_size=4)
    ),
    max_leaves=6,
)


@given(NOT_A_SERVER)
def test_refusal_repeats_nothing_that_was_given(value: Any) -> None:
    with pytest.raises(ValueError, match=r"write|keep") as refused:
        parse_external_turn(value)
    assert "XYZ" not in str(refused.value)
