"""Asks the hub in a state directory whether it runs, and has its supervisor do something.

Apart from `lkhub.hub.gather`, since a command that starts or ends a hub needs none of the checks behind a status.
"""

import time
from collections.abc import Callable, Collection
from contextlib import suppress

from lkhub.errors import START, UnwellError
from lkhub.host.control import BrokenOffError, NotRunningError, ask, ask_settled
from lkhub.hub.applied import require_applied
from lkhub.hub.progress import Progress
from lkhub.plan.paths import StatePaths
from lkhub.wire.control import NO_REPORT, HubReport, ProcessReport, StatusRequest
from lkhub.wire.exchange import Answer, Ping, Request

# Most ACME servers check a name and issue the certificate within a few seconds; ZeroSSL takes up to half a minute.
CERTIFICATE_SECONDS = 60.0
POLL_SECONDS = 0.25

# An edge that has ended is started again at once. An edge that says nothing for so long does not stay up.
EDGE_SECONDS = 10.0

# A hub starts in a second or two, and its supervisor ends a moment after it has answered `down`.
SETTLE_SECONDS = 5.0


def ask_settled_report(paths: StatePaths) -> HubReport | None:
    """The supervisor's report, None where no supervisor runs. Waits for a supervisor that is starting or stopping, and
    raises NotRunningError where it goes on starting or stopping: such a hub is neither stopped nor unsupervised."""
    try:
        return ask_settled(paths.control, StatusRequest(), seconds=SETTLE_SECONDS)
    except NotRunningError as error:
        if error.busy:
            raise
        return None


def ask_report(paths: StatePaths) -> HubReport:
    """What the supervisor and its processes say at this moment; NO_REPORT where no supervisor answers for them."""
    with suppress(NotRunningError):
        return ask_settled(paths.control, StatusRequest(max_age=0.0), seconds=SETTLE_SECONDS)
    return NO_REPORT


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


def require_report(paths: StatePaths) -> HubReport:
    """The supervisor's report. Raises UnwellError where a hub that was up has been stopped, or has lost its
    supervisor."""
    if (report := ask_settled_report(paths)) is None:
        raise _describe_end(paths)
    return report


def _describe_end(paths: StatePaths) -> UnwellError:
    return _describe_left(paths) or UnwellError("the hub has been stopped meanwhile", hints=(START,))


def _describe_left(paths: StatePaths) -> UnwellError | None:
    """The error for a hub that has lost its supervisor; None where no process of the hub runs."""
    # Of an agent that was replaced, several may run.
    left = ", ".join(dict.fromkeys(process.name for process in find_left(paths)))
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
        try:
            ask(paths.control, Ping())
        except BrokenOffError:  # a supervisor that was just killed: whether there is another, the next question tells
            ask(paths.control, Ping())
    except NotRunningError:
        return False
    return True


def find_left(paths: StatePaths) -> list[ProcessReport]:
    """Processes that an earlier supervisor left running."""
    # Imported here: it costs 12 ms, and is not needed while a supervisor runs.
    from lkhub.supervise.left import find_running

    return [
        ProcessReport(found.name, found.process.pid, "running", found.identity.since, roles=found.plan.roles)
        for found in find_running(paths)
    ]


def find_ended(paths: StatePaths, left: Collection[ProcessReport]) -> tuple[str, ...]:
    """The names of the processes that have ended since their supervisor did, while `left` runs on."""
    # Imported here: it costs 12 ms, and is not needed while a supervisor runs.
    from lkhub.supervise.left import list_ended

    return tuple(list_ended(paths, [process.name for process in left])) if left else ()
