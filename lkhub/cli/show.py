"""What a person sees. stdout is data, stderr is talk; meaning survives without colour."""

import json
import sys
import time
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.text import Text

from lkhub.errors import HubError

if TYPE_CHECKING:
    from lkhub.health.finding import Finding
    from lkhub.health.paths import PathResult
    from lkhub.health.status import Verified
    from lkhub.plan.model import Sightings

# Never wrapped or coloured by guess: what is piped must arrive as it is.
out = Console(highlight=False, soft_wrap=True, markup=False)
err = Console(stderr=True, highlight=False, soft_wrap=True, markup=False)

_COLOURS = {"error": "bold red", "warning": "yellow", "info": "cyan"}


def show_json(data: Any) -> None:
    """One JSON document on stdout."""
    sys.stdout.write(json.dumps(data, indent=2) + "\n")


def show_error(error: HubError) -> None:
    err.print(Text.assemble(("error", "bold red"), f": {error.message}"))
    show_hints(error.hints)


def show_hints(hints: Iterable[str]) -> None:
    for number, hint in enumerate(hints):
        err.print(Text.assemble("\n" if number == 0 else "", ("hint", "bold cyan"), f": {hint}"))


def show_rows(rows: Mapping[str, str]) -> None:
    """Aligned `name  value` lines on stdout."""
    width = max(map(len, rows), default=0)
    for name, value in rows.items():
        out.print(Text.assemble(("  ", ""), (name.ljust(width), "dim"), "  ", value))


def show_paths(verified: "Verified") -> None:
    """One line a path: whether a call got through, how fast, by which candidates, and who has used it from outside."""
    for result in verified.paths:
        mark, colour = {True: ("ok", "green"), False: ("FAILS", "bold red"), None: ("unknown", "yellow")}[result.ok]
        text = describe_path(result) if result.ok else f"at stage {result.stage}: {result.detail}"
        text += describe_outside(result, verified.outside)
        out.print(Text.assemble("  ", result.path.ljust(9), (mark.ljust(8), colour), text))


def describe_path(result: "PathResult") -> str:
    """`connected in 12 ms, round trip 0.4 ms, loss 0 %, udp … to udp …`."""
    parts = []
    if result.connect_ms is not None:
        parts.append(f"connected in {result.connect_ms:.0f} ms")
    if result.rtt_ms is not None:
        parts.append(f"round trip {result.rtt_ms:.1f} ms")
    if result.loss is not None:
        parts.append(f"loss {result.loss:.0%}")
    if result.relay:
        parts.append(f"by {result.relay}")
    elif result.remote:
        parts.append(f"to {result.remote}")
    return ", ".join(parts)


def describe_outside(result: "PathResult", outside: "Sightings") -> str:
    """`; outside: 2 min ago from 203.0.113.7`, or nothing where it is not known."""
    if result.path not in outside:
        return ""
    seen = outside[result.path]
    return f"; outside: {lasting(seen.at)} ago from {seen.address}" if seen else "; outside: not seen"


def show_unseen(verified: "Verified", url: str) -> None:
    """What to do where a path was not seen used from outside."""
    unseen = {path for path, sighting in verified.outside.items() if sighting is None}
    if any(result.path in unseen for result in verified.paths):
        err.print(
            "outside: this machine's own calls never meet the firewall in front of it; the first participant shows "
            f"whether others get in, or `lkhub verify --url {url}` on another machine, with the key of `lkhub env`"
        )


def lasting(since: float) -> str:
    """How long it is since an epoch time."""
    seconds = max(0, int(time.time() - since))
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


def show_findings(findings: Iterable["Finding"]) -> None:
    """Findings with cause and fix, on stderr."""
    for finding in findings:
        err.print(
            Text.assemble("\n", (finding.severity, _COLOURS[finding.severity]), f": {finding.title} [{finding.code}]")
        )
        for label, text in (("what", finding.detail), ("why", finding.cause)):
            if text:
                err.print(f"  {label}: {text}")
        for fix in finding.fix:
            err.print(f"  fix: {fix.text}" + (f": `{fix.command}`" if fix.command else ""))


def count_people(people: int) -> str:
    """The beginning of a sentence about people in a call."""
    return "1 person is" if people == 1 else f"{people} people are"


def show_qr(text: str) -> None:
    """A QR code, in as few terminal cells as possible."""
    import segno

    segno.make(text, error="l", micro=False).terminal(out=sys.stdout, compact=True, border=2)
