from dataclasses import replace

from lkhub.firewall.change import Found, Unread, judge_found, list_firewalls, plan_apply, plan_revert
from lkhub.firewall.firewalld import Added
from tests.firewall.test_firewalld import NOTHING, make_firewalld
from tests.firewall.test_nftables import TAG, make_row, make_table, mark
from tests.firewall.test_ufw import make_ufw
from tests.plan.rulesets import ACCEPT, DROP, dport, ruleset

OPEN, CLOSED = ruleset(), ruleset(policy="drop")
TABLE = make_table()


def test_without_a_firewall_ports_are_open_and_there_is_nothing_to_do() -> None:
    found = Found(ruleset=OPEN)
    assert list_firewalls(found, TABLE) == ()
    assert [verdict.open for verdict in judge_found(found, TABLE)] == [True]
    assert plan_apply(found, TABLE, NOTHING).steps == ()


def test_a_kernel_that_could_not_be_asked_is_unknown() -> None:
    [verdict] = judge_found(Found(problem="nft is not here"), TABLE)
    assert (verdict.open, verdict.why) == (None, "nftables: nft is not here")


def test_a_firewall_that_could_not_be_asked_makes_open_ports_unknown_and_closed_ones_stay_closed() -> None:
    slow = Unread("firewalld", "it did not answer")
    [verdict] = judge_found(Found(ruleset=ruleset(policy="accept"), unread=(slow,)), TABLE)
    assert (verdict.open, verdict.why) == (None, "firewalld: it did not answer")
    assert judge_found(Found(ruleset=CLOSED, unread=(slow,)), TABLE)[0].open is False


def test_packets_must_get_through_all_firewalls() -> None:
    found = Found(make_ufw("allow udp 7882 0.0.0.0/0 any 0.0.0.0/0 in"), make_firewalld(), CLOSED)
    assert list_firewalls(found, TABLE) == ("ufw", "firewalld", "nftables")
    assert judge_found(found, TABLE)[0].open is False
    programs = [step.do.argv[0] for step in plan_apply(found, TABLE, NOTHING).steps]
    assert programs == ["firewall-cmd", "firewall-cmd", "nft"]


def test_rules_of_ours_are_known_in_a_firewall_that_is_open_by_them() -> None:
    found = Found(ruleset=ruleset(([dport(7882), ACCEPT], mark()), policy="drop"))
    assert list_firewalls(found, TABLE) == ("nftables",)
    assert judge_found(found, TABLE)[0].open is True
    [step] = plan_revert(found, TAG, NOTHING).steps
    assert step.do.text == "delete rule inet filter input handle 1\n"


def test_chains_that_ufw_writes_are_judged_by_its_rules() -> None:
    chains = ruleset(policy="drop", family="ip", chain="INPUT")
    found = Found(make_ufw("allow udp 7882 0.0.0.0/0 any 0.0.0.0/0 in"), ruleset=chains)
    assert judge_found(found, TABLE)[0].open is True
    assert list_firewalls(found, TABLE) == ("ufw",)


def test_iptables_is_told_of_and_not_written_to() -> None:
    chains = ruleset([dport(22, "tcp"), ACCEPT], [DROP], family="ip", chain="INPUT")
    found = Found(make_ufw(enabled="no"), ruleset=chains)
    assert list_firewalls(found, TABLE) == ("iptables",)
    assert judge_found(found, TABLE)[0].open is False
    change = plan_apply(found, TABLE, NOTHING)
    assert change.steps == ()
    assert [str(command) for command in change.by_hand] == [
        f"iptables -I INPUT -p udp --dport 7882 -m comment --comment '{mark()}' -j ACCEPT"
    ]


def test_old_iptables_is_not_read() -> None:
    found = Found(ruleset=OPEN, legacy=True)
    table = make_table(make_row((7000, 7010), versions=(4, 6)))
    assert list_firewalls(found, table) == ("iptables",)
    assert judge_found(found, table)[0].open is None
    programs = [command.argv[:6] for command in plan_apply(found, table, NOTHING).by_hand]
    assert programs == [(program, "-I", "INPUT", "-p", "udp", "--dport") for program in ("iptables", "ip6tables")]


def test_a_ufw_that_is_off_is_not_added_to_and_is_cleaned() -> None:
    ufw = make_ufw(f"allow udp 7882 0.0.0.0/0 any 0.0.0.0/0 in comment={mark().encode().hex()}")
    found = Found(replace(ufw, active=False), ruleset=OPEN)
    assert plan_apply(Found(replace(ufw, rules=(), active=False), ruleset=OPEN), TABLE, NOTHING).steps == ()
    assert len(plan_revert(found, TAG, NOTHING).steps) == 1


def test_after_revert_nothing_is_recorded() -> None:
    recorded = frozenset({Added(False, "public", "port", "7882/udp")})
    change = plan_revert(Found(firewalld=make_firewalld("7882/udp")), TAG, recorded)
    assert (len(change.steps), change.recorded) == (1, NOTHING)
