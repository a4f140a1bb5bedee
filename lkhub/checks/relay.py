"""Turns how full the relay is into findings. Pure."""

from collections.abc import Iterator
from datetime import datetime

from lkhub.checks.limits import UNKNOWN, more_files
from lkhub.findings.catalogue.limits import relay_address_full, relay_nearly_full
from lkhub.findings.finding import RECENT_SECONDS, Finding, Fix
from lkhub.plan.host import RunsIn
from lkhub.wire.engine import EdgeStatus, RefusedPorts, RelayPorts, RelayStatus

# When more than this share of the ports is taken, an address that already holds some gets hardly any more
# (engine/internal/relay/bounds.go, lastShare).
NEARLY_FULL = 0.75

# From this share of the taken ports on, it is worth knowing which address holds them.
LARGE_SHARE = 0.3

_PROXY = Fix(
    "if your proxy is at that address, have it send clients' addresses by the PROXY protocol",
    "lkhub render proxy -o .",
)

_TURN = {"turn-udp": "TURN over UDP", "turn-tls": "TURN over TLS"}


def check_relay(
    relay: RelayStatus | None,
    edge: EdgeStatus | None,
    tls: str,
    now: datetime,
    runs_in: RunsIn = UNKNOWN,
) -> Iterator[Finding]:
    """Findings for each path through the relay. `relay` and `edge` are the reports of these processes; None where there
    is no such process, or where it does not answer. `tls` is the spec's tls.mode."""
    streams = edge.relay if edge else None
    for path, ports in (("turn-udp", relay.ports if relay else None), ("turn-tls", streams.ports if streams else None)):
        if ports:
            yield from _check_ports(path, ports, path == "turn-tls" and tls == "external", now.timestamp(), runs_in)


def _check_ports(path: str, ports: RelayPorts, proxied: bool, now: float, runs_in: RunsIn) -> Iterator[Finding]:
    held, size = ports.held, ports.size
    full = _last(ports, "full", now)
    if full or held >= size * NEARLY_FULL:
        yield relay_nearly_full(_TURN[path], full=held >= size).about(
            path,
            severity="error" if full or held >= size else "warning",
            detail=_describe(ports, full),
            fix=(*_explain_most(ports), *_widen(ports, runs_in)),
        )
    refused = _last(ports, "address", now)
    if refused:
        yield relay_address_full(refused.address or "one address", _TURN[path]).about(
            path,
            detail=_describe(ports, refused),
            fix=(
                *((_PROXY,) if proxied else ()),
                *_widen(ports, runs_in),
                Fix("if you don't know that address: do nothing; its ports are free again once its clients have left"),
            ),
        )


def _last(ports: RelayPorts, reason: str, now: float) -> RefusedPorts | None:
    """The last refusal for this reason, if it is recent."""
    refused = ports.refused.get(reason)
    return refused if refused and now - refused.at < RECENT_SECONDS else None


def _describe(ports: RelayPorts, refused: RefusedPorts | None) -> str:
    parts = [f"{ports.held:,} of {ports.size:,} relay ports are taken"]
    if most := ports.most:
        parts.append(f"{most.held:,} of them by {most.address}")
    if refused:
        parts.append(f"{refused.count:,} allocations refused for that since the process started")
    return ", ".join(parts)


def _explain_most(ports: RelayPorts) -> tuple[Fix, ...]:
    most = ports.most
    if not most or most.held < ports.held * LARGE_SHARE:
        return ()
    return (Fix(f"see who comes from {most.address}, and in which room", "lkhub logs media"),)


def _widen(ports: RelayPorts, runs_in: RunsIn) -> tuple[Fix, ...]:
    if ports.size < ports.range:
        return (
            Fix("the process may open too few files for the whole range of ports: let it open more"),
            *more_files(runs_in),
        )
    return (Fix("write a wider range for turn.relay, a dozen ports for each participant more, and run", "lkhub up"),)
