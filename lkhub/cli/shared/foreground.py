"""`lkhub up` in the foreground: the supervisor in this process, and a live status area on a terminal."""

import contextlib

import anyio
from rich.live import Live
from rich.text import Text

from lkhub.cli.shared.exits import show_bug
from lkhub.cli.shared.progress import Progress
from lkhub.cli.shared.show import describe_state, err, is_screen, show_error
from lkhub.errors import EXIT_BUG, EXIT_MACHINE, EXIT_OK, HubError
from lkhub.host.service_manager import tell_manager
from lkhub.prepare.hub import PreparedHub
from lkhub.supervise.run import run_hub
from lkhub.supervise.supervisor import Supervisor
from lkhub.wire.control import Outcome

# An older status line would be wrong; a line that changes faster can't be read.
REFRESH_SECONDS = 1.0


def describe_start(hub: PreparedHub) -> str:
    """The text of the step that starts the processes of a hub."""
    return f"starting {', '.join(process.name for process in hub.plan.processes)}"


def run_foreground(hub: PreparedHub, progress: Progress, *, verify: bool, link: bool, json: bool) -> int:
    """Run the hub until it is stopped; the exit code. Raises HubError where it does not come up."""
    code, is_up = EXIT_OK, False

    def tell(supervisor: Supervisor, outcome: Outcome | HubError) -> None:
        if isinstance(outcome, HubError):
            show_error(outcome)
        # Imported here: media answers 50 ms sooner without what examines a hub.
        from lkhub.cli.shared.summary import describe_examined, show_examined
        from lkhub.hub.examine import Examined, examine_hub

        def tell_status(examined: Examined) -> None:
            if not supervisor.stopping:
                tell_manager(STATUS=describe_examined(examined))

        examined = examine_hub(
            hub.plan.paths, progress, verify=verify, is_stopping=lambda: supervisor.stopping, tell=tell_status
        )
        progress.clear()
        if supervisor.stopping:
            return  # the hub is gone, so there is nothing to report
        pending = isinstance(outcome, Outcome) and outcome.pending
        tell_status(examined)
        show_examined(hub.plan, examined, link=link, pending=pending, json=json)

    async def ready(supervisor: Supervisor, outcome: Outcome | HubError) -> None:
        # The hub is up, and people may be in a call: a failure to report must not end it.
        nonlocal code, is_up
        is_up = True
        # Ready is a hub whose processes run. What a verification finds ends no hub: a machine without internet starts.
        tell_manager(READY=1, STATUS="the processes run")
        try:
            # All of it runs in a thread, since it asks this supervisor, which answers in this loop. A hub that is being
            # stopped does not wait for it.
            await anyio.to_thread.run_sync(tell, supervisor, outcome, abandon_on_cancel=True)
        except HubError as error:
            progress.clear()
            show_error(error)
        except BrokenPipeError:
            return  # the program that read our output has gone
        except OSError:
            code = EXIT_MACHINE
            progress.clear()
            raise  # `run_hub` reports it
        except Exception as error:
            code = EXIT_BUG
            progress.clear()
            show_bug(error)
        supervisor.tasks.start_soon(_show_live, supervisor)

    progress.tell(describe_start(hub))
    try:
        anyio.run(run_hub, hub, err.print, ready)
    finally:
        progress.end()
    err.print(f"{hub.plan.name} is down" if is_up else f"{hub.plan.name} was stopped before it was up")
    return code


async def _show_live(supervisor: Supervisor) -> None:
    """Keep one line at the bottom of the terminal up to date. Without a terminal this does nothing: lines are printed
    as they come."""
    if not is_screen(err):
        return
    # If the terminal is closed, or at a bug, the status line ends. The hub and its calls go on.
    with contextlib.suppress(Exception), Live(console=err, auto_refresh=False, transient=True) as live:
        while True:
            live.update(_describe(supervisor), refresh=True)
            await anyio.sleep(REFRESH_SECONDS)


def _describe(supervisor: Supervisor) -> Text:
    states = [f"{child.plan.name} {describe_state(child)}" for child in supervisor.children.values()]
    waiting = " · a change waits until nobody is in a call" if supervisor.pending else ""
    what = "" if supervisor.hurries else " · Ctrl-C stops now" if supervisor.stopping else " · Ctrl-C stops"
    return Text(f"{' · '.join(states)}{waiting}{what}", style="dim")
