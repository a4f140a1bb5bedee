"""What an nftables ruleset does with packets, read from `nft -j list ruleset` (libnftables-json(5)). Pure.

A condition that is not understood is UNKNOWN, never guessed.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, TypeAlias

from lkhub.firewall.packet import Fit, Packets, parse_network
from lkhub.spec.ports import PortRange

# The kernel's own limit of nested jumps (NFT_JUMP_STACK_SIZE).
MAX_DEPTH = 16

_PROTOCOL_NUMBERS = {"icmp": 1, "tcp": 6, "udp": 17, "icmpv6": 58, "ipv6-icmp": 58}
_VERSIONS = {"ip": 4, "ip6": 6, "icmp": 4, "icmpv6": 6, "ipv4": 4, "ipv6": 6}
_TRANSPORTS = {"tcp", "udp", "udplite", "sctp", "dccp", "icmp", "icmpv6", "igmp", "ah", "esp", "comp"}

# Comparisons of a port, as the range of ports for which they hold.
_RANGES: dict[str, Callable[[int], tuple[int, int]]] = {
    "<": lambda port: (0, port - 1),
    "<=": lambda port: (0, port),
    ">": lambda port: (port + 1, 65535),
    ">=": lambda port: (port, 65535),
}

# Statements that do not decide about a packet.
_SILENT = {"counter", "log", "comment", "mangle", "notrack", "ct helper", "secmark"}
_XT_FITS = {"comment": Fit.ALL, "LOG": Fit.ALL, "NFLOG": Fit.ALL, "conntrack": Fit.FEW, "state": Fit.FEW}
_VERDICTS = {"accept", "drop", "reject", "return", "continue", "jump", "goto", "queue"}


NftObject: TypeAlias = Mapping[str, Any]  # the JSON of nft (libnftables-json(5)), of which only a part is read


class ChainName(NamedTuple):
    family: str
    table: str
    chain: str

    def __str__(self) -> str:
        return " ".join(self)


@dataclass(frozen=True)
class Rule:
    """One rule: its handle, its comment, its statements."""

    handle: int
    comment: str
    statements: tuple[NftObject, ...]


@dataclass(frozen=True)
class Chain:
    """A chain with its rules. `hook` is "" for a chain that is only jumped to."""

    name: ChainName
    hook: str
    kind: str
    policy: str
    rules: tuple[Rule, ...]


@dataclass(frozen=True)
class Outcome:
    """What happens to packets in a chain. `at` is the index of the rule that decides; for the policy, it is the number
    of rules. `doubts` are earlier rules that may drop the packets."""

    verdict: Literal["accept", "drop", "return"]
    at: int
    doubts: tuple[str, ...] = ()


@dataclass(frozen=True)
class Ruleset:
    """All chains, and the elements of named sets and maps; None for a set or map whose elements come and go."""

    chains: Mapping[ChainName, Chain]
    sets: Mapping[ChainName, tuple[Any, ...] | None] = field(default_factory=dict)

    def input_chains(self) -> Iterator[Chain]:
        """The chains that packets for this machine go through."""
        for chain in self.chains.values():
            if chain.hook == "input" and chain.kind == "filter" and chain.name.family in ("inet", "ip", "ip6"):
                yield chain


def parse_ruleset(document: NftObject) -> Ruleset:
    """Read the output of `nft -j list ruleset`. Raises LookupError or TypeError for anything else."""
    chains: dict[ChainName, NftObject] = {}
    rules: dict[ChainName, list[Rule]] = {}
    sets: dict[ChainName, tuple[Any, ...] | None] = {}
    for item in document["nftables"]:
        [(kind, row)] = item.items()
        if kind == "chain":
            chains[ChainName(row["family"], row["table"], row["name"])] = row
        elif kind == "rule":
            name = ChainName(row["family"], row["table"], row["chain"])
            rules.setdefault(name, []).append(Rule(row["handle"], row.get("comment", ""), tuple(row["expr"])))
        elif kind in ("set", "map"):
            moving = {"dynamic", "timeout"} & set(row.get("flags", ()))
            name = ChainName(row["family"], row["table"], row["name"])
            sets[name] = None if moving else tuple(row.get("elem", ()))
    return Ruleset(
        {
            name: Chain(
                *(name, row.get("hook", ""), row.get("type", ""), row.get("policy", "accept")),
                rules=tuple(rules.get(name, ())),
            )
            for name, row in chains.items()
        },
        sets,
    )


def follow(ruleset: Ruleset, chain: Chain, packets: Packets, depth: int = 0) -> Outcome:
    """Where the packets end in `chain`."""
    doubts: list[str] = []
    end: Literal["accept", "drop", "return"] = "return"
    if chain.hook:
        end = "drop" if chain.policy == "drop" else "accept"
    for index, rule in enumerate(chain.rules):
        for fit, verdict, target in _read_rule(ruleset, chain, rule, packets):
            if fit == Fit.NONE:
                continue
            below: Outcome | None = None
            if verdict in ("jump", "goto"):
                to = ruleset.chains.get(chain.name._replace(chain=target))
                if to is None or depth == MAX_DEPTH:
                    continue
                below = follow(ruleset, to, packets, depth + 1)
                if fit >= Fit.UNKNOWN:
                    doubts += below.doubts
            final = verdict if below is None else below.verdict
            if verdict == "goto" and final == "return":
                # After `goto` the packet does not come back to this chain: the policy decides.
                final = end
            elif below is None and verdict == "return":
                if fit == Fit.ALL:
                    return Outcome(end, index, tuple(doubts))
                continue
            if final == "accept" and fit == Fit.ALL:
                return Outcome("accept", index, tuple(doubts))
            if final in ("drop", "reject") and fit >= Fit.PART:
                return Outcome("drop", index, tuple(doubts))
            if (final in ("drop", "reject") and fit == Fit.UNKNOWN) or (final == "queue" and fit >= Fit.UNKNOWN):
                doubts.append(f"rule {rule.handle} of {chain.name}")
    return Outcome(end, len(chain.rules), tuple(dict.fromkeys(doubts)))


def is_log(ruleset: Ruleset, chain: Chain, rule: Rule, packets: Packets) -> bool:
    """Whether the rule writes to the log and decides nothing."""
    has_log = any("log" in statement for statement in rule.statements)
    return has_log and not list(_read_rule(ruleset, chain, rule, packets))


def _read_rule(ruleset: Ruleset, chain: Chain, rule: Rule, packets: Packets) -> Iterator[tuple[Fit, str, str]]:
    """Which packets get which verdict (and target) from this rule."""
    own = {"ip": 4, "ip6": 6}.get(chain.name.family, packets.version)
    fit = Fit.ALL if own == packets.version else Fit.NONE
    for statement in rule.statements:
        [(kind, value)] = statement.items()
        if kind == "match":
            fit = min(fit, _fit_match(ruleset, chain, value["op"], value["left"], value["right"], packets))
        elif kind == "limit":
            # The first packets of clients are within such a rate; packets above it are treated as abuse.
            fit = min(fit, Fit.FEW) if value.get("inv") else fit
        elif kind == "ct count":
            fit = min(fit, Fit.FEW if value.get("inv") else Fit.UNKNOWN)
        elif kind in ("set", "meter"):
            inner = value.get("stmt", [])
            limits = [inner] if isinstance(inner, dict) else inner
            over = any(limit.get(name, {}).get("inv") for limit in limits for name in ("limit", "ct count"))
            fit = min(fit, Fit.FEW if over else Fit.UNKNOWN if limits else fit)
        elif kind == "xt":
            # A match that iptables wrote and of which nft shows only the name.
            name = str((value or {}).get("name", ""))
            if name in ("DROP", "REJECT"):
                yield fit, "drop", ""
                return
            fit = min(fit, _XT_FITS.get(name, Fit.UNKNOWN))
        elif kind == "vmap":
            for key, verdict in _list_elements(ruleset, chain, value["data"]) or ():
                [(name, target)] = verdict.items()
                taken = _fit_one(value["key"], key, packets)
                yield min(fit, taken), name, target["target"] if target else ""
            if _list_elements(ruleset, chain, value["data"]) is None:
                yield min(fit, Fit.UNKNOWN), "queue", ""
        elif kind in _VERDICTS:
            if kind != "continue":
                yield fit, kind, value["target"] if kind in ("jump", "goto") else ""
            return
        elif kind not in _SILENT:
            fit = min(fit, Fit.UNKNOWN)


def _list_elements(ruleset: Ruleset, chain: Chain, value: Any) -> tuple[Any, ...] | None:
    """The values that a right side stands for; None where they come and go."""
    if isinstance(value, str) and value.startswith("@"):
        found = ruleset.sets.get(chain.name._replace(chain=value[1:]), ())
        if found is None:
            return None
        value = list(found)
    elif isinstance(value, dict) and "set" in value:
        value = value["set"]
    items = value if isinstance(value, list) else [value]
    return tuple(map(_read_element, items))


def _read_element(item: Any) -> Any:
    match item:
        case {"elem": {"val": value}}:  # an element with a comment or a counter of its own
            return value
    return item


def _fit_match(ruleset: Ruleset, chain: Chain, op: str, left: Any, right: Any, packets: Packets) -> Fit:
    if _is_other(left, packets):
        return Fit.NONE
    if op in _RANGES and isinstance(right, int):
        start, end = _RANGES[op](right)
        return _fit_one(left, {"range": [start, end]}, packets)
    if op not in ("==", "!=", "in"):
        return Fit.UNKNOWN
    taken = _fit_any(ruleset, chain, left, right, packets)
    return taken.negate() if op == "!=" else taken


def _fit_any(ruleset: Ruleset, chain: Chain, left: Any, right: Any, packets: Packets) -> Fit:
    values = _list_elements(ruleset, chain, right)
    if values is None:
        # A set that rules fill: bans, counts of connections.
        return Fit.FEW
    return max((_fit_one(left, value, packets) for value in values), default=Fit.NONE)


def _is_other(left: Any, packets: Packets) -> bool:
    """Whether the left side is a part of another protocol's header, which these packets don't have."""
    if isinstance(left, list):
        return any(_is_other(item, packets) for item in left)
    if not isinstance(left, dict):
        return False
    header = "tcp" if "tcp option" in left else ""
    if isinstance(left.get("payload"), dict):
        header = left["payload"].get("protocol", "")
    if header in _TRANSPORTS and header != packets.protocol:
        return True
    if _VERSIONS.get(header, packets.version) != packets.version:
        return True
    return any(_is_other(below, packets) for below in left.values())


def _fit_one(left: Any, value: Any, packets: Packets) -> Fit:
    """The packets whose `left` is `value`."""
    if _is_other(left, packets):
        return Fit.NONE
    match left:
        case {"concat": [*parts]}:
            match value:
                case {"concat": [*values]} if len(values) == len(parts):
                    return min((_fit_one(*pair, packets) for pair in zip(parts, values, strict=True)), default=Fit.ALL)
            return Fit.UNKNOWN
        case {"ct": {"key": "state"}}:
            return _when(value == "new")
        case {"meta": {"key": "l4proto"}} | {"payload": {"field": "protocol" | "nexthdr"}}:
            if not isinstance(value, str | int):
                return Fit.UNKNOWN
            return _when(_PROTOCOL_NUMBERS.get(str(value), value) == _PROTOCOL_NUMBERS[packets.protocol])
        case {"meta": {"key": "nfproto" | "protocol"}}:
            return _when(_VERSIONS.get(str(value)) == packets.version)
        case {"meta": {"key": "iifname" | "iif"}}:
            return packets.fit_interface(str(value))
        case {"meta": {"key": "pkttype"}}:
            return _when(value in ("host", "unicast"))
        case {"fib": {"result": "type", "flags": flags}} if flags in ("daddr", ["daddr"]):
            return _when(value == "local")
        case {"fib": _} | {"payload": {"field": "flags"}} | {"&": _}:
            # Reverse path filters, and odd flags of scans.
            return Fit.FEW
        case {"payload": {"field": "dport"}}:
            return _fit_ports(value, packets)
        case {"payload": {"field": "saddr"}}:
            return _fit_source(value, packets)
        case {"payload": {"field": "daddr"}}:
            network = parse_network(_show_network(value))
            return Fit.NONE if network is not None and network.is_multicast else Fit.UNKNOWN
    return Fit.UNKNOWN


def _when(holds: bool) -> Fit:
    return Fit.ALL if holds else Fit.NONE


def _fit_ports(value: Any, packets: Packets) -> Fit:
    match value:
        case int():
            return packets.fit_ports(PortRange(value, value))
        case {"range": [int(start), int(end)]}:
            return packets.fit_ports(PortRange(start, end))
    return Fit.UNKNOWN


def _fit_source(value: Any, packets: Packets) -> Fit:
    network = parse_network(_show_network(value))
    return Fit.FEW if network is None else packets.fit_source(network)


def _show_network(value: Any) -> str:
    match value:
        case {"prefix": {"addr": address, "len": length}}:
            return f"{address}/{length}"
    return str(value)


def list_marked(ruleset: Ruleset, tag: str) -> Iterable[tuple[ChainName, Rule]]:
    """The rules whose comment begins with `tag`."""
    for chain in ruleset.chains.values():
        for rule in chain.rules:
            if rule.comment.split(" ")[0] == tag:
                yield chain.name, rule
