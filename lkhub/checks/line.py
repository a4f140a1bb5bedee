"""Turns how long and how evenly packets travel into findings. Pure.

The measured values must come from the line, and not from a busy machine. So the round trip is the shortest of several,
which waiting on this machine can't shorten, and jitter counts only where this machine itself ran evenly.
"""

from collections.abc import Iterable, Iterator

from lkhub.checks.causes_media import host_of
from lkhub.checks.paths import PathResult
from lkhub.findings.catalogue.lines import path_slow, path_uneven
from lkhub.findings.finding import Finding, Fix

# ITU-T G.114 (05/2003): people hardly notice a delay of up to 150 ms from mouth to ear, and a delay above 400 ms is not
# acceptable. Between two people who are as far from the server as this machine is, the network's share of that delay is
# one round trip to the server; coding and the buffer against jitter add some 100 ms.
SLOW_MS = 150.0
TOO_SLOW_MS = 400.0

# Cisco, "Quality of Service Design Overview" (Enterprise QoS SRND 3.3, 2005): one-way jitter of voice under 30 ms.
# WebRTC's buffer grows with the jitter: above this value people hear each other later, and then sound breaks up.
UNEVEN_MS = 30.0

# If this machine's own timers are late by more than this share of the jitter, the jitter may be this machine's.
OWN_SHARE = 1 / 3


def _trace(result: PathResult) -> Fix:
    return Fix("see where it takes long", f"mtr {host_of(result)}")


def check_line(results: Iterable[PathResult]) -> Iterator[Finding]:
    """One finding for all slow paths, and one for all uneven paths, since they share the line."""
    heard = [result for result in results if result.ok]
    slow = [result for result in heard if (result.rtt_ms or 0.0) >= SLOW_MS]
    if slow:
        yield _find_slow(slow)
    uneven = [result for result in heard if is_uneven(result)]
    if uneven:
        yield _find_uneven(uneven)


def is_uneven(result: PathResult) -> bool:
    """Whether packets come unevenly, and not because this machine ran unevenly. False where that is not known."""
    if result.jitter_ms is None or result.lateness_ms is None:
        return False
    return result.jitter_ms >= UNEVEN_MS and result.lateness_ms <= result.jitter_ms * OWN_SHARE


def _find_slow(slow: list[PathResult]) -> Finding:
    worst = max(result.rtt_ms or 0.0 for result in slow)
    too_slow = worst >= TOO_SLOW_MS
    told = ", ".join(f"{result.path} {result.rtt_ms:.0f} ms" for result in slow)
    return path_slow(worst, too_slow).about(
        slow[0].path,
        severity="warning" if too_slow else "info",
        detail=f"the shortest of several round trips: {told}",
        fix=(_trace(slow[0]), Fix("run a hub nearer to the people who call")) if too_slow else (),
    )


def _find_uneven(uneven: list[PathResult]) -> Finding:
    worst = max(result.jitter_ms or 0.0 for result in uneven)
    told = ", ".join(f"{result.path} {result.jitter_ms:.0f} ms" for result in uneven)
    return path_uneven(worst).about(
        uneven[0].path,
        detail=f"half of the packets, by more than: {told}; this machine itself ran evenly",
        fix=(_trace(uneven[0]), Fix("try again over a cable, and while nothing else uses the line")),
    )
