"""A hub's rows in ufw. Its rules are read from user.rules and user6.rules, where each has a line `### tuple ###`
(ufw's backend_iptables.py, `_write_rules`; seen in 0.36)."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from lkhub.firewall.nftables import comment_row
from lkhub.firewall.packet import Fit, Packets, list_packets, parse_network
from lkhub.firewall.table import Command, FirewallRow, FirewallTable, Step, Verdict, show_network
from lkhub.spec.ports import PortRange

_TUPLE = re.compile(r"^### tuple ### (.*)$", re.MULTILINE)
_POLICY = re.compile(r'^DEFAULT_INPUT_POLICY="?(\w+)"?', re.MULTILINE)
_ENABLED = re.compile(r"^ENABLED=[\"']?yes", re.MULTILINE | re.IGNORECASE)
_NO_IPV6 = re.compile(r"^IPV6=[\"']?no", re.MULTILINE | re.IGNORECASE)
_ANYWHERE = {4: "0.0.0.0/0", 6: "::/0"}


@dataclass(frozen=True)
class UfwRule:
    """One rule, of one IP version. `ports` empty: all. `via` is the interface that it is for, "" for all."""

    version: int
    action: str
    protocol: str
    ports: tuple[PortRange, ...]
    to: str
    sports: str
    source: str
    via: str
    comment: str


@dataclass(frozen=True)
class Ufw:
    """What ufw does with packets that no rule takes, and its rules in order. While not `active` it filters nothing.
    Without `ipv6` it drops all IPv6 packets, and accepts no rule for IPv6."""

    policy: str
    rules: tuple[UfwRule, ...]
    active: bool = True
    ipv6: bool = True


def parse_ufw(settings: str, defaults: str, rules: str, rules6: str) -> Ufw:
    """Read the texts of ufw.conf, /etc/default/ufw, user.rules and user6.rules."""
    policy = _POLICY.search(defaults)
    found = [*_parse_rules(rules, 4), *_parse_rules(rules6, 6)]
    return Ufw(
        policy[1].lower() if policy else "drop",
        tuple(found),
        active=_ENABLED.search(settings) is not None,
        ipv6=_NO_IPV6.search(defaults) is None,
    )


def _parse_rules(text: str, version: int) -> Iterator[UfwRule]:
    for line in _TUPLE.findall(text):
        words, _, comment = line.partition(" comment=")
        fields = words.split()
        # With application profiles two more fields stand before the last.
        if len(fields) not in (7, 9) or not fields[-1].startswith("in"):
            continue
        action, protocol, ports, to, sports, source = fields[:6]
        yield UfwRule(
            *(version, action.partition("_")[0], protocol, _parse_ports(ports), to, sports, source),
            via=fields[-1].partition("_")[2],
            comment=bytes.fromhex(comment).decode(errors="replace"),
        )


def _parse_ports(text: str) -> tuple[PortRange, ...]:
    if text == "any":
        return ()
    pairs = (part.partition(":") for part in text.split(","))
    return tuple(PortRange(int(start), int(end or start)) for start, _, end in pairs)


def judge_ufw(ufw: Ufw, table: FirewallTable) -> tuple[Verdict, ...]:
    """For each row, whether ufw lets it through."""
    return tuple(_judge_row(ufw, row, table) for row in table.rows)


def _judge_row(ufw: Ufw, row: FirewallRow, table: FirewallTable) -> Verdict:
    verdicts = [_judge_packets(ufw, row, packets) for packets in list_packets(row, table)]
    for wanted in (False, None):
        for verdict in verdicts:
            if verdict.open is wanted:
                return verdict
    return Verdict(row, True, "")


def _judge_packets(ufw: Ufw, row: FirewallRow, packets: Packets) -> Verdict:
    doubt = ""
    if packets.version == 6 and not ufw.ipv6:
        return Verdict(row, False, "ufw drops all of IPv6: IPV6=no in /etc/default/ufw")
    for rule in ufw.rules:
        fit = _fit(rule, packets)
        if rule.action in ("allow", "limit") and fit == Fit.ALL:
            return Verdict(row, None if doubt else True, doubt)
        if rule.action in ("deny", "reject"):
            if fit >= Fit.PART:
                return Verdict(row, False, f"a rule of ufw says {_show(rule)}; `ufw status numbered` lists it")
            if fit == Fit.UNKNOWN:
                doubt = f"a rule of ufw may drop it: {_show(rule)}"
    if ufw.policy == "accept":
        return Verdict(row, None if doubt else True, doubt)
    return Verdict(row, False, "ufw drops what no rule allows")


def _fit(rule: UfwRule, packets: Packets) -> Fit:
    if rule.version != packets.version or rule.protocol not in ("any", packets.protocol):
        return Fit.NONE
    network = parse_network(rule.source)
    return min(
        max((packets.fit_ports(ports) for ports in rule.ports), default=Fit.ALL),
        Fit.UNKNOWN if network is None else packets.fit_source(network),
        Fit.ALL if rule.to == _ANYWHERE[rule.version] and rule.sports == "any" else Fit.UNKNOWN,
        packets.fit_interface(rule.via) if rule.via else Fit.ALL,
    )


def _show(rule: UfwRule) -> str:
    ports = ",".join(map(str, rule.ports)) or "any port"
    return f"{rule.action} {ports}/{rule.protocol} from {rule.source}"


def plan_ufw(ufw: Ufw, table: FirewallTable) -> tuple[Step, ...]:
    """The steps that add missing rules, and delete this hub's other rules."""
    comments = {comment_row(row, table.tag) for row in table.rows}
    marked = _list_marked(ufw, table.tag)
    there = {(rule.comment, rule.source) for rule in marked}
    others = replace(ufw, rules=tuple(rule for rule in ufw.rules if rule not in marked))
    steps = [_delete(rule) for rule in marked if rule.comment not in comments]
    for row in table.rows:
        for packets in list_packets(row, table):
            # If a rule that lkhub did not add does the same, ufw would change its comment to our mark.
            if _judge_packets(others, row, packets).open is not True and (packets.version == 4 or ufw.ipv6):
                sources = [*map(show_network, packets.sources)] or [_ANYWHERE[packets.version]]
                missing = [source for source in sources if (comment_row(row, table.tag), source) not in there]
                steps += [_allow(row, source, table.tag) for source in missing]
    return tuple(steps)


def unplan_ufw(ufw: Ufw, tag: str) -> tuple[Step, ...]:
    """The steps that delete every rule of this hub, and nothing else."""
    return tuple(_delete(rule) for rule in _list_marked(ufw, tag))


def list_ufw_commands(table: FirewallTable) -> Iterator[Command]:
    """One `ufw allow` for each row and source."""
    for row in table.rows:
        for source in [*map(show_network, row.networks)] or ["any"]:
            yield _allow(row, source, table.tag).do


def _allow(row: FirewallRow, source: str, tag: str) -> Step:
    words = _words(row.protocol, row.ports, source)
    comment = comment_row(row, tag)
    return Step(Command(("ufw", "allow", *words, "comment", comment)), Command(("ufw", "delete", "allow", *words)))


def _delete(rule: UfwRule) -> Step:
    words = _words(rule.protocol, rule.ports[0], rule.source)
    undo = Command(("ufw", "allow", *words, "comment", rule.comment))
    return Step(Command(("ufw", "delete", "allow", *words)), undo)


def _words(protocol: str, ports: PortRange, source: str) -> tuple[str, ...]:
    # `source` is always of one IP version, as 0.0.0.0/0. With `any`, ufw would also change the rule for the other
    # version, which may be the operator's own.
    return ("proto", protocol, "from", source, "to", "any", "port", str(ports).replace("-", ":"))


def _list_marked(ufw: Ufw, tag: str) -> list[UfwRule]:
    """The rules of this hub, in the shape that it makes them in."""
    return [rule for rule in ufw.rules if rule.comment.split(" ")[0] == tag and rule.action == "allow" and rule.ports]
