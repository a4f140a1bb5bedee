from dataclasses import replace
from ipaddress import ip_network

import pytest

from lkhub.firewall.ufw import Ufw, judge_ufw, list_ufw_commands, parse_ufw, plan_ufw, unplan_ufw
from tests.firewall.test_nftables import TAG, make_row, make_table, mark

DEFAULTS = 'IPV6=yes\nDEFAULT_INPUT_POLICY="DROP"\nDEFAULT_OUTPUT_POLICY="ACCEPT"\n'


def make_ufw(*tuples: str, v6: tuple[str, ...] = (), policy: str = "DROP", enabled: str = "yes") -> Ufw:
    """From tuples as in user.rules."""
    rules, rules6 = (
        "*filter\n" + "".join(f"\n### tuple ### {row}\n-A ufw-user-input -j ACCEPT\n" for row in rows)
        for rows in (tuples, v6)
    )
    return parse_ufw(f"ENABLED={enabled}\n", DEFAULTS.replace('"DROP"', f'"{policy}"', 1), rules, rules6)


def hexed(text: str) -> str:
    return f"comment={text.encode().hex()}"


OURS = f"allow udp 7882 0.0.0.0/0 any 0.0.0.0/0 in {hexed(mark())}"


def commands(ufw: Ufw, *rows: object) -> list[str]:
    return [str(step.do) for step in plan_ufw(ufw, make_table(*rows))]  # type: ignore[arg-type]


ALLOW = f"ufw allow proto udp from 0.0.0.0/0 to any port 7882 comment '{mark()}'"


def test_what_is_missing_is_allowed_and_can_be_undone() -> None:
    [step] = plan_ufw(make_ufw("allow tcp 22 0.0.0.0/0 any 0.0.0.0/0 in"), make_table())
    assert str(step.do) == ALLOW
    assert str(step.undo) == "ufw delete allow proto udp from 0.0.0.0/0 to any port 7882"


def test_a_second_time_is_nothing_to_do() -> None:
    assert commands(make_ufw(OURS)) == []
    proxied = make_row(443, ip_network("10.0.0.7"))
    assert commands(make_ufw(f"allow udp 443 0.0.0.0/0 any 10.0.0.7 in {hexed(mark(proxied))}"), proxied) == []
    assert judge_ufw(make_ufw(OURS), make_table())[0].open is True


@pytest.mark.parametrize(
    "rule",
    [
        "allow udp 7882 0.0.0.0/0 any 0.0.0.0/0 in",
        "allow any 7882 0.0.0.0/0 any 0.0.0.0/0 in",
        "limit udp 80,7000:8000 0.0.0.0/0 any 0.0.0.0/0 in",
        "allow_log udp 7882 0.0.0.0/0 any 0.0.0.0/0 in_eth0",
        "allow udp 7882 0.0.0.0/0 any 0.0.0.0/0 Media%20Server - in",
        "allow any any 0.0.0.0/0 any 0.0.0.0/0 in",
    ],
)
def test_a_rule_of_the_administrator_that_does_it_is_not_taken_over(rule: str) -> None:
    """ufw would put our comment on it, and `revert` would delete it."""
    assert commands(make_ufw(rule)) == []


@pytest.mark.parametrize(
    "rule",
    [
        "allow tcp 7882 0.0.0.0/0 any 0.0.0.0/0 in",
        "allow udp 7882 0.0.0.0/0 any 10.0.0.0/8 in",
        "allow udp 7882 192.168.1.5 any 0.0.0.0/0 in",
        "allow udp 7882 0.0.0.0/0 any 0.0.0.0/0 out",
        "allow udp 7882 0.0.0.0/0 any 0.0.0.0/0 in_tun0",
        "route:allow udp 7882 0.0.0.0/0 any 0.0.0.0/0 in",
        "allow udp any 0.0.0.0/0 7882 0.0.0.0/0 in",
    ],
)
def test_a_rule_that_does_not_do_it_does_not_count(rule: str) -> None:
    assert commands(make_ufw(rule)) == [ALLOW]


def test_only_the_ip_version_that_is_missing_is_added() -> None:
    row = make_row(versions=(4, 6))
    ufw = make_ufw("allow udp 7882 0.0.0.0/0 any 0.0.0.0/0 in")
    assert [command.split()[5] for command in commands(ufw, row)] == ["::/0"]


def test_networks_are_named() -> None:
    row = make_row(7882, ip_network("192.168.1.0/24"), ip_network("10.0.0.0/8"))
    told = [command.split(" comment ")[0] for command in commands(make_ufw(), row)]
    assert told == [f"ufw allow proto udp from {net} to any port 7882" for net in ("192.168.1.0/24", "10.0.0.0/8")]


def test_denied_ports_stay_denied_and_are_reported() -> None:
    ufw = make_ufw("deny udp 7882 0.0.0.0/0 any 0.0.0.0/0 in", OURS)
    [verdict] = judge_ufw(ufw, make_table())
    assert (verdict.open, "deny 7882/udp from 0.0.0.0/0" in verdict.why) == (False, True)
    [banned] = judge_ufw(make_ufw("deny any any 0.0.0.0/0 any 203.0.113.7 in", OURS), make_table())
    assert banned.open is True
    [unknown] = judge_ufw(make_ufw("reject any any 192.168.1.9 any 0.0.0.0/0 in", OURS), make_table())
    assert unknown.open is None


def test_an_open_policy_needs_nothing() -> None:
    assert commands(make_ufw(policy="ACCEPT")) == []
    assert judge_ufw(make_ufw(policy="REJECT"), make_table())[0].open is False


def test_rules_of_ours_that_the_spec_no_longer_has_go() -> None:
    old = f"allow udp 7000:7010 0.0.0.0/0 any 0.0.0.0/0 in {hexed(mark(make_row((7000, 7010))))}"
    [gone, new] = plan_ufw(make_ufw(old), make_table())
    assert str(gone.do) == "ufw delete allow proto udp from 0.0.0.0/0 to any port 7000:7010"
    assert "comment" in str(gone.undo)
    assert str(new.do) == ALLOW


def test_revert_deletes_ours_and_no_others() -> None:
    other = f"allow udp 7882 0.0.0.0/0 any 10.0.0.0/8 in {hexed('lkhub:ffffffff media.udp')}"
    ufw = make_ufw("allow tcp 22 0.0.0.0/0 any 0.0.0.0/0 in", other, OURS)
    assert [str(step.do) for step in unplan_ufw(ufw, TAG)] == [
        "ufw delete allow proto udp from 0.0.0.0/0 to any port 7882"
    ]


def test_it_is_known_whether_ufw_is_on() -> None:
    assert make_ufw(enabled='"yes"').active
    assert not make_ufw(enabled="no").active
    assert not parse_ufw("", "", "", "").active


def test_a_ufw_without_ipv6_gets_no_rule_for_it() -> None:
    ufw = parse_ufw("ENABLED=yes", DEFAULTS.replace("IPV6=yes", "IPV6=no"), "", "")
    row = make_row(versions=(4, 6))
    assert commands(ufw, row) == [ALLOW]
    [verdict] = judge_ufw(replace(ufw, rules=make_ufw(OURS).rules), make_table(row))
    assert (verdict.open, "IPV6=no" in verdict.why) == (False, True)


def test_commands_for_people_say_any() -> None:
    [command] = list_ufw_commands(make_table())
    assert str(command) == f"ufw allow proto udp from any to any port 7882 comment '{mark()}'"
