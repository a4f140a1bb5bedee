from ipaddress import ip_network

import pytest

from lkhub.firewall.table import Command, FirewallTable, firewall_table, make_tag
from lkhub.plan.build import build_plan
from lkhub.spec.load import load_spec
from tests.machines import INSTALLATION, MACHINES, make_facts


def make_table(spec: str, machine: str = "laptop") -> FirewallTable:
    facts = MACHINES[machine]
    loaded = load_spec(spec.encode())
    plan = build_plan(loaded, facts, INSTALLATION)
    loaded.require_sound()
    assert plan is not None
    return firewall_table(plan, facts.interfaces)


def list_open(table: FirewallTable) -> list[tuple[str, str]]:
    return [(str(row), row.source) for row in table.rows]


def test_a_hub_for_this_machine_needs_nothing_open() -> None:
    table = make_table("")
    assert table.rows == ()
    assert {str(row) for row in table.closed} >= {"7882/udp", "7880/tcp", "30000-39999/udp"}
    assert {row.why for row in table.closed if row.purpose != "relaying to media"} == {
        "reach: local is this machine only"
    }


def test_a_hub_on_the_lan_is_open_to_the_networks_that_it_is_in() -> None:
    assert list_open(make_table("reach: lan")) == [
        ("7882/udp", "192.168.1.0/24"),
        ("7881/tcp", "192.168.1.0/24"),
        ("443/tcp", "192.168.1.0/24"),
        ("80/tcp", "192.168.1.0/24"),
        ("3478/udp", "192.168.1.0/24"),
    ]
    several = make_table("reach: lan", "zoo")
    assert set(several.rows[0].networks) >= {ip_network("192.168.1.0/24"), ip_network("10.0.0.0/8")}


def test_where_the_network_is_not_known_it_is_a_private_one_or_the_usual_size() -> None:
    for address, expected in {"10.1.2.3": "10.0.0.0/8", "198.18.0.1": "198.18.0.0/24", "fd00::5": "fc00::/7"}.items():
        loaded = load_spec(f"reach: lan\nmedia: {{advertise: {address!r}}}\n".encode())
        plan = build_plan(loaded, make_facts(), INSTALLATION)
        assert plan is not None
        assert {row.source for row in firewall_table(plan).rows} == {expected}


def test_a_public_hub_is_open_to_anyone() -> None:
    table = make_table("reach: public\ndomain: rtc.example.com\n", "vps")
    assert {source for _, source in list_open(table)} == {"anyone"}
    assert all(row.versions == {4, 6} for row in table.rows)
    v4 = make_table("reach: public\ndomain: rtc.example.com\n", "vps-v4")
    assert all(row.versions == {4} for row in v4.rows)


def test_a_hub_on_one_port_needs_that_one_alone() -> None:
    spec = """
        reach: public
        domain: rtc.example.com
        media: {udp: 443, tcp: off}
        turn: {udp: off}
        tls: {http: off}
        """
    assert list_open(make_table(spec, "vps-v4")) == [("443/udp", "anyone"), ("443/tcp", "anyone")]


def test_without_tls_signalling_and_pages_are_open_themselves() -> None:
    table = make_table("reach: lan\ntls: {mode: off}\n")
    assert {"7880/tcp", "8080/tcp"} <= {str(row) for row in table.rows}
    assert [str(row) for row in table.closed] == ["30000-39999/udp"]


@pytest.mark.parametrize("reach", ["lan", "public"])
def test_relay_ports_are_closed_and_it_says_why(reach: str) -> None:
    table = make_table(f"reach: {reach}\ndomain: rtc.example.com\n", "vps" if reach == "public" else "laptop")
    [row] = [row for row in table.closed if str(row) == "30000-39999/udp"]
    assert "towards media on this machine only" in row.why
    behind = {str(row): row.why for row in table.closed}
    assert behind["7880/tcp"] == behind["8080/tcp"] == "on this machine only, behind the hub's one port 443"


def test_only_the_proxy_on_another_machine_reaches_the_hub() -> None:
    spec = """
        reach: public
        domain: rtc.example.com
        tls: {mode: external, listen: 8443, trusted_proxies: [127.0.0.0/8, 10.0.0.7]}
        """
    rows = dict(list_open(make_table(spec, "vps-v4")))
    assert rows["8443/tcp"] == "10.0.0.7"
    assert rows["7882/udp"] == "anyone"


def test_hubs_of_one_machine_have_marks_of_their_own() -> None:
    assert make_tag("/var/lib/lkhub") != make_tag("/home/a/.local/state/lkhub")
    assert make_tag("/var/lib/lkhub") == make_table("").tag


def test_a_command_is_shown_as_it_is_typed() -> None:
    assert str(Command(("ufw", "allow", "comment", "a b"))) == "ufw allow comment 'a b'"
    assert str(Command(("nft", "-f", "-"), "add x\n")) == "nft -f - <<'END'\nadd x\nEND"
