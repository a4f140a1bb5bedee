"""nftables rulesets for tests, in the form of `nft -j list ruleset` (seen with 1.0.6)."""

from typing import Any

from lkhub.firewall.ruleset import Ruleset, parse_ruleset

DROP, ACCEPT, RETURN = {"drop": None}, {"accept": None}, {"return": None}
REJECT = {"reject": {"type": "icmpx", "expr": "admin-prohibited"}}
COUNTER = {"counter": {"packets": 7, "bytes": 500}}
LOG = {"log": {"prefix": "in: "}}
L4PROTO: Any = {"meta": {"key": "l4proto"}}
IIFNAME: Any = {"meta": {"key": "iifname"}}


def field(protocol: str, name: str) -> Any:
    return {"payload": {"protocol": protocol, "field": name}}


def match(left: Any, right: Any, op: str = "==") -> dict[str, Any]:
    return {"match": {"op": op, "left": left, "right": right}}


def dport(port: Any, protocol: str = "udp", op: str = "==") -> dict[str, Any]:
    return match(field(protocol, "dport"), port, op)


def saddr(network: Any, op: str = "==") -> dict[str, Any]:
    return match(field("ip", "saddr"), network, op)


def ct_state(*states: str) -> dict[str, Any]:
    return match({"ct": {"key": "state"}}, list(states) if len(states) > 1 else states[0], "in")


def jump(chain: str) -> dict[str, Any]:
    return {"jump": {"target": chain}}


Row = list[Any] | tuple[list[Any], str]


def ruleset(
    *rules: Row,
    policy: str = "accept",
    family: str = "inet",
    table: str = "filter",
    chain: str = "input",
    others: dict[str, list[Row]] | None = None,
    sets: list[dict[str, Any]] | None = None,
) -> Ruleset:
    """A ruleset with one input chain. A rule is its statements, or these and a comment; handles count from 1 through
    the input chain, then through `others`, which are chains to jump to."""
    where = {"family": family, "table": table}
    base = {**where, "name": chain, "handle": 1, "type": "filter", "hook": "input", "prio": 0, "policy": policy}
    items: list[dict[str, Any]] = [{"metainfo": {"version": "1.0.6"}}, {"table": {"family": family, "name": table}}]
    items += [{"set": {**where, **one}} for one in sets or []]
    items.append({"chain": base})
    items += [{"chain": {**where, "name": name, "handle": 1}} for name in others or {}]
    handle = 0
    for name, rows in {chain: list(rules), **(others or {})}.items():
        for row in rows:
            handle += 1
            expr, comment = row if isinstance(row, tuple) else (row, "")
            marked = {"comment": comment} if comment else {}
            items.append({"rule": {**where, "chain": name, "handle": handle, **marked, "expr": expr}})
    return parse_ruleset({"nftables": items})
