from ipaddress import ip_network

from hypothesis import given
from hypothesis import strategies as st

from lkhub.firewall.nftables import comment_row, is_native, judge_nftables, plan_nftables, unplan_nftables
from lkhub.firewall.ruleset import Ruleset
from lkhub.firewall.table import FirewallRow, FirewallTable
from lkhub.spec.address import Network
from lkhub.spec.ports import PortRange
from tests.plan.rulesets import ACCEPT, COUNTER, DROP, LOG, REJECT, Row, ct_state, dport, jump, ruleset, saddr

TAG = "lkhub:0a1b2c3d"
LAN: tuple[Network, ...] = (ip_network("192.168.1.0/24"), ip_network("fd00::/64"))
PROLOGUE: list[Row] = [[ct_state("established", "related"), ACCEPT], [ct_state("invalid"), DROP]]


def make_row(ports: int | tuple[int, int] = 7882, *sources: Network, versions: tuple[int, ...] = (4,)) -> FirewallRow:
    span = PortRange(*ports) if isinstance(ports, tuple) else PortRange(ports, ports)
    return FirewallRow("udp", span, "media", "media", "media.udp", tuple(map(str, sources)), frozenset(versions))


def make_table(*rows: FirewallRow) -> FirewallTable:
    return FirewallTable("hub", "public", rows or (make_row(),), (), ("eth0",), TAG)


def script(rules: Ruleset, table: FirewallTable | None = None) -> list[str]:
    chains = [chain for chain in rules.input_chains() if is_native(chain)]
    return [line for step in plan_nftables(rules, table or make_table(), chains) for line in step.do.text.splitlines()]


def mark(row: FirewallRow | None = None) -> str:
    return comment_row(row or make_row(), TAG)


MARK = f'comment "{TAG} media.udp 7882/udp from anyone"'


def test_a_policy_that_drops_gets_the_rule_at_the_end() -> None:
    assert script(ruleset(*PROLOGUE, policy="drop")) == [f"add rule inet filter input udp dport 7882 accept {MARK}"]


def test_a_rule_that_drops_gets_it_in_front_and_behind_what_is_against_abuse() -> None:
    rules = ruleset(*PROLOGUE, [saddr("203.0.113.7"), DROP], [dport(22, "tcp"), ACCEPT], [COUNTER, REJECT])
    assert script(rules) == [f"insert rule inet filter input position 5 udp dport 7882 accept {MARK}"]


def test_what_is_logged_as_dropped_comes_after() -> None:
    rules = ruleset(*PROLOGUE, [LOG], [{"limit": {"rate": 1}}, LOG], policy="drop")
    assert script(rules) == [f"insert rule inet filter input position 3 udp dport 7882 accept {MARK}"]


def test_a_chain_that_drops_is_passed_before_the_jump_to_it() -> None:
    rules = ruleset(*PROLOGUE, [jump("wan")], others={"wan": [[DROP]]})
    assert script(rules) == [f"insert rule inet filter input position 3 udp dport 7882 accept {MARK}"]


def test_what_is_open_already_needs_nothing() -> None:
    assert script(ruleset([dport({"range": [7000, 8000]}), ACCEPT], policy="drop")) == []
    assert script(ruleset(*PROLOGUE)) == []


def test_each_network_gets_a_rule_of_its_ip_version() -> None:
    table = make_table(make_row(7882, *LAN, versions=(4, 6)))
    lines = script(ruleset(policy="drop"), table)
    assert [line.partition(" accept")[0] for line in lines] == [
        "add rule inet filter input ip saddr 192.168.1.0/24 udp dport 7882",
        "add rule inet filter input ip6 saddr fd00::/64 udp dport 7882",
    ]
    [only] = script(ruleset(policy="drop", family="ip6"), table)
    assert "ip6 saddr fd00::/64" in only


def test_a_chain_of_an_ip_version_that_nothing_listens_on_is_left_alone() -> None:
    assert script(ruleset(policy="drop", family="ip6")) == []


def test_a_second_time_is_nothing_to_do_and_other_rules_of_ours_go() -> None:
    done = ([dport(7882), ACCEPT], mark())
    assert script(ruleset(*PROLOGUE, done, policy="drop")) == []
    old = ([dport(7000), ACCEPT], mark(make_row(7000)))
    lines = script(ruleset(*PROLOGUE, old, policy="drop"))
    assert lines == [
        "delete rule inet filter input handle 3",
        f"add rule inet filter input udp dport 7882 accept {MARK}",
    ]


def test_a_rule_of_ours_that_came_behind_the_drop_is_moved() -> None:
    done = ([dport(7882), ACCEPT], mark())
    assert script(ruleset(*PROLOGUE, [DROP], done)) == [
        "delete rule inet filter input handle 4",
        f"insert rule inet filter input position 3 udp dport 7882 accept {MARK}",
    ]


def test_revert_takes_out_ours_and_no_others() -> None:
    other_hub = ([dport(7882), ACCEPT], "lkhub:ffffffff media.udp 7882/udp from anyone")
    similar = ([dport(7882), ACCEPT], f"{TAG}x media.udp")
    rules = ruleset(other_hub, ([dport(7882), ACCEPT], mark()), similar, ([ACCEPT], "web"), policy="drop")
    [step] = unplan_nftables(rules, TAG)
    assert step.do.text == "delete rule inet filter input handle 2\n"
    assert unplan_nftables(ruleset(policy="drop"), TAG) == ()


def test_chains_of_other_programs_are_not_written_to() -> None:
    for owned in (ruleset(policy="drop", table="firewalld"), ruleset(policy="drop", family="ip", chain="INPUT")):
        assert script(owned) == []


def test_verdicts_name_the_rule() -> None:
    rules = ruleset(*PROLOGUE, [dport(7882), DROP])
    [verdict] = judge_nftables(rules, make_table(), list(rules.input_chains()))
    assert (verdict.open, verdict.why) == (False, "dropped by rule 3 of inet filter input")
    rules = ruleset(policy="drop")
    [verdict] = judge_nftables(rules, make_table(), list(rules.input_chains()))
    assert (verdict.open, verdict.why) == (False, "dropped by the policy of inet filter input")
    rules = ruleset([{"quota": {}}, DROP])
    [verdict] = judge_nftables(rules, make_table(), list(rules.input_chains()))
    assert verdict.open is None
    assert "rule 1 of inet filter input" in verdict.why


def test_a_long_comment_still_tells_rows_apart() -> None:
    many: list[Network] = [ip_network(f"10.{number}.0.0/16") for number in range(20)]
    one, other = make_row(7882, *many), make_row(7882, *many[:-1])
    assert len(comment_row(one, TAG)) <= 128
    assert comment_row(one, TAG) != comment_row(other, TAG)


SIMPLE = st.sampled_from(
    [
        [DROP],
        [ACCEPT],
        [REJECT],
        [LOG],
        [dport(7882), ACCEPT],
        [dport(7882), DROP],
        [dport(22, "tcp"), ACCEPT],
        [dport(22), DROP],
        [saddr("203.0.113.7"), DROP],
        [ct_state("established"), ACCEPT],
        [jump("below")],
    ]
)


@given(
    st.lists(SIMPLE, max_size=6),
    st.lists(SIMPLE.filter(lambda rule: rule != [jump("below")]), max_size=3),
    st.booleans(),
)
def test_with_the_planned_rules_the_row_is_open(rules: list[Row], below: list[Row], drops: bool) -> None:
    """Whatever the chain looks like, the script opens the row, and is not needed twice."""
    policy = "drop" if drops else "accept"
    before = ruleset(*rules, policy=policy, others={"below": below})
    added = [([dport(7882), ACCEPT], mark())]
    lines = script(before)
    assert len(lines) <= 1
    if lines:
        words = lines[0].split()
        at = int(words[6]) - 1 if words[0] == "insert" else len(rules)
        after = ruleset(*rules[:at], *added, *rules[at:], policy=policy, others={"below": below})
        [verdict] = judge_nftables(after, make_table(), list(after.input_chains()))
        assert verdict.open is True
        assert script(after) == []
