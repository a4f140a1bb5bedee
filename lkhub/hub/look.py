"""What this lkhub would change about a hub that another version runs. It reads, and changes nothing."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from lkhub import __version__
from lkhub.host.processes import is_alive
from lkhub.plan.paths import StatePaths
from lkhub.plan.process import ProcessPlan, are_apart
from lkhub.plan.service import Service
from lkhub.prepare.service import prepare_service
from lkhub.state.applied import load_applied
from lkhub.state.contents import list_findings
from lkhub.state.identity import Identity, list_records, list_retired
from lkhub.wire.upgrade import Look, ReplacedProcess

_OWN_PROGRAM = "each version runs programs of its own"
_LATER = f"{_OWN_PROGRAM}, and this one goes on until nobody is in a call"


@dataclass(frozen=True)
class Found:
    """The processes of a hub on record. `beside` are those in whose place another one of their name is, and that still
    finish what they do."""

    records: tuple[Identity, ...]
    beside: tuple[Identity, ...] = ()


def find_processes(paths: StatePaths) -> Found:
    """The processes on record, and of those that have a successor the ones that have not ended."""
    return Found(list_records(paths), tuple(each for each in list_retired(paths) if is_alive(each.process)))


def look_at_service(service: Service, environ: Mapping[str, str]) -> Look:
    """What this lkhub would change about the processes of a service, by the spec that is installed. Raises HubError
    where it does not take that spec."""
    paths = StatePaths(service.installation.state)
    plan = prepare_service(service.spec, environ, service).plan
    applied = load_applied(paths)
    known = {finding.ref for finding in list_findings(applied)} if applied else set()
    notes = tuple(finding.sentence for finding in plan.findings if finding.ref not in known)
    replaced = compare_processes(find_processes(paths), plan.processes, plan.spare)
    return Look(__version__, tuple(replaced), notes=notes)


def compare_processes(
    found: Found, planned: tuple[ProcessPlan, ...], spare: tuple[ProcessPlan, ...] = ()
) -> Iterator[ReplacedProcess]:
    """Which processes on record end, and why. All of them do: the version is part of what a process is
    (`lkhub.prepare.hub.fingerprint`)."""
    wanted = {process.name: process for process in planned}
    media = [identity.plan for identity in found.records if identity.plan.knows_participants]
    waits = bool(media) and all(_finishes(each, wanted.get(each.name)) for each in media)
    for identity in found.records:
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
        interrupts = before.carries_calls and not _finishes(before, after)
        after_pids = () if interrupts else _find_in_the_way(before, found.beside, (*planned, *spare))
        if after_pids:
            pids = ", ".join(map(str, after_pids))
            why += f". This one starts once the calls of the one before (pid {pids}) have ended, whose ports it needs"
        yield ReplacedProcess(identity.name, why, interrupts, after_pids)


def _find_in_the_way(
    before: ProcessPlan, beside: tuple[Identity, ...], places: tuple[ProcessPlan, ...]
) -> tuple[int, ...]:
    """The pids of those that have the ports on which the successor of `before` would start (`Fleet.choose`)."""
    there = next((each for each in places if each.name == before.name and are_apart(before, each)), None)
    if there is None:
        return ()
    named = (each for each in beside if each.name == before.name)
    return tuple(each.process.pid for each in named if not are_apart(each.plan, there))


def _finishes(before: ProcessPlan, after: ProcessPlan | None) -> bool:
    """Whether a process finishes what it does beside the one that takes its place."""
    hands_over = before.handover is not None and after is not None and after.handover is not None
    return before.retires is not None or hands_over


def _without_program(plan: ProcessPlan) -> tuple[tuple[str, ...], tuple[str, ...]]:
    return plan.argv[1:], plan.files
