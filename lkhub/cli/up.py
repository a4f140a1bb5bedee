"""`lkhub up`."""

import os
from typing import Annotated

import typer

from lkhub.cli.shared.detached import start_detached
from lkhub.cli.shared.foreground import run_foreground
from lkhub.cli.shared.options import Json, Spec, State
from lkhub.cli.shared.outcome import show_outcome
from lkhub.cli.shared.progress import Progress
from lkhub.cli.shared.show import say, show_hints
from lkhub.cli.shared.store import name_left_store
from lkhub.errors import ANOTHER, EXIT_UNWELL, InputError, MachineError
from lkhub.host.service_manager import is_managed
from lkhub.hub.apply import prepare_change, request_change
from lkhub.hub.dev import write_dev_spec
from lkhub.hub.locate import find_service, find_spec, find_state
from lkhub.hub.running import is_running, require_report
from lkhub.plan.paths import StatePaths
from lkhub.plan.service import Service


def up(
    detach: Annotated[
        bool, typer.Option("--detach", "-d", help="Return when the hub is up; it runs on without this terminal.")
    ] = False,
    no_verify: Annotated[bool, typer.Option("--no-verify", help="Do not call the hub to prove that it works.")] = False,
    now: Annotated[
        bool, typer.Option("--now", help="Apply a change at once, also where it interrupts people in a call.")
    ] = False,
    dev: Annotated[
        bool, typer.Option("--dev", help="A hub for this machine without a spec, with the key devkey and secret.")
    ] = False,
    link: Annotated[bool, typer.Option("--link", help="Print the join link also where stdout is no terminal.")] = False,
    spec: Spec = None,
    state: State = None,
    json: Json = False,
) -> None:
    """Make this machine match the spec, and prove that calls get through.

    Prints the addresses, and on a terminal a join link and, where phones can join, a QR code; elsewhere the link's
    token would stay in a log, so it is printed only with --link. In the foreground until Ctrl-C: once lets people in a
    call finish, twice stops at once. On a hub that is running already it applies the spec, verifies and returns. A
    change that would interrupt a call waits, unless --now.

    --dev is what `livekit-server --dev` is: no spec is needed, and the API key is devkey with the secret secret.
    """
    service = find_service(StatePaths(find_state(state)))
    if service and not is_managed():
        raise _describe_service(service)
    if os.path.lexists(StatePaths(find_state(state)).restore_record):
        # Imported here: it loads what unpacks a backup (30 ms), and a killed restore is rare.
        from lkhub.hub.restore import finish_restore

        finish_restore(StatePaths(find_state(state)))
    with Progress() as progress:
        progress.tell("reading the spec and looking at this machine")
        if dev and spec is None and (here := find_spec(None)):
            say(f"{here} is not read; to use it with that key, write `keys: {{source: dev}}` in it", "note", "cyan")
        chosen = write_dev_spec(spec, find_state(state)) if dev else find_spec(spec)
        hub, running = prepare_change(chosen, find_state(state), os.environ)
        paths = hub.plan.paths
        if left := name_left_store(paths, hub.plan.serve.application):
            _tell_left(left)
        if not running:
            try:
                if not detach:
                    raise typer.Exit(run_foreground(hub, progress, verify=not no_verify, link=link, json=json))
                start_detached(hub, progress)
            except MachineError:
                if not is_running(paths):
                    raise
                # Another command was faster.
                progress.tell("having the hub that another command has started take the spec over")
        else:
            progress.tell("having the running hub take the spec over")
        outcome = request_change(hub, progress, now=now)
        show_outcome(outcome)
        # Imported here: media answers 50 ms sooner without what examines a hub.
        from lkhub.cli.shared.summary import show_examined
        from lkhub.hub.examine import examine_hub

        try:
            examined = examine_hub(paths, progress, verify=not no_verify)
        except KeyboardInterrupt:
            say("the hub has the spec, and runs on; `lkhub status` says how it is", "note", "cyan")
            raise
        require_report(paths)  # otherwise this would report on a hub that was stopped meanwhile
    show_examined(hub.plan, examined, link=link, pending=outcome.pending, json=json)
    raise typer.Exit(EXIT_UNWELL if examined.failed else 0)


def _describe_service(service: Service) -> InputError:
    # Imported here: it costs 20 ms, and is needed only where something is wrong.
    from lkhub.host.systemd import runs_machine

    owner = "your own systemd runs" if service.of_user else "the machine runs as a user of its own"
    hints = (
        f"edit {service.spec}, then `lkhub install` makes the service match it",
        f"`{service.systemctl} start lkhub` starts it",
    )
    if not runs_machine():
        where = f"where systemd runs {service.unit_file}, as outside this container or chroot"
        hints = (f"systemd does not run here: start it {where}", ANOTHER)
    return InputError(f"this hub is a service, which {owner}", hints=hints)


def _tell_left(store: str) -> None:
    say(
        f"the spec has another store than before: API keys, invites and what waits for receivers stay in {store}, "
        "unless you have moved them",
        "note",
        "cyan",
    )
    show_hints(["`lkhub access create NAME` makes a new key for an application"])
