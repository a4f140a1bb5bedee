"""What commands know of the hub in a state directory: its record, its processes, its last verification."""

import contextlib
import time
from collections.abc import Callable

from lkhub.checks.surroundings import UNSEEN, Surroundings
from lkhub.errors import HubError, UnwellError
from lkhub.findings.finding import Finding
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

# Most ACME servers check a name and issue the certificate within a few seconds; ZeroSSL takes up to half a minute.
CERTIFICATE_SECONDS = 60.0
POLL_SECONDS = 0.25

# An edge that has ended is started again at once. An edge that says nothing for so long does not stay up.
EDGE_SECONDS = 10.0

# A hub starts in a second or two, and its supervisor ends a moment after it has answered `down`.
SETTLE_SECONDS = 5.0


def read_status(paths: StatePaths, *, around: Surroundings | None = None) -> HubStatus:
    """Everything that is known about the hub. Changes nothing. A hub that never ran is `stopped`. NotRunningError
    where the hub is starting or stopping at this moment. `around`: the surroundings, where the caller has gathered
    them already."""
    supervisor = _ask_settled(paths)
    left = () if supervisor else tuple(_find_left(paths))
    applied = load_applied(paths)
    limits = _read_limits(applied, supervisor)
    edited, outside = _is_edited(supervisor), read_sightings(paths)
    change = read_root_change(paths) if applied and applied.ca else None
    asker = read_asker(paths.asker)
    if around is None and (supervisor or left) and applied and applied.reach != "local":
        # Imported here: it costs 50 ms, and a hub for this machine alone has neither names nor a firewall to check.
        from lkhub.hub.surroundings import gather_surroundings

        around = gather_surroundings(paths, outside)
    around = around or UNSEEN
    runs_in = read_runs_in(supervisor.pid) if supervisor else RunsIn()
    verified = find_verified(paths)
    unknown = describe_unknown(paths) if applied is None else ""
    files = _judge_files(applied) if supervisor or left else ()
    return HubStatus(
        *(applied, supervisor, left, verified, limits, edited, outside, change, asker),
        around=around,
        runs_in=runs_in,
        unknown=unknown,
        options=name_state(paths),
        certificate_files=files,
    )


def _judge_files(applied: AppliedRecord | None) -> tuple[Finding, ...]:
    """What is wrong with the operator's own certificate as its files are now, which may have been replaced since `up`
    judged them."""
    if applied is None or applied.own_certificate is None:
        return ()
    # Imported here: it loads cryptography (20 ms, 10 MiB), which other modes of TLS do without.
    from lkhub.host.certificates import judge_certificate

    own = applied.own_certificate
    return judge_certificate(own.cert, own.key, own.names)


def _ask_settled(paths: StatePaths) -> HubReport | None:
    """The supervisor's report, None where no supervisor runs. Waits for a supervisor that is starting or stopping, and
    raises NotRunningError where it goes on starting or stopping: such a hub is neither stopped nor unsupervised."""
    try:
        return ask_settled(paths.control, StatusRequest(), seconds=SETTLE_SECONDS)
    except NotRunningError as error:
        if error.busy:
            raise
        return None


def refresh_sightings(paths: StatePaths) -> Sightings:
    """Which paths clients on other machines have used. A running supervisor is asked first, since it updates this
    record before it answers."""
    with contextlib.suppress(NotRunningError):
        ask(paths.control, StatusRequest(max_age=0.0))
    return read_sightings(paths)


def _is_edited(supervisor: HubReport | None) -> bool:
    """Whether the spec's text differs from the text that was applied. False where the spec can't be read."""
    with contextlib.suppress(HubError):
        if supervisor and supervisor.spec:
            return digest(read_input(supervisor.spec)) != supervisor.digest
    return False


def _read_limits(applied: AppliedRecord | None, supervisor: HubReport | None) -> KernelLimits:
    """The kernel's limits for media. Empty on a hub for this machine alone, whose calls are too small to reach them."""
    pids = [
        process.pid for process in (supervisor.processes if supervisor else ()) if "knows-participants" in process.roles
    ]
    if not pids or not pids[0] or applied is None or applied.reach == "local":
        return KernelLimits()
    return read_limits(pids[0])


def wait_for_certificates(paths: StatePaths, progress: Progress) -> None:
    """Wait until the edge has a certificate or a failure for each name that needs a certificate. A call before that
    would prove nothing.

    Returns after a minute in any case, and earlier where the edge does not stay up. UnwellError where the hub is
    stopped meanwhile.
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
            time.sleep(POLL_SECONDS)


def require_running(paths: StatePaths) -> None:
    """Raise UnwellError where a hub that was up has been stopped, or has lost its supervisor."""
    if _ask_settled(paths) is None:
        raise _describe_end(paths)


def _describe_end(paths: StatePaths) -> UnwellError:
    return _describe_left(paths) or UnwellError("the hub has been stopped meanwhile", hints=("`lkhub up` starts it",))


def _describe_left(paths: StatePaths) -> UnwellError | None:
    """The error for a hub that has lost its supervisor; None where no process of the hub runs."""
    left = ", ".join(process.name for process in _find_left(paths))
    ended = f"the hub's supervisor has ended; still running without it: {left}"
    hints = ("`lkhub up` takes them over; `lkhub logs hub` shows what it did last",)
    return UnwellError(ended, hints=hints) if left else None


def ask_running(
    paths: StatePaths, request: Request[Answer], *, on_progress: Callable[[str], None] | None = None
) -> Answer:
    """`ask` for something that only a supervisor can do. Where no supervisor runs, the error names the processes that
    run without one."""
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
    """The last verification; None before the first one, and where its record can't be read."""
    record = read_verified(paths)
    return Verified.of(record) if record else None


def _find_left(paths: StatePaths) -> list[ProcessReport]:
    """Processes that an earlier supervisor left running."""
    # Imported here: it costs 12 ms, and is not needed while a supervisor runs.
    from lkhub.supervise.left import find_running

    return [
        ProcessReport(found.name, found.process.pid, "running", found.identity.since, roles=found.plan.roles)
        for found in find_running(paths)
    ]
