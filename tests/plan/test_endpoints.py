import pytest

from lkhub.plan.endpoints import describe_endpoints, list_external_turn, list_ports
from tests.plan.test_edge import build


@pytest.mark.parametrize(
    ("text", "ports"),
    [
        ("reach: local", {"udp": "7882/udp", "turn-udp": "3478/udp"}),
        ("reach: lan", {"udp": "7882/udp", "tcp": "7881/tcp", "turn-udp": "3478/udp", "turn-tls": "443/tcp"}),
        ("reach: lan\nturn: {enabled: false}\nmedia: {tcp: off}", {"udp": "7882/udp"}),
        ("reach: local\nmedia: {udp: 50000-50010}\nturn: {udp: off}", {"udp": "50000-50010/udp"}),
    ],
)
def test_each_path_that_the_hub_offers_has_its_port(text: str, ports: dict[str, str]) -> None:
    assert list_ports(build(text)) == ports


def test_hub_without_an_edge_has_no_upstream_address() -> None:
    assert describe_endpoints(build("reach: local")) == {"web": "127.0.0.1:8080"}


@pytest.mark.parametrize(
    ("tls", "upstream"),
    [
        ("{mode: external}", "127.0.0.1:7883"),
        ("{mode: external, listen: 9000}", "127.0.0.1:9000"),
        ("{mode: external, trusted_proxies: [127.0.0.1, 10.0.0.2]}", "127.0.0.1:7883"),
    ],
)
def test_upstream_address_is_reachable_for_the_proxy(tls: str, upstream: str) -> None:
    endpoints = describe_endpoints(build(f"reach: lan\ndomain: rtc.example.com\ntls: {tls}"))
    assert endpoints == {"web": "127.0.0.1:8080", "name": "rtc.example.com", "upstream": upstream}


def test_turn_over_tls_has_what_clients_are_told_and_where_it_arrives() -> None:
    turn = "turn: {domain: turn.example.com, listen: 5349, port: 443}\n"
    endpoints = describe_endpoints(build(f"reach: lan\ndomain: rtc.example.com\ntls: {{mode: external}}\n{turn}"))
    assert (endpoints["turn"], endpoints["turn_upstream"]) == ("turn.example.com:443", "127.0.0.1:5349")


def test_for_a_proxy_on_another_machine_the_upstream_address_is_this_machines() -> None:
    plan = build("reach: lan\ndomain: rtc.example.com\ntls: {mode: external, trusted_proxies: [10.0.0.2]}")
    assert describe_endpoints(plan)["upstream"] == f"{plan.media.local[0]}:7883"


def test_turn_servers_of_others_are_where_clients_are_told_that_they_are() -> None:
    assert list_external_turn(build("")) == []
    servers = "{url: 'turn:turn.example.com', secret: s}, {url: 'turns:[2001:db8::1]:5350', username: a, credential: b}"
    assert list_external_turn(build(f"turn: {{external: [{servers}]}}")) == [
        "turn.example.com:3478",
        "[2001:db8::1]:5350",
    ]
