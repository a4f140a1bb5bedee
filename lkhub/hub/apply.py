"""Applies a spec to a hub that runs, and finds out what came of it. It prints nothing, and so serves a command as well
as a page. A hub that does not run is started by its own supervisor (lkhub/supervise/run.py).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from lkhub.checks.surroundings import Surroundings
from lkhub.host.processes import forget_variables
from lkhub.hub.gather import ask_running, is_running, wait_for_certificates
from lkhub.hub.progress import Progress
from lkhub.hub.status import Verified
from lkhub.hub.surroundings import gather_surroundings
from lkhub.hub.verify import is_well, verify_hub
from lkhub.plan.paths import StatePaths
from lkhub.prepare.hub import PreparedHub, prepare_hub
from lkhub.state.outside import read_sightings
from lkhub.wire.control import ApplyRequest, Outcome


@dataclass(frozen=True)
class Examined:
    """What is known of a hub after a change. `verified` is None if no calls were made."""

    surroundings: Surroundings
    verified: Verified | None

    @property
    def failed(self) -> bool:
        """Whether a path is not proved, or clients are kept from it. False without a verification."""
        if self.verified is None:
            return False
        unproved = any(path.ok is not True for path in self.verified.paths)
        return unproved or not is_well(self.verified, self.surroundings)


def prepare_change(spec: str | None, state: str, environ: Mapping[str, str]) -> tuple[PreparedHub, bool]:
    """The hub of the spec, and whether a supervisor runs in the state directory. Raises HubError. The variables that
    the spec refers to are removed from this process's own environment: their values are in the hub's files."""
    # Asked first: a supervisor whose state directory was removed writes its keys there again, so `prepare_hub` finds
    # these keys and makes no new ones.
    running = is_running(StatePaths(state))
    hub = prepare_hub(spec, state, environ)
    forget_variables(hub.environ)
    return hub, running


def request_change(hub: PreparedHub, progress: Progress, *, now: bool = False) -> Outcome:
    """Have the running supervisor make the machine match the hub. `now`: also if that interrupts calls. Raises the
    HubError because of which the change was not made; this is an UnwellError or a NotRunningError if no supervisor
    runs."""
    return ask_running(hub.plan.paths, ApplyRequest(hub.spec, hub.environ, now), on_progress=progress.tell)


def examine_hub(
    paths: StatePaths, progress: Progress, *, verify: bool, is_stopping: Callable[[], bool] = lambda: False
) -> Examined:
    """Gather the surroundings of a running hub. With `verify` also call the hub through every path, once it has its
    certificates, unless `is_stopping` says by then that it is being stopped. Raises UnwellError if the hub is stopped
    during the wait for certificates."""
    if verify:
        wait_for_certificates(paths, progress)
    surroundings = gather_surroundings(paths, read_sightings(paths))
    verified = verify_hub(paths, surroundings, progress=progress) if verify and not is_stopping() else None
    return Examined(surroundings, verified)
