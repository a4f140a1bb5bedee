"""TURN over TLS beside a proxy, and external TURN servers."""

import pytest

from lkhub.plan.build import build_plan
from lkhub.plan.model import Plan, TurnEndpoint
from lkhub.spec.load import load_spec
from tests.machines import INSTALLATION, make_facts

PROXIED = "domain: rtc.example.com\ntls: {mode: external, cert: a, key: b}\n"


def plan(text: str) -> Plan:
    loaded = load_spec(text.encode())
    built = build_plan(loaded, make_facts(), INSTALLATION)
    loaded.require_sound()
    assert built is not None
    return built


def endpoint(text: str) -> TurnEndpoint:
    edge = plan(text).edge
    assert edge is not None
    assert edge.turn is not None
    return edge.turn


def test_with_tls_of_its_own_the_hub_has_one_port() -> None:
    built = endpoint("tls: {mode: internal, listen: 8443}")
    assert (built.host, built.port, built.listen) == ("127.0.0.1", 8443, 8443)


def test_beside_a_proxy_clients_are_told_the_port_that_is_open_to_them() -> None:
    built = endpoint(PROXIED + "turn: {listen: 5349}")
    assert (built.host, built.port, built.listen) == ("rtc.example.com", 5349, 5349)
    built = endpoint(PROXIED + "turn: {listen: 5349, port: 443, domain: turn.example.com}")
    assert (built.host, built.port, built.listen) == ("turn.example.com", 443, 5349)


@pytest.mark.parametrize(
    ("turn", "proxies", "is_open"),
    [
        ("{listen: 5349}", "[127.0.0.1]", True),
        ("{listen: 5349, port: 443, domain: turn.example.com}", "[127.0.0.1]", False),
        ("{listen: 5349, port: 443, domain: turn.example.com}", "[192.168.1.9]", True),
    ],
)
def test_firewalls_open_turns_port_to_those_who_come_to_it(turn: str, proxies: str, is_open: bool) -> None:
    tls = f"{{mode: external, trusted_proxies: {proxies}, cert: a, key: b}}"
    built = plan(f"reach: lan\ndomain: rtc.example.com\ntls: {tls}\nturn: {turn}")
    rows = [row for row in built.listeners if row.key == ("turn", "listen") and str(row.address) == "192.168.1.5"]
    assert [(row.process, str(row.ports), row.client_facing) for row in rows] == [("edge", "5349", is_open)]


def test_behind_a_proxy_the_hubs_own_port_is_not_443() -> None:
    edge = plan(PROXIED + "turn: {listen: 5349}").edge
    assert edge
    assert edge.port == 7883


@pytest.mark.parametrize(
    ("external", "probes"),
    [
        ("[]", ("udp",)),
        ("[{url: 'turn:a', secret: s}]", ("udp", "turn-udp")),
        ("[{url: 'turns:a', secret: s}]", ("udp", "turn-tls")),
        ("[{url: 'turn:a?transport=tcp', secret: s}]", ("udp",)),
    ],
)
def test_paths_through_other_peoples_servers_are_promised(external: str, probes: tuple[str, ...]) -> None:
    assert plan(f"turn: {{enabled: false, external: {external}}}").probes == probes


def test_other_peoples_servers_are_stun_enough() -> None:
    assert plan("turn: {enabled: false}").stun == ("127.0.0.1:3478",)
    assert plan("turn: {enabled: false, external: [{url: 'turn:a', secret: s}]}").stun == ()


def test_media_starts_anew_with_a_secret_of_theirs() -> None:
    built = plan("turn: {external: [{url: 'turn:a', username: u, credential: c}, {url: 'turn:b', secret: s}]}")
    [media] = [process for process in built.processes if process.name == "media"]
    kept = "/var/lib/lkhub/rendered/turn-2.secret"
    assert [(server.username, server.secret_file) for server in built.turn_servers] == [("u", None), (None, kept)]
    assert kept in media.files
