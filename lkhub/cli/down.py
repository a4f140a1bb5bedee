"""`lkhub down` and `restart`."""

import contextlib
import os
from typing import TYPE_CHECKING, Annotated

import typer

from lkhub.checks.checks import describe_cut
from lkhub.cli.shared.options import HubSpec, State
from lkhub.cli.shared.show import err, show_hints
from lkhub.errors import ANOTHER, InputError, MachineError
from lkhub.host.acting import acting_as_owner
from lkhub.host.control import NotRunningError, ask, ask_settled
from lkhub.hub.agent_images import refuse_image
from lkhub.hub.applied import describe_unknown
from lkhub.hub.locate import find_hub, find_service
from lkhub.hub.running import ask_running
from lkhub.plan.paths import StatePaths
from lkhub.plan.service import Service
from lkhub.state.applied import load_applied
from lkhub.wire.control import RestartRequest, StatusRequest, StopRequest

if TYPE_CHECKING:
    from lkhub.supervise.ending import Ending


# A hub whose processes don't start is given up after 30 s; a hub that was taken over answers earlier.
START_SECONDS = 60.0


def down(
    now: Annotated[bool, typer.Option("--now", help="Do not wait for people in a call.")] = False,
    spec: HubSpec = None,
    state: State = None,
) -> None:
    """Stop the hub.

    People in a call get time to finish: `drain` of the spec, 30 seconds by default. A hub that is not running is down
    already, and that is no error.
    """
    paths = find_hub(spec, state)
    if _stop(paths, "now" if now else "drain") or load_applied(paths) is not None:
        err.print("the hub is down")
        if service := find_service(paths):
            _show_next_start(service)
    else:
        # Not "the hub is down": the hub that the user means may run elsewhere.
        err.print(f"nothing to stop: {describe_unknown(paths)}")
        show_hints((ANOTHER,))


def restart(
    name: Annotated[str | None, typer.Argument(help="media, relay, serve, edge or agent-NAME. Default: all.")] = None,
    spec: HubSpec = None,
    state: State = None,
) -> None:
    """Restart processes with the spec as it is in force.

    Clients of people in a call reconnect by themselves: within a second or two, and later where a room is full.
    """
    paths = find_hub(spec, state)
    if name is not None:
        refuse_restart(paths, name)
    if name is not None and os.path.isdir(paths.for_agents):
        # Imported here: most hubs have no agent, and psutil takes 20 ms.
        from lkhub.hub.agent_units import restart_given

        if restart_given(paths, name):
            err.print(f"asked for a new worker of {name}, which starts within seconds")
            return
    running = [process.name for process in ask_running(paths, StatusRequest()).processes]
    if name is not None and name not in running:
        raise InputError(f"there is no process {name}", hints=(f"one of: {', '.join(running)}",))
    answer = ask(paths.control, RestartRequest(name))
    told = f"; {describe_cut(answer.people, answer.only_through)}" if answer.people else ""
    err.print(f"restarted {', '.join(answer.restarted)}{told}")


def refuse_restart(paths: StatePaths, process: str) -> None:
    """Raise InputError where this process is in a container of its own image, which the hub can't start anew."""
    refuse_image(paths, process, "which the hub does not start", compose="restart", kubectl="rollout restart")


def _show_next_start(service: Service) -> None:
    # Imported here: it costs 20 ms, and most hubs are no service.
    from lkhub.host.systemd import runs_machine

    if runs_machine():
        start = f"it starts again with the machine, or by `{service.systemctl} start lkhub`"
        show_hints((start, "`lkhub uninstall` ends that"))


def _stop(paths: StatePaths, how: "Ending") -> bool:
    """Return when the hub is down. Returns whether any part of it ran. A hub that is starting is waited for, and then
    stopped."""
    waits = "the hub is starting or stopping; waiting until it can be stopped"
    request = StopRequest(drain=how == "drain")
    try:
        ask_settled(
            paths.control, request, seconds=START_SECONDS, on_wait=lambda: err.print(waits), on_progress=err.print
        )
    except NotRunningError as error:
        if error.busy:
            raise
        return _stop_left(paths, how)
    return True


def _stop_left(paths: StatePaths, how: "Ending") -> bool:
    """End what an earlier supervisor left running; False where there was nothing. Root does it as the hub's own
    user."""
    # Imported here: these cost 100 ms, and a hub that has a supervisor does not need them.
    import anyio

    from lkhub.host.lock import hold_lock
    from lkhub.host.processes import runs_any
    from lkhub.state.identity import remove_record
    from lkhub.supervise.ending import end_left, order_ends
    from lkhub.supervise.left import find_running

    # Root sees them only with the rights of their user, who may not be able to read this lkhub.
    if os.path.exists(paths.root) and not runs_any(os.stat(paths.root).st_uid):
        return False
    with contextlib.ExitStack() as held:
        held.enter_context(acting_as_owner(paths.root))
        if not find_running(paths):
            return False
        held.enter_context(hold_lock(paths))
        # Twice: programs that a process has started, such as a script that is `engine`, may outlive it.
        for _ in range(2):
            for found, ending in order_ends(find_running(paths), lambda found: found.plan, how):
                anyio.run(end_left, found.process, ending, found.plan, paths)
                remove_record(paths, found.name, found.process)
                err.print(f"ended {found.name} (pid {found.process.pid}), which ran without a supervisor")
        if left := find_running(paths):
            names = ", ".join(f"{found.name} (pid {found.process.pid})" for found in left)
            raise MachineError(f"still running: {names}")
    return True
