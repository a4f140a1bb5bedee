"""`lkhub up`, `down` and `restart`."""

import os
from typing import Annotated

import anyio
import typer

from lkhub.cli.detached import start_detached
from lkhub.cli.foreground import run_foreground
from lkhub.cli.hub import find_hub, is_running, read_status, wait_for_certificates
from lkhub.cli.options import HubSpec, Json, Spec, State, find_spec, find_state
from lkhub.cli.show import err, show_json
from lkhub.cli.summary import show_summary
from lkhub.cli.verify import verify_hub
from lkhub.errors import EXIT_UNWELL, InputError
from lkhub.health.status import Verified
from lkhub.host import processes
from lkhub.plan.paths import StatePaths
from lkhub.prepare import prepare_hub
from lkhub.supervise.child import end_process
from lkhub.supervise.control import NotRunningError, ask
from lkhub.supervise.supervisor import Applied


def up(
    detach: Annotated[
        bool, typer.Option("--detach", "-d", help="Return when the hub is up; it runs on without this terminal.")
    ] = False,
    no_verify: Annotated[bool, typer.Option("--no-verify", help="Do not call the hub to prove that it works.")] = False,
    now: Annotated[
        bool, typer.Option("--now", help="Apply a change at once, also where it interrupts people in a call.")
    ] = False,
    spec: Spec = None,
    state: State = None,
    json: Json = False,
) -> None:
    """Make this machine match the spec, and prove that calls get through.

    Prints the addresses, a join link and its QR code. In the foreground until Ctrl-C: once lets people in a
    call finish, twice stops at once. On a hub that is running already it applies the spec, verifies and
    returns. A change that would interrupt a call waits, unless --now.
    """
    hub = prepare_hub(find_spec(spec), find_state(state), os.environ)
    paths = hub.plan.paths
    if not is_running(paths):
        if not detach:
            raise typer.Exit(run_foreground(hub, verify=not no_verify, json=json))
        start_detached(hub)
    applied = Applied(**ask(paths.control, "apply", spec=hub.spec, environ=dict(hub.environ), now=now))
    _report_applied(applied)
    if not no_verify:
        wait_for_certificates(paths)
    verified = None if no_verify else verify_hub(paths)
    if json:
        show_json(read_status(paths).as_json())
    else:
        show_summary(hub.plan, verified, pending=applied.pending)
    raise typer.Exit(EXIT_UNWELL if _has_failed(verified) else 0)


def down(
    now: Annotated[bool, typer.Option("--now", help="Do not wait for people in a call.")] = False,
    spec: HubSpec = None,
    state: State = None,
) -> None:
    """Stop the hub.

    People in a call get up to 30 seconds to finish. A hub that is not running is down already, and that is
    no error.
    """
    paths = find_hub(spec, state)
    try:
        ask(paths.control, "stop", drain=not now)
    except NotRunningError:
        _stop_left(paths)
    err.print("the hub is down")


def restart(
    name: Annotated[str | None, typer.Argument(help="media, relay, serve or edge. Default: all.")] = None,
    spec: HubSpec = None,
    state: State = None,
) -> None:
    """Restart processes with the spec as it is in force.

    Whoever is in a call is reconnected by their client within a second or two.
    """
    paths = find_hub(spec, state)
    running = [process["name"] for process in ask(paths.control, "status")["processes"]]
    if name is not None and name not in running:
        raise InputError(f"there is no process {name}", hints=(f"one of: {', '.join(running)}",))
    answer = ask(paths.control, "restart", name=name)
    people = answer["people"]
    told = f"; {_count(people)} in a call and had to reconnect" if people else ""
    err.print(f"restarted {', '.join(answer['restarted'])}{told}")


def _report_applied(applied: Applied) -> None:
    names = ", ".join(applied.changed)
    if applied.pending:
        people = "media does not say whether people are" if applied.people is None else _count(applied.people)
        err.print(f"pending: {names} would restart, and {people} in a call; applied when they left, or with --now")
    elif applied.cut:
        err.print(f"restarted {names}; {_count(applied.cut)} in a call and had to reconnect")
    elif applied.changed:
        err.print(f"restarted {names}")
    if applied.reloaded:
        err.print(f"{', '.join(applied.reloaded)} took its change over without a restart")


def _stop_left(paths: StatePaths) -> None:
    """End what an earlier supervisor left running."""
    for process in read_status(paths).left:
        identity = processes.identify(process["pid"])
        if identity is not None:
            anyio.run(end_process, identity, "now")
            err.print(f"ended {process['name']} (pid {process['pid']}), which ran without a supervisor")


def _has_failed(verified: Verified | None) -> bool:
    return verified is not None and any(path.ok is not True for path in verified.paths)


def _count(people: int) -> str:
    return "1 person is" if people == 1 else f"{people} people are"
