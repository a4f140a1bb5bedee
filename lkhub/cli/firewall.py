"""`lkhub firewall`: what stands between clients and the hub, and letting them through."""

from pathlib import Path
from typing import Annotated

import typer

from lkhub.cli.shared.app import make_app
from lkhub.cli.shared.firewall_router import map_router, unmap_router
from lkhub.cli.shared.firewall_show import pack_status, show_commands, show_router, show_verdicts
from lkhub.cli.shared.firewall_table import load_table
from lkhub.cli.shared.options import HubSpec, Json, Spec, State
from lkhub.cli.shared.show import err
from lkhub.cli.shared.show_json import show_json
from lkhub.errors import EXIT_UNWELL, MachineError
from lkhub.firewall.change import Change, Found, judge_found, list_firewalls, plan_apply, plan_revert
from lkhub.firewall.table import FirewallTable, make_tag
from lkhub.host.as_root import as_root
from lkhub.host.firewall import NotPermittedError, carry_out, gather_firewalls
from lkhub.host.state_directory import ensure_state_dir
from lkhub.hub.locate import find_hub, find_paths, find_spec
from lkhub.plan.paths import StatePaths
from lkhub.state.firewall import read_added, write_added
from lkhub.state.router import read_router

app = make_app(help="What stands between clients and the hub, and letting them through.", no_args_is_help=True)

Router = Annotated[
    bool, typer.Option("--router", help="The home router instead of this machine's firewall (PCP, NAT-PMP, UPnP).")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print what would be done and change nothing.")]


@app.command()
def status(spec: Spec = None, state: State = None, json: Json = False) -> None:
    """Say of each port that clients need whether this machine's firewall lets them through.

    What stands further out, a router or a cloud's firewall, is not seen. Exits 1 where a port is not open.
    """
    table, _ = load_table(spec, state)
    paths = find_paths(state)
    _report(
        table,
        _gather(table, paths, as_root("firewall", "status", *_name_spec(spec), "--state", paths.root)),
        paths,
        json,
    )


@app.command()
def apply(
    router: Router = False, dry_run: DryRun = False, spec: Spec = None, state: State = None, json: Json = False
) -> None:
    """Let clients through this machine's firewall: to exactly the ports that `lkhub firewall status` lists.

    Works with nftables, ufw and firewalld. Rules of others stay as they are. Run again it adds what is missing and
    takes out what the spec no longer needs.
    """
    table, plan = load_table(spec, state)
    paths = find_paths(state)
    if router:
        map_router(table, plan, paths, dry_run=dry_run, json=json)
        return
    again = as_root("firewall", "apply", *_name_spec(spec), "--state", paths.root)
    found = _gather(table, paths, again)
    change = plan_apply(found, table, read_added(paths.firewall))
    if dry_run:
        show_commands([*(step.do for step in change.steps), *change.by_hand], json)
        return
    if change.by_hand:
        raise MachineError(
            "the firewall of this machine is that of iptables, which lkhub does not write to; nothing was changed",
            hints=[f"run `{command}`" for command in change.by_hand],
        )
    _carry_out(change, paths, again)
    if any(step.do.argv[0] == "nft" for step in change.steps):
        err.print(
            "note: what nftables is told like this is gone after a reboot; to keep it, include the file of "
            "`lkhub render firewall --format nftables` in your own ruleset"
        )
    _report(table, _gather(table, paths, again), paths, json)


@app.command()
def revert(
    router: Router = False, dry_run: DryRun = False, spec: HubSpec = None, state: State = None, json: Json = False
) -> None:
    """Take back what `lkhub firewall apply` did, and nothing else."""
    paths = find_hub(spec, state)
    if router:
        unmap_router(paths, dry_run=dry_run, json=json)
        return
    again = as_root("firewall", "revert", "--state", paths.root)
    recorded = read_added(paths.firewall)
    try:
        found = gather_firewalls((), recorded)
    except NotPermittedError as error:
        raise NotPermittedError(error.message, hints=(f"run `{again}`",)) from error
    if recorded and found.firewalld is None:
        raise MachineError("rules were added to firewalld, and it does not run", hints=("start it, then try again",))
    change = plan_revert(found, make_tag(paths.root), recorded)
    if dry_run:
        show_commands([step.do for step in change.steps], json)
        return
    _carry_out(change, paths, again)
    if json:
        show_json({"commands": [str(step.do) for step in change.steps]})


def _name_spec(given: Path | None) -> tuple[str, ...]:
    found = find_spec(given)
    return ("--spec", str(Path(found).absolute())) if found else ()


def _gather(table: FirewallTable, paths: StatePaths, again: str) -> Found:
    """This machine's firewalls. They are not read if no port has to be open and none was opened."""
    recorded = read_added(paths.firewall)
    try:
        return gather_firewalls(table.interfaces, recorded)
    except NotPermittedError as error:
        if not table.rows and not recorded:
            return Found()
        raise NotPermittedError(error.message, hints=(f"run `{again}`",)) from error


def _carry_out(change: Change, paths: StatePaths, again: str) -> None:
    before = read_added(paths.firewall)
    if change.recorded - before:
        # Written first: `revert` must know what is added even if this process dies before the end.
        if not Path(paths.root).exists():
            ensure_state_dir(paths.root)
        write_added(paths.firewall, before | change.recorded)
    try:
        carry_out(change.steps)
    except MachineError as error:
        write_added(paths.firewall, before)
        if isinstance(error, NotPermittedError):
            raise NotPermittedError(error.message, hints=(f"run `{again}`",)) from error
        raise
    write_added(paths.firewall, change.recorded)
    for step in change.steps:
        err.print(f"done: {step.do}")
    if not change.steps:
        err.print("nothing to do")


def _report(table: FirewallTable, found: Found, paths: StatePaths, json: bool) -> None:
    verdicts = judge_found(found, table) if table.rows else ()
    firewalls = list_firewalls(found, table)
    router = read_router(paths)
    if json:
        show_json(pack_status(table, firewalls, verdicts, router))
    else:
        show_verdicts(table, firewalls, verdicts)
        if router:
            show_router(router)
    if any(verdict.open is not True for verdict in verdicts):
        raise typer.Exit(EXIT_UNWELL)
