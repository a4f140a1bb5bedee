"""The rules that an existing nftables ruleset needs to let a hub's rows through, and their places.

An accept in a table of our own would have no effect: a packet goes through every input chain, and a drop in any of them
is final (nft(8), VERDICT STATEMENTS). So the rules go into the chains that would drop.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

from lkhub.firewall.packet import Packets, list_packets
from lkhub.firewall.ruleset import Chain, ChainName, Rule, Ruleset, follow, is_log, list_marked
from lkhub.firewall.table import Command, FirewallRow, FirewallTable, Step, Verdict, show_network
from lkhub.spec.address import Network

# nftables keeps 128 bytes of a comment (libnftnl, udata).
_COMMENT = 120

# The programs of these tables rewrite their chains, and so delete rules that other programs added.
_OWNED_TABLES = {"firewalld"}
_IPTABLES_CHAIN = ("filter", "INPUT")


@dataclass(frozen=True)
class Wanted:
    """A rule that has to be in `chain`, before the rule with this handle; None: at the end."""

    chain: ChainName
    before: int | None
    match: str
    comment: str

    def __str__(self) -> str:
        if self.before is None:
            return f'add rule {self.chain} {self.match} accept comment "{self.comment}"'
        return f'insert rule {self.chain} position {self.before} {self.match} accept comment "{self.comment}"'


def match_rows(row: FirewallRow, family: str = "inet") -> Iterator[str]:
    """The row as conditions of nftables for a chain of this family, one condition for each rule."""
    ports = f"{row.protocol} dport {row.ports}"
    if not row.networks:
        yield ports
        return
    for version, keyword in ((4, "ip"), (6, "ip6")):
        networks = [source for source in row.networks if source.version == version]
        if networks and family in ("inet", keyword):
            yield f"{keyword} saddr {_show_set(networks)} {ports}"


def comment_row(row: FirewallRow, tag: str) -> str:
    """The comment that marks a row's rules. It contains the whole row, so that rules with the same mark do the same."""
    text = f"{tag} {row.key} {row} from {row.source}"
    if len(text) <= _COMMENT:
        return text
    return f"{tag} {row.key} {row} {hashlib.sha256(text.encode()).hexdigest()[:8]}"


def is_native(chain: Chain) -> bool:
    """Whether only the administrator writes to this chain."""
    return not is_iptables(chain) and chain.name.table not in _OWNED_TABLES


def is_iptables(chain: Chain) -> bool:
    """Whether the chain belongs to iptables, which runs on nftables everywhere today."""
    return chain.name.family in ("ip", "ip6") and (chain.name.table, chain.name.chain) == _IPTABLES_CHAIN


def judge_nftables(ruleset: Ruleset, table: FirewallTable, chains: list[Chain]) -> tuple[Verdict, ...]:
    """For each row, whether `chains` let it through."""
    return tuple(_judge_row(ruleset, row, table, chains) for row in table.rows)


def _judge_row(ruleset: Ruleset, row: FirewallRow, table: FirewallTable, chains: list[Chain]) -> Verdict:
    doubts: list[str] = []
    for chain in chains:
        for packets in _list_packets(row, table, chain):
            outcome = follow(ruleset, chain, packets)
            if outcome.verdict == "drop":
                return Verdict(row, False, f"dropped by {_name_place(chain, outcome.at)}")
            doubts += outcome.doubts
    if doubts:
        return Verdict(row, None, f"not understood, and may drop it: {', '.join(dict.fromkeys(doubts))}")
    return Verdict(row, True, "")


def _name_place(chain: Chain, index: int) -> str:
    if index < len(chain.rules):
        return f"rule {chain.rules[index].handle} of {chain.name}"
    return f"the policy of {chain.name}"


def _list_packets(row: FirewallRow, table: FirewallTable, chain: Chain) -> list[Packets]:
    version = {"ip": 4, "ip6": 6}.get(chain.name.family)
    return [packets for packets in list_packets(row, table) if version in (None, packets.version)]


def plan_nftables(ruleset: Ruleset, table: FirewallTable, chains: list[Chain]) -> tuple[Step, ...]:
    """One script that adds missing rules and removes this hub's other rules; none where there is nothing to do."""
    marked = list(list_marked(ruleset, table.tag))
    wanted = [rule for chain in chains for rule in _list_wanted(ruleset, table, chain)]
    as_wanted = sorted(
        (
            rule.chain,
            rule.comment,
        )
        for rule in wanted
    ) == sorted((name, rule.comment) for name, rule in marked)
    if as_wanted and not any(verdict.open is False for verdict in judge_nftables(ruleset, table, chains)):
        return ()
    return _script([*_deletions(marked), *map(str, wanted)])


def unplan_nftables(ruleset: Ruleset, tag: str) -> tuple[Step, ...]:
    """The script that removes every rule of this hub, and nothing else."""
    return _script(_deletions(list(list_marked(ruleset, tag))))


def _deletions(marked: list[tuple[ChainName, Rule]]) -> list[str]:
    return [f"delete rule {name} handle {rule.handle}" for name, rule in marked]


def _script(lines: list[str]) -> tuple[Step, ...]:
    # nft applies a file completely or not at all, so there is nothing to undo.
    return (Step(Command(("nft", "-f", "-"), "".join(f"{line}\n" for line in lines))),) if lines else ()


def _list_wanted(ruleset: Ruleset, table: FirewallTable, chain: Chain) -> Iterator[Wanted]:
    """The rules that `chain` needs, determined as if it had no rule of this hub yet."""
    others = Chain(
        *(chain.name, chain.hook, chain.kind, chain.policy),
        rules=tuple(rule for rule in chain.rules if rule.comment.split(" ")[0] != table.tag),
    )
    for row in table.rows:
        places = [
            _find_place(ruleset, others, outcome.at, packets)
            for packets in _list_packets(row, table, chain)
            for outcome in [follow(ruleset, others, packets)]
            if outcome.verdict == "drop"
        ]
        if places:
            before = others.rules[min(places)].handle if min(places) < len(others.rules) else None
            for match in match_rows(row, chain.name.family):
                yield Wanted(chain.name, before, match, comment_row(row, table.tag))


def _find_place(ruleset: Ruleset, chain: Chain, drop: int, packets: Packets) -> int:
    """The index for a new rule: before the rule that drops, and before the rule that logs the drop."""
    while drop > 0 and is_log(ruleset, chain, chain.rules[drop - 1], packets):
        drop -= 1
    return drop


def _show_set(networks: list[Network]) -> str:
    texts = [show_network(network) for network in networks]
    return texts[0] if len(texts) == 1 else f"{{ {', '.join(texts)} }}"
