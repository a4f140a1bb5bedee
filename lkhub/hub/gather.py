"""What commands know of the hub in a state directory: its record, its processes, its last verification."""

import contextlib
import time
from collections.abc import Callable

from lkhub.checks.surroundings import UNSEEN, Surroundings
from lkhub.errors import HubError, UnwellError
from lkhub.host.control import NotRunningError, ask, ask_settled
from lkhub.host.files import digest, read_input
from lkhub.host.kernel import read_limits
from lkhub.host.runs_in import read_runs_in
from lkhub.hub.applied import describe_unknown, require_applied
from lkhub.hub.locate import name_state
from lkhub.hub.progress import Progress
from lkhub.hub.status import HubStatus, Verified
from lkhub.plan.host import KernelLimits, RunsIn
from lkhub.plan.model import Sightings
from lkhub.plan.paths import StatePaths
from lkhub.state.applied import AppliedRecord, load_applied
from lkhub.state.asker import read_asker
from lkhub.state.outside import read_sightings
from lkhub.state.root_change import read_root_change
from lkhub.state.verified import read_verified
from lkhub.wire.control import HubReport, ProcessReport, StatusRequest
from lkhub.wire.exchange import Answer, Ping, Request

# ACME servers prove a name and sign within a few seconds; ZeroSSL takes up to half a minute.
CERTIFICATE_SECONDS = 60.0
LOOK_SECONDS = 0.25

# An edge that has ended is started again at once. One that does not answer for longer does not run.
EDGE_SECONDS = 10.0

# A hub starts in a second or two, and its supervisor is gone a moment after it has answered `down`.
SETTLE_SECONDS = 5.0


def read_status(paths: StatePaths, *, around: Surroundings | None = None) -> HubStatus:
    """Everything known about the hub. Changes nothing; a hub that never ran is `stopped`. NotRunningError
    where it is starting or stopping at this moment. `around` is what the command
    has seen of the way there, None where it has not looked."""
    supervisor = _ask_settled(paths)
    left = () if supervisor else tuple(_find_left(paths))
    applied = load_applied(paths)
    limits = _read_limits(applied, supervisor)
    edited, outside = _is_edited(supervisor), read_sightings(paths)
    change = read_root_change(paths) if applied and applied.ca else None
    asker = read_asker(paths.asker)
    if around is None and (supervisor or left) and applied and applied.reach != "local":
        # Imported here: it costs 50 ms, and a hub for this machine alone needs no names and no firewall.
        from lkhub.hub.around import look_around

        around = look_around(paths, outside)
    around = around or UNSEEN
    runs_in = read_runs_in(supervisor.pid) if supervisor else RunsIn()
    verified = find_verified(paths)
    unknown = describe_unknown(paths) if applied is None else ""
    return HubStatus(
        *(applied, supervisor, left, verified, limits, edited, outside, change, asker),
        around=around,
        runs_in=runs_in,
        unknown=unknown,
        options=name_state(paths),
    )


def _ask_settled(paths: StatePaths) -> HubReport | None:
    """What the supervisor says of itself; None where there is none. One that is starting or stopping is waited for:
    what runs there is neither stopped nor without a supervisor."""
    try:
        return ask_settled(paths.control, StatusRequest(), seconds=SETTLE_SECONDS)
    except NotRunningError as error:
        if error.busy:
            raise
        return None


def refresh_sightings(paths: StatePaths) -> Sightings:
    """Which paths clients on other machines have used. A supervisor brings its record up to date before it answers."""
    with contextlib.suppress(NotRunningError):
        ask(paths.control, StatusRequest(max_age=0.0))
    return read_sightings(paths)


def _is_edited(supervisor: HubReport | None) -> bool:
    """Whether the spec says something else than when it was applied. One that can't be read says nothing."""
    with contextlib.suppress(HubError):
        if supervisor and supervisor.spec:
            return digest(read_input(supervisor.spec)) != supervisor.digest
    return False


def _read_limits(applied: AppliedRecord | None, supervisor: HubReport | None) -> KernelLimits:
    """Limits that hold for media. A hub for this machine alone carries no crowd."""
    pids = [
        process.pid for process in (supervisor.processes if supervisor else ()) if "knows-participants" in process.roles
    ]
    if not pids or not pids[0] or applied is None or applied.reach == "local":
        return KernelLimits()
    return read_limits(pids[0])


def wait_for_certificates(paths: StatePaths, progress: Progress) -> None:
    """Return when the edge has a certificate, or a failure, for each name that it gets one for; after a while anyway.

    A call before that proves nothing. An edge that does not run gets none. UnwellError where the hub is stopped
    meanwhile.
    """
    missing = set(require_applied(paths).certified)
    began = heard = time.monotonic()
    while missing and (waited := time.monotonic() - began) < CERTIFICATE_SECONDS:
        try:
            if edge := ask(paths.control, StatusRequest(max_age=0.0)).edge:
                missing, heard = set(edge.pending), time.monotonic()
        except NotRunningError as error:
            if not error.busy:
                raise _describe_end(paths) from None
        if time.monotonic() - heard > EDGE_SECONDS:
            return
        if missing:
            progress.tell(
                f"waiting for the certificate of {', '.join(sorted(missing))}, for {CERTIFICATE_SECONDS:.0f} s at most",
                f"{waited:.0f} s",
            )
            time.sleep(LOOK_SECONDS)


def require_running(paths: StatePaths) -> None:
    """Raise UnwellError where the hub that was up has been stopped meanwhile, or has lost its supervisor."""
    if _ask_settled(paths) is None:
        raise _describe_end(paths)


def _describe_end(paths: StatePaths) -> UnwellError:
    return _describe_left(paths) or UnwellError("the hub has been stopped meanwhile", hints=("`lkhub up` starts it",))


def _describe_left(paths: StatePaths) -> UnwellError | None:
    """What to say of a hub whose supervisor is gone; None where nothing of it runs."""
    left = ", ".join(process.name for process in _find_left(paths))
    ended = f"the hub's supervisor has ended; still running without it: {left}"
    hints = ("`lkhub up` takes them over; `lkhub logs hub` shows what it did last",)
    return UnwellError(ended, hints=hints) if left else None


def ask_running(
    paths: StatePaths, request: Request[Answer], *, on_progress: Callable[[str], None] | None = None
) -> Answer:
    """`ask` for what only a supervisor can do: where there is none, the error says what runs without it."""
    try:
        return ask(paths.control, request, on_progress=on_progress)
    except NotRunningError as error:
        raise (None if error.busy else _describe_left(paths)) or error from None


def is_running(paths: StatePaths) -> bool:
    """Whether a supervisor answers."""
    try:
        ask(paths.control, Ping())
    except NotRunningError:
        return False
    return True


def find_verified(paths: StatePaths) -> Verified | None:
    """The last verification, None before the first and where the record can't be read."""
    record = read_verified(paths)
    return Verified.of(record) if record else None


def _find_left(paths: StatePaths) -> list[ProcessReport]:
    """Processes that an earlier supervisor left running."""
    # Imported here: it costs 12 ms, and most of the time there is a supervisor to ask.
    from lkhub.supervise.left import find_running

    return [
        ProcessReport(found.name, found.process.pid, "running", found.identity.since, roles=found.plan.roles)
        for found in find_running(paths)
    ]
