"""What stands between clients and a hub on this machine, and how to change it. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from lkhub.firewall.firewalld import Added, Firewalld, judge_firewalld, plan_firewalld, unplan_firewalld
from lkhub.firewall.nftables import (
    comment_row,
    is_iptables,
    is_native,
    judge_nftables,
    plan_nftables,
    unplan_nftables,
)
from lkhub.firewall.packet import list_packets
from lkhub.firewall.ruleset import Chain, Ruleset, list_marked
from lkhub.firewall.table import Command, FirewallRow, FirewallTable, Step, Verdict, show_network
from lkhub.firewall.ufw import Ufw, judge_ufw, plan_ufw, unplan_ufw

# Why nftables could not be read if a program has to be installed first.
NO_NFT = "nft is not on this machine"


@dataclass(frozen=True)
class Unread:
    """A firewall that may be there and could not be read, and why. `again`: a second try may succeed, as root or with
    more time."""

    firewall: str
    why: str
    again: bool = True

    def __str__(self) -> str:
        return f"{self.firewall}: {self.why}"


@dataclass(frozen=True)
class Found:
    """The firewalls of this machine. `firewalld` None: it does not run. `ruleset` None: nftables could not be asked,
    and `problem` says why. `legacy`: the kernel has tables of the iptables from before nftables. `unread` are firewalls
    that could not be read.
    """

    ufw: Ufw | None = None
    firewalld: Firewalld | None = None
    ruleset: Ruleset | None = None
    legacy: bool = False
    problem: str = ""
    unread: tuple[Unread, ...] = ()

    @property
    def unknown(self) -> tuple[Unread, ...]:
        """All firewalls that could not be read."""
        nftables = [Unread("nftables", self.problem, again=False)] if self.problem else []
        legacy = (
            [Unread("iptables-legacy", "it has rules, which lkhub does not read", again=False)] if self.legacy else []
        )
        return (*self.unread, *nftables, *legacy)


@dataclass(frozen=True)
class Change:
    """`steps` in order, none where there is nothing to do; `recorded` is what this hub then has in firewalld. `by_hand`
    are commands for a firewall that lkhub does not write to."""

    steps: tuple[Step, ...]
    recorded: frozenset[Added]
    by_hand: tuple[Command, ...] = ()


def list_firewalls(found: Found, table: FirewallTable) -> tuple[str, ...]:
    """The firewalls that decide about the table's rows; () where there are none."""
    names = []
    if found.ufw and found.ufw.active:
        names.append("ufw")
    if found.firewalld:
        names.append("firewalld")
    if found.ruleset and any(_decides(found.ruleset, chain, table) for chain in _native_chains(found)):
        names.append("nftables")
    if found.legacy or (found.ruleset and any(_decides(found.ruleset, c, table) for c in _iptables_chains(found))):
        names.append("iptables")
    return tuple(names)


def _decides(ruleset: Ruleset, chain: Chain, table: FirewallTable) -> bool:
    has_own = any(name == chain.name for name, _ in list_marked(ruleset, table.tag))
    return has_own or any(verdict.open is not True for verdict in judge_nftables(ruleset, table, [chain]))


def _native_chains(found: Found) -> list[Chain]:
    return [chain for chain in found.ruleset.input_chains() if is_native(chain)] if found.ruleset else []


def _iptables_chains(found: Found) -> list[Chain]:
    """The chains of iptables, unless ufw writes them."""
    if found.ruleset is None or (found.ufw and found.ufw.active):
        return []
    return [chain for chain in found.ruleset.input_chains() if is_iptables(chain)]


def judge_found(found: Found, table: FirewallTable) -> tuple[Verdict, ...]:
    """For each row, whether all firewalls of this machine let it through."""
    rounds: list[tuple[Verdict, ...]] = []
    if found.ufw and found.ufw.active:
        rounds.append(judge_ufw(found.ufw, table))
    if found.firewalld:
        rounds.append(judge_firewalld(found.firewalld, table))
    if found.ruleset is not None:
        rounds.append(judge_nftables(found.ruleset, table, [*_native_chains(found), *_iptables_chains(found)]))
    rounds += [tuple(Verdict(row, None, str(unread)) for row in table.rows) for unread in found.unknown]
    return tuple(map(_least, zip(*rounds, strict=True))) if rounds else ()


def _least(verdicts: tuple[Verdict, ...]) -> Verdict:
    """The verdict that decides: a packet must get through all firewalls."""
    return min(verdicts, key=lambda verdict: {False: 0, None: 1, True: 2}[verdict.open])


def plan_apply(found: Found, table: FirewallTable, recorded: frozenset[Added]) -> Change:
    """The change that lets exactly the table's rows through."""
    steps: list[Step] = []
    if found.ufw and found.ufw.active:
        steps += plan_ufw(found.ufw, table)
    if found.firewalld:
        more, recorded = plan_firewalld(found.firewalld, table, recorded)
        steps += more
    if found.ruleset:
        steps += plan_nftables(found.ruleset, table, _native_chains(found))
    return Change(tuple(steps), recorded, tuple(_list_by_hand(found, table)))


def plan_revert(found: Found, tag: str, recorded: frozenset[Added]) -> Change:
    """The change that removes what this hub has in the firewalls, and nothing else."""
    steps: list[Step] = []
    if found.ufw:
        steps += unplan_ufw(found.ufw, tag)
    if found.firewalld:
        steps += unplan_firewalld(found.firewalld, recorded)
        recorded = frozenset()
    if found.ruleset:
        steps += unplan_nftables(found.ruleset, tag)
    return Change(tuple(steps), recorded)


def _list_by_hand(found: Found, table: FirewallTable) -> Iterator[Command]:
    for row in table.rows:
        dropped = found.legacy or (
            found.ruleset is not None
            and any(
                verdict.open is not True
                for verdict in judge_nftables(found.ruleset, replace(table, rows=(row,)), _iptables_chains(found))
            )
        )
        if dropped:
            yield from list_iptables_commands(row, table)


def list_iptables_commands(row: FirewallRow, table: FirewallTable) -> Iterator[Command]:
    """`iptables` and `ip6tables` commands that let a row in, at the top of INPUT."""
    for packets in list_packets(row, table):
        program = "iptables" if packets.version == 4 else "ip6tables"
        ports = ("-p", row.protocol, "--dport", str(row.ports).replace("-", ":"))
        mark = ("-m", "comment", "--comment", comment_row(row, table.tag))
        for source in [*map(show_network, packets.sources)] or [""]:
            yield Command((program, "-I", "INPUT", *ports, *(("-s", source) if source else ()), *mark, "-j", "ACCEPT"))
