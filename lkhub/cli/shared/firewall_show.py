"""How `lkhub firewall` shows what it found and did."""

import time
from collections.abc import Iterable

from rich.text import Text

from lkhub.cli.shared.show import err, out
from lkhub.cli.shared.show_json import show_json
from lkhub.firewall.table import Command, FirewallTable, Verdict, show_network
from lkhub.state.router import RouterRecord

_MARKS = {True: ("open", "green"), False: ("CLOSED", "bold red"), None: ("unknown", "yellow")}


def show_commands(commands: Iterable[Command], json: bool) -> None:
    """Show the commands that would run."""
    texts = [str(command) for command in commands]
    if json:
        show_json({"commands": texts})
        return
    for text in texts:
        out.print(text)
    if not texts:
        err.print("nothing to do")


def show_verdicts(table: FirewallTable, firewalls: tuple[str, ...], verdicts: tuple[Verdict, ...]) -> None:
    """A line for each row: open or not, and why not."""
    if not table.rows:
        out.print(f"no port has to be open for reach: {table.reach}")
        return
    named = f"in charge: {', '.join(firewalls)}"
    unknown = any(verdict.open is None for verdict in verdicts)
    none = (
        "which firewall is in charge is not known"
        if unknown
        else "nothing in this machine's input chains drops these packets"
    )
    out.print(named if firewalls else none)
    rows = [(str(v.row), f"from {v.row.source}", v.row.purpose) for v in verdicts]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for verdict, row in zip(verdicts, rows, strict=True):
        mark, colour = _MARKS[verdict.open]
        columns = "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True))
        out.print(Text.assemble("  ", (mark.ljust(8), colour), f"{columns}  {verdict.why}".rstrip()))


def show_router(record: RouterRecord) -> None:
    """Show the mappings, until when they last, and whether they can work."""
    external = record.external_address or "not known"
    out.print(f"router: {record.gateway}, by {record.means}; its own address is {external}")
    for mapping in record.mappings:
        until = "for good"
        if mapping.until is not None:
            until = time.strftime("until %Y-%m-%d %H:%M", time.localtime(mapping.until))
        out.print(f"  mapped  {mapping}  {until}" + ("" if mapping.own else ", not made by lkhub"))
    if record.is_behind_another:
        err.print(
            f"warning: {external} is not an address of the internet: the router is behind another one, often the "
            "provider's (carrier-grade NAT), and clients can't connect unless that one forwards the ports too; ask the "
            "provider for a public address"
        )


def pack_status(
    table: FirewallTable, firewalls: tuple[str, ...], verdicts: tuple[Verdict, ...], router: RouterRecord | None
) -> dict[str, object]:
    """`lkhub firewall status --json`."""
    return {
        "firewalls": list(firewalls),
        "rows": [
            {
                "port": str(verdict.row.ports),
                "protocol": verdict.row.protocol,
                "from": [show_network(source) for source in verdict.row.networks] or ["anyone"],
                "purpose": verdict.row.purpose,
                "process": verdict.row.process,
                "key": verdict.row.key,
                "open": verdict.open,
                "detail": verdict.why,
            }
            for verdict in verdicts
        ],
        "closed": [
            {"port": str(row.ports), "protocol": row.protocol, "purpose": row.purpose, "why": row.why}
            for row in table.closed
        ],
        "router": pack_router(router) if router else None,
    }


def pack_router(record: RouterRecord) -> dict[str, object]:
    return {
        "gateway": record.gateway,
        "means": record.means,
        "outside": record.external_address,
        "reachable": None if record.is_behind_another is None else not record.is_behind_another,
        "mappings": [
            {"port": str(mapping.port), "protocol": mapping.protocol, "until": mapping.until, "own": mapping.own}
            for mapping in record.mappings
        ],
    }
