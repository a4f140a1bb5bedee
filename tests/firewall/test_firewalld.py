from dataclasses import replace
from ipaddress import ip_network

import pytest

from lkhub.firewall.firewalld import (
    Added,
    Firewalld,
    Zone,
    judge_firewalld,
    parse_service,
    parse_zone,
    plan_firewalld,
    unplan_firewalld,
)
from tests.firewall.test_nftables import make_row, make_table

# `firewall-cmd --zone=public --list-all` of firewalld 1.3.
LISTED = """public (active)
  target: default
  icmp-block-inversion: no
  interfaces: eth0
  sources:
  services: dhcpv6-client ssh
  ports: 443/tcp 7000-7010/udp
  protocols:
  forward: yes
  masquerade: no
  forward-ports:
  source-ports:
  icmp-blocks:
  rich rules:
	rule family="ipv4" source address="10.0.0.0/8" port port="7882" protocol="udp" accept
	rule service name="http" drop
"""
RULE = 'rule family="ipv4" source address="192.168.1.0/24" port port="7882" protocol="udp" accept'

NOTHING: frozenset[Added] = frozenset()


def make_zone(*ports: str, permanent: bool = False, name: str = "public", rules: tuple[str, ...] = ()) -> Zone:
    return Zone(name, permanent, "default", (), ports, rules)


def make_firewalld(*ports: str) -> Firewalld:
    return Firewalld((make_zone(*ports), make_zone(*ports, permanent=True)))


def test_a_zone_is_read() -> None:
    zone = parse_zone(LISTED, "public", permanent=False)
    assert (zone.target, zone.services) == ("default", ("dhcpv6-client", "ssh"))
    assert zone.ports == ("443/tcp", "7000-7010/udp")
    assert len(zone.rich_rules) == 2
    assert parse_service("ssh\n  ports: 22/tcp 2222/tcp\n  protocols: \n") == ("22/tcp", "2222/tcp")


def test_what_is_missing_is_added_now_and_for_good_without_a_reload() -> None:
    steps, recorded = plan_firewalld(make_firewalld(), make_table(make_row(), make_row(443)), NOTHING)
    assert [str(step.do) for step in steps] == [
        "firewall-cmd --zone=public --add-port=443/udp --add-port=7882/udp",
        "firewall-cmd --permanent --zone=public --add-port=443/udp --add-port=7882/udp",
    ]
    assert str(steps[0].undo) == "firewall-cmd --zone=public --remove-port=443/udp --remove-port=7882/udp"
    assert len(recorded) == 4


def test_networks_get_rich_rules() -> None:
    table = make_table(make_row(7882, ip_network("192.168.1.0/24")))
    [now, _], _ = plan_firewalld(make_firewalld(), table, NOTHING)
    assert now.do.argv == ("firewall-cmd", "--zone=public", f"--add-rich-rule={RULE}")
    zone = make_zone(rules=(RULE,))
    assert judge_firewalld(Firewalld((zone,)), table)[0].open is True


def test_rules_of_others_are_left_alone() -> None:
    steps, recorded = plan_firewalld(make_firewalld("7882/udp"), make_table(), NOTHING)
    assert (steps, recorded) == ((), NOTHING)
    assert unplan_firewalld(make_firewalld("7882/udp"), recorded) == ()


def test_a_second_time_is_nothing_to_do_and_is_still_recorded() -> None:
    _, recorded = plan_firewalld(make_firewalld(), make_table(), NOTHING)
    assert plan_firewalld(make_firewalld("7882/udp"), make_table(), recorded) == ((), recorded)


def test_what_a_reload_has_lost_is_added_again() -> None:
    _, recorded = plan_firewalld(make_firewalld(), make_table(), NOTHING)
    half = Firewalld((make_zone(), make_zone("7882/udp", permanent=True)))
    steps, again = plan_firewalld(half, make_table(), recorded)
    assert [str(step.do) for step in steps] == ["firewall-cmd --zone=public --add-port=7882/udp"]
    assert again == recorded


def test_what_the_spec_no_longer_has_is_removed() -> None:
    _, recorded = plan_firewalld(make_firewalld(), make_table(make_row(7000)), NOTHING)
    steps, again = plan_firewalld(make_firewalld("7000/udp"), make_table(), recorded)
    assert [step.do.argv[-1] for step in steps].count("--remove-port=7000/udp") == 2
    assert {item.value for item in again} == {"7882/udp"}


def test_revert_removes_what_was_added_and_is_there_also_from_another_zone() -> None:
    recorded = frozenset({Added(False, "home", "port", "7882/udp"), Added(False, "home", "port", "443/udp")})
    moved = replace(make_firewalld("443/udp"), others=(make_zone("7882/udp", name="home"),))
    [step] = unplan_firewalld(moved, recorded)
    assert str(step.do) == "firewall-cmd --zone=home --remove-port=7882/udp"


@pytest.mark.parametrize(
    ("zone", "is_open"),
    [
        (make_zone("7882/udp"), True),
        (make_zone("7000-8000/udp"), True),
        (make_zone("7882/tcp", "7000/udp"), False),
        (replace(make_zone(), target="ACCEPT"), True),
        (replace(make_zone(), service_ports=("7882/udp",)), True),
        (make_zone("7882/udp", rules=('rule family="ipv4" source address="10.9.0.0/16" drop',)), True),
        (make_zone("7882/udp", rules=('rule port port="7882" protocol="udp" drop',)), None),
    ],
)
def test_verdicts(zone: Zone, is_open: bool | None) -> None:
    assert judge_firewalld(Firewalld((zone,)), make_table())[0].open is is_open


def test_every_zone_has_to_let_it_in() -> None:
    zones = (make_zone("7882/udp"), make_zone(name="home"))
    [verdict] = judge_firewalld(Firewalld(zones), make_table())
    assert (verdict.open, verdict.why) == (False, "the zone home of firewalld does not list it")
