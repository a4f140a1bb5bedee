"""`lkhub firewall apply --router` and `revert --router`: port mappings of the home router."""

from dataclasses import replace

import anyio
import typer

from lkhub.cli.shared.firewall_show import pack_router, show_router
from lkhub.cli.shared.show import err, out, say
from lkhub.cli.shared.show_json import show_json
from lkhub.errors import EXIT_UNWELL, InputError, MachineError
from lkhub.firewall.table import FirewallTable
from lkhub.host.acting import acting_as_owner
from lkhub.host.files import remove
from lkhub.host.router import map_ports, unmap_ports
from lkhub.hub.running import is_running
from lkhub.plan.model import Plan, Protocol
from lkhub.plan.paths import StatePaths
from lkhub.state.router import hold_router, read_router, write_router

# A router has room for some tens of mappings, and each of them is one port.
MAX_PORTS = 32


def map_router(table: FirewallTable, plan: Plan, paths: StatePaths, *, dry_run: bool, json: bool) -> None:
    """Ask the router for the table's ports. Exits 1 where the router grants them but can't be reached from the internet
    itself."""
    wanted = _list_wanted(table, plan)
    if dry_run:
        texts = [f"{port}/{protocol}" for protocol, port, _ in wanted]
        if json:
            show_json({"mappings": texts})
        else:
            out.print(f"the router would be asked for {', '.join(texts)}")
        return
    with acting_as_owner(paths.root), hold_router(paths, wait=True):
        old = read_router(paths)
        record = anyio.run(map_ports, wanted, old)
        try:
            write_router(paths, record)
        except MachineError:
            # Otherwise ports would stay open that are on no record.
            known = {(each.protocol, each.port) for each in old.mappings} if old else set()
            new = tuple(each for each in record.mappings if (each.protocol, each.port) not in known)
            anyio.run(unmap_ports, replace(record, mappings=new))
            raise
    if json:
        show_json(pack_router(record))
    else:
        show_router(record)
        if record.renew_at is not None and not is_running(paths):
            forgets = "the router forgets a mapping that is not renewed; the hub does it while it runs: `lkhub up`"
            say(forgets, "note", "cyan")
    if record.is_behind_another:
        raise typer.Exit(EXIT_UNWELL)


def _list_wanted(table: FirewallTable, plan: Plan) -> list[tuple[Protocol, int, str]]:
    """Protocol, port and mark of each mapping."""
    if table.reach != "public":
        raise InputError(
            f"a mapping of the router opens the hub to the internet, and this is reach: {table.reach}",
            hints=("set reach: public in hub.yaml",),
        )
    if not _is_behind_nat(plan):
        raise InputError("this machine has a public address of its own: no router has to map anything")
    for row in table.rows:
        if row.ports.end - row.ports.start >= MAX_PORTS:
            raise InputError(
                f"a router maps single ports, and {row.key} is {row.ports}",
                hints=(f"give {row.key} one port, such as 7882", "or forward the range on the router's own pages"),
            )
    return [
        (row.protocol, port, f"{table.tag} {row.key}")
        for row in table.rows
        for port in range(row.ports.start, row.ports.end + 1)
    ]


def _is_behind_nat(plan: Plan) -> bool:
    return any(address.version == 4 and not address.is_global for address in plan.media.local)


def unmap_router(paths: StatePaths, *, dry_run: bool, json: bool) -> None:
    """Remove the mappings that the router was asked for."""
    record = read_router(paths)
    if record and not dry_run:
        with acting_as_owner(paths.root), hold_router(paths, wait=True):
            # The current record: the hub may just have renewed the mappings.
            record = read_router(paths)
            if record:
                anyio.run(unmap_ports, record)
            remove(paths.router)
    mappings = [str(mapping) for mapping in record.mappings if mapping.own] if record else []
    if json:
        show_json({"mappings": mappings})
    elif mappings:
        err.print(f"{'would give' if dry_run else 'gave'} back {', '.join(mappings)}")
    else:
        err.print("nothing to do")
