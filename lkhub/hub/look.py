"""What this lkhub would change about a hub that another version runs. It reads, and changes nothing."""

from collections.abc import Iterator, Mapping

from lkhub import __version__
from lkhub.plan.paths import StatePaths
from lkhub.plan.process import ProcessPlan
from lkhub.plan.service import Service
from lkhub.prepare.service import prepare_service
from lkhub.state.applied import load_applied
from lkhub.state.contents import list_findings
from lkhub.state.identity import Identity, list_records
from lkhub.wire.upgrade import Look, ReplacedProcess

_OWN_PROGRAM = "each version runs programs of its own"
_LATER = f"{_OWN_PROGRAM}, and this one goes on until nobody is in a call"


def look_at_service(service: Service, environ: Mapping[str, str]) -> Look:
    """What this lkhub would change about the processes of a service, by the spec that is installed. Raises HubError
    where it does not take that spec."""
    paths = StatePaths(service.installation.state)
    plan = prepare_service(service.spec, environ, service).plan
    applied = load_applied(paths)
    known = {finding.ref for finding in list_findings(applied)} if applied else set()
    notes = tuple(finding.sentence for finding in plan.findings if finding.ref not in known)
    return Look(__version__, tuple(compare_processes(list_records(paths), plan.processes)), notes=notes)


def compare_processes(records: tuple[Identity, ...], planned: tuple[ProcessPlan, ...]) -> Iterator[ReplacedProcess]:
    """Which processes on record end, and why. All of them do: the version is part of what a process is
    (`lkhub.prepare.hub.fingerprint`)."""
    wanted = {process.name: process for process in planned}
    media = [identity.plan for identity in records if identity.plan.knows_participants]
    waits = bool(media) and all(_finishes(each, wanted.get(each.name)) for each in media)
    for identity in records:
        before, after = identity.plan, wanted.get(identity.name)
        if after is None:
            why = "the new version does without it"
        elif _without_program(before) != _without_program(after):
            why = f"{_OWN_PROGRAM}, and starts this one in another way"
        elif waits and before.carries_calls and not _finishes(before, after):
            # Where it gets other files after all, the whole change waits (`Fleet.split`), and no call is cut.
            yield ReplacedProcess(identity.name, _LATER)
            continue
        else:
            why = _OWN_PROGRAM
        yield ReplacedProcess(identity.name, why, interrupts=before.carries_calls and not _finishes(before, after))


def _finishes(before: ProcessPlan, after: ProcessPlan | None) -> bool:
    """Whether a process finishes what it does beside the one that takes its place."""
    hands_over = before.handover is not None and after is not None and after.handover is not None
    return before.retires is not None or hands_over


def _without_program(plan: ProcessPlan) -> tuple[tuple[str, ...], tuple[str, ...]]:
    return plan.argv[1:], plan.files
