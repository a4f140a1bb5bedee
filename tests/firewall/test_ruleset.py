from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lkhub.firewall.packet import Packets
from lkhub.firewall.ruleset import ChainName, Ruleset, follow, parse_ruleset
from lkhub.spec.ports import PortRange
from tests.plan.rulesets import (
    ACCEPT,
    COUNTER,
    DROP,
    IIFNAME,
    L4PROTO,
    LOG,
    REJECT,
    RETURN,
    Row,
    ct_state,
    dport,
    field,
    jump,
    match,
    ruleset,
    saddr,
)

MEDIA = Packets("udp", PortRange(7882, 7882), 4, (), ("eth0",))
PREFIX = {"prefix": {"addr": "10.1.0.0", "len": 16}}


def outcome(rules: Ruleset, packets: Packets = MEDIA) -> tuple[str, int]:
    [chain] = rules.input_chains()
    found = follow(rules, chain, packets)
    return found.verdict, found.at


def doubts(rules: Ruleset) -> tuple[str, ...]:
    [chain] = rules.input_chains()
    return follow(rules, chain, MEDIA).doubts


@pytest.mark.parametrize(
    "statements",
    [
        [DROP],
        [COUNTER, LOG, REJECT],
        [dport(7882), DROP],
        [dport({"set": [22, {"range": [7000, 8000]}]}), DROP],
        [dport(22, op="!="), DROP],
        [dport(1024, op=">"), DROP],
        [dport(7882, op="<="), DROP],
        [dport(7882, "th"), DROP],
        [match(L4PROTO, "udp"), DROP],
        [match(L4PROTO, {"set": ["tcp", 17]}), DROP],
        [match(field("ip", "protocol"), "udp"), DROP],
        [match({"meta": {"key": "nfproto"}}, "ipv4"), DROP],
        [match(IIFNAME, "eth0"), DROP],
        [match(IIFNAME, "lo", "!="), DROP],
        [ct_state("new"), DROP],
        [ct_state("invalid", "new"), DROP],
        [match({"meta": {"key": "pkttype"}}, "host"), {"limit": {"rate": 5, "per": "second"}}, REJECT],
        [match({"fib": {"result": "type", "flags": ["daddr"]}}, "local"), DROP],
        [saddr({"prefix": {"addr": "0.0.0.0", "len": 0}}), DROP],
        [{"set": {"op": "add", "elem": field("ip", "saddr"), "set": "@seen"}}, DROP],
        [{"xt": {"type": "target", "name": "REJECT"}}],
        [{"vmap": {"key": L4PROTO, "data": {"set": [["tcp", ACCEPT], ["udp", DROP]]}}}],
        [{"vmap": {"key": {"concat": [IIFNAME, L4PROTO]}, "data": {"set": [[{"concat": ["eth0", "udp"]}, DROP]]}}}],
    ],
    ids=str,
)
def test_a_rule_that_drops_clients(statements: list[Any]) -> None:
    assert outcome(ruleset([ct_state("established", "related"), ACCEPT], statements)) == ("drop", 1)


@pytest.mark.parametrize(
    "statements",
    [
        [dport(22), DROP],
        [dport(1024, op="<"), DROP],
        [dport(7882, "tcp"), DROP],
        [dport(7882, "tcp", "!="), DROP],
        [match(L4PROTO, "tcp"), DROP],
        [match(field("ip6", "saddr"), "::1"), DROP],
        [match(field("ip6", "nexthdr"), "udp", "!="), DROP],
        [match(IIFNAME, "lo"), DROP],
        [ct_state("invalid"), DROP],
        [match({"fib": {"result": "type", "flags": ["daddr"]}}, {"set": ["broadcast", "multicast"]}), DROP],
        [match(field("ip", "daddr"), {"prefix": {"addr": "224.0.0.0", "len": 4}}), DROP],
        [match({"tcp option": {"name": "maxseg", "field": "size"}}, {"range": [1, 500]}), DROP],
        [LOG],
        [{"xt": {"type": "target", "name": "LOG"}}],
        [{"vmap": {"key": {"ct": {"key": "state"}}, "data": {"set": [["established", ACCEPT], ["invalid", DROP]]}}}],
    ],
    ids=str,
)
def test_a_rule_about_others(statements: list[Any]) -> None:
    assert outcome(ruleset(statements)) == ("accept", 1)
    assert doubts(ruleset(statements)) == ()


@pytest.mark.parametrize(
    "statements",
    [
        [saddr("203.0.113.7"), DROP],
        [saddr({"set": [PREFIX, "203.0.113.7"]}), DROP],
        [saddr("@bans"), DROP],
        [dport(7882), {"limit": {"rate": 500, "per": "second", "inv": True}}, DROP],
        [{"ct count": {"val": 50, "inv": True}}, REJECT],
        [{"set": {"op": "update", "elem": {}, "set": "@seen", "stmt": [{"limit": {"rate": 9, "inv": True}}]}}, DROP],
        [match({"fib": {"result": "oif", "flags": ["saddr", "iif"]}}, False), DROP],
        [{"xt": {"type": "match", "name": "conntrack"}}, DROP],
    ],
    ids=str,
)
def test_a_rule_against_abuse_neither_closes_a_port_nor_makes_it_unknown(statements: list[Any]) -> None:
    bans = {"name": "bans", "type": "ipv4_addr", "elem": ["203.0.113.9", PREFIX]}
    rules = ruleset(statements, sets=[bans])
    assert (outcome(rules), doubts(rules)) == (("accept", 1), ())


@pytest.mark.parametrize(
    "statements",
    [
        [saddr(PREFIX, "!="), DROP],
        [match({"meta": {"key": "mark"}}, 7), DROP],
        [match({"meta": {"key": "hour"}}, "08:00"), REJECT],
        [match(field("ip", "daddr"), "192.168.1.5"), DROP],
        [{"xt": {"type": "match", "name": "recent"}}, DROP],
        [{"quota": {"val": 5}}, DROP],
        [{"something of tomorrow": {}}, DROP],
        [{"queue": {"num": 1}}],
        [match(field("udp", "length"), 1000, ">"), DROP],
        [match({"meta": {"key": "mark"}}, 7), jump("below")],
    ],
    ids=str,
)
def test_what_is_not_understood_is_a_doubt(statements: list[Any]) -> None:
    rules = ruleset(statements, others={"below": [[DROP]]})
    assert outcome(rules)[0] == "accept"
    assert doubts(rules) == ("rule 1 of inet filter input",)


def test_what_is_not_understood_never_counts_as_open() -> None:
    rules = ruleset([match({"meta": {"key": "mark"}}, 7), ACCEPT], [{"xt": None}, ACCEPT], policy="drop")
    assert outcome(rules) == ("drop", 2)


def test_a_part_of_a_range_is_not_the_range() -> None:
    wide = Packets("udp", PortRange(50000, 60000), 4, (), ("eth0",))
    part = dport({"range": [50000, 55000]})
    assert outcome(ruleset([part, ACCEPT], policy="drop"), wide) == ("drop", 1)
    assert outcome(ruleset([part, DROP]), wide) == ("drop", 0)
    assert outcome(ruleset([dport({"range": [1024, 65535]}), ACCEPT], policy="drop"), wide) == ("accept", 0)


def test_the_first_that_decides_wins() -> None:
    assert outcome(ruleset([dport(7882), ACCEPT], [DROP])) == ("accept", 0)
    assert outcome(ruleset([dport(7882), DROP], [dport(7882), ACCEPT])) == ("drop", 0)


@pytest.mark.parametrize(
    ("below", "expected"),
    [
        ([[dport(7882), ACCEPT]], ("accept", 0)),
        ([[dport(7882), DROP]], ("drop", 0)),
        ([[dport(22), ACCEPT]], ("drop", 1)),
        ([[dport(7882), RETURN], [ACCEPT]], ("drop", 1)),
    ],
)
def test_chains_that_are_jumped_to(below: list[Row], expected: tuple[str, int]) -> None:
    assert outcome(ruleset([jump("below")], policy="drop", others={"below": below})) == expected


def test_packets_do_not_return_from_goto() -> None:
    rules = ruleset([{"goto": {"target": "below"}}], [ACCEPT], policy="drop", others={"below": [[dport(22), ACCEPT]]})
    assert outcome(rules) == ("drop", 0)


def test_chains_that_jump_to_each_other_end() -> None:
    rules = ruleset([jump("a")], policy="drop", others={"a": [[jump("b")]], "b": [[jump("a")]]})
    assert outcome(rules) == ("drop", 1)


def test_a_map_by_name_is_looked_up() -> None:
    verdicts = {"name": "ports", "type": "inet_service", "map": "verdict", "elem": [[7882, ACCEPT], [22, DROP]]}
    vmap = {"vmap": {"key": field("udp", "dport"), "data": "@ports"}}
    items = [
        {"map": {"family": "inet", "table": "filter", **verdicts}},
        {
            "chain": {
                "family": "inet",
                "table": "filter",
                "name": "input",
                "type": "filter",
                "hook": "input",
                "policy": "drop",
            }
        },
        {"rule": {"family": "inet", "table": "filter", "chain": "input", "handle": 1, "expr": [vmap]}},
    ]
    assert outcome(parse_ruleset({"nftables": items})) == ("accept", 0)


def test_only_filters_of_what_comes_in_are_judged() -> None:
    where = {"family": "inet", "table": "t", "policy": "drop"}
    items = [
        {"chain": {**where, "name": "out", "type": "filter", "hook": "output"}},
        {"chain": {**where, "name": "nat", "type": "nat", "hook": "input"}},
        {"chain": {**where, "name": "in", "type": "filter", "hook": "input"}},
        {"chain": {**where, "name": "link", "family": "netdev", "type": "filter", "hook": "input"}},
    ]
    assert [chain.name for chain in parse_ruleset({"nftables": items}).input_chains()] == [ChainName("inet", "t", "in")]


def test_something_else_is_refused() -> None:
    documents: list[dict[str, Any]] = [{}, {"nftables": [{"rule": {}}]}, {"nftables": [{"chain": {"name": "x"}}]}]
    for wrong in documents:
        with pytest.raises((LookupError, TypeError, ValueError)):
            parse_ruleset(wrong)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(["udp", "lo", "@bans", "10.0.0.0", "", "new"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["set", "range", "prefix", "concat", "elem", "addr", "len"]), inner, max_size=2
        )
    ),
    max_leaves=6,
)
LEFTS = [L4PROTO, IIFNAME, field("udp", "dport"), field("ip", "saddr"), field("ip", "daddr"), {"ct": {"key": "state"}}]
LEFTS += [{"concat": [IIFNAME, L4PROTO]}, {"meta": {"key": "nfproto"}}, {"meta": {"key": "pkttype"}}]


@given(st.sampled_from(LEFTS), values, st.sampled_from(["==", "!=", "in", "<"]))
def test_no_value_is_too_odd(left: Any, right: Any, op: str) -> None:
    verdict, _ = outcome(ruleset([match(left, right, op), ACCEPT], policy="drop"))
    assert verdict in ("accept", "drop")
