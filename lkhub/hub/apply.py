"""Applies a spec to a hub that runs. It prints nothing, and so serves a command as well as a page.

A hub that does not run is started by its own supervisor (lkhub/supervise/run.py). What came of a change is found out by
`lkhub.hub.examine`.
"""

import os
import re
import stat
from collections.abc import Mapping

from lkhub.errors import InputError
from lkhub.host.processes import forget_variables
from lkhub.hub.progress import Progress
from lkhub.hub.running import ask_running, is_running
from lkhub.plan.paths import StatePaths
from lkhub.prepare.hub import PreparedHub, prepare_hub
from lkhub.wire.control import ApplyRequest, Outcome


def prepare_change(spec: str | None, state: str, environ: Mapping[str, str]) -> tuple[PreparedHub, bool]:
    """The hub of the spec, and whether a supervisor runs in the state directory. Raises HubError. The variables that
    the spec refers to are removed from this process's own environment: their values are in the hub's files."""
    if spec and _is_of_this_process(spec):
        raise InputError(
            f"{spec} can be read by this command alone, and the hub reads its spec again, as `lkhub status` does",
            hints=("write the spec into a file, and name that with --spec",),
        )
    # Asked first: a supervisor whose state directory was removed writes its keys there again, so `prepare_hub` finds
    # these keys and makes no new ones.
    running = is_running(StatePaths(state))
    hub = prepare_hub(spec, state, environ)
    forget_variables(hub.environ)
    return hub, running


def _is_of_this_process(spec: str) -> bool:
    """Whether no other process reads the same at this path: it is a pipe, or a descriptor of ours."""
    if _DESCRIPTOR.match(os.path.abspath(spec)):
        return True
    return os.path.exists(spec) and stat.S_ISFIFO(os.stat(spec).st_mode)


# proc_pid_fd(5)
_DESCRIPTOR = re.compile(r"/dev/(stdin$|fd/)|/proc/[^/]+/(task/[^/]+/)?fd/")


def request_change(hub: PreparedHub, progress: Progress, *, now: bool = False) -> Outcome:
    """Have the running supervisor make the machine match the hub. `now`: also if that interrupts calls. Raises the
    HubError because of which the change was not made; this is an UnwellError or a NotRunningError if no supervisor
    runs."""
    return ask_running(hub.plan.paths, ApplyRequest(hub.spec, hub.environ, now), on_progress=progress.tell)
