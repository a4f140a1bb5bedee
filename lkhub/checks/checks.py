"""Turns facts about the hub's processes, spec and address into findings, one function for each finding. Pure."""

import shlex
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType

from lkhub.findings.catalogue.hub import (
    change_pending,
    earlier_program,
    no_supervisor,
    process_fails,
    spec_not_applied,
    upgrade_unfinished,
)
from lkhub.findings.catalogue.names import address_changed
from lkhub.findings.finding import APPLY, Finding, Fix, Ref, Where
from lkhub.wire.control import PendingChange, ProcessReport


def check_processes(
    processes: Iterable[ProcessReport], failures: Mapping[str, str], explained: Mapping[str, Ref] = MappingProxyType({})
) -> Iterator[Finding]:
    """A finding for every process that is not running as it should. `explained`: findings that say why, by process."""
    for process in processes:
        if process.state in ("backoff", "failed"):
            name = process.name
            yield process_fails(name).about(
                name,
                detail=failures.get(name, ""),
                fix=(Fix("read its log", f"lkhub logs {name}"), Fix("try it again at once", f"lkhub restart {name}")),
                depends_on=[explained[name]] if name in explained else [],
            )


def begin_with_people(people: int) -> str:
    """The beginning of a sentence about so many people in a call."""
    return "1 person is" if people == 1 else f"{people} people are"


def describe_people(people: int | None) -> str:
    """How many people are in a call, as media reports it. `people` is None where media does not report it."""
    if people is None:
        return "whether people are in a call is not known: media does not say, or was restarted a moment ago"
    return f"{begin_with_people(people)} in a call"


def describe_cut(people: int, only_through: Collection[str]) -> str:
    """How many people were in a call, and which of them a restart interrupted. `only_through`: see
    lkhub.plan.process.list_only_through."""
    begin = f"{begin_with_people(people)} in a call"
    if only_through:
        return f"{begin}, and people who came through {' or '.join(only_through)} had to reconnect"
    return f"{begin} and had to reconnect"


def check_upgrade(source: str, target: str, lkhub: str) -> Iterator[Finding]:
    """A finding for an upgrade from the copy in the folder `source` to that in `target`, which goes on no more. `lkhub`
    is how the service's commands begin."""
    yield upgrade_unfinished().about(
        "hub",
        detail=f"it was to replace {source} by {target}",
        fix=(
            Fix("have it finished, with the wheel or the version of then or another one", f"{lkhub} upgrade WHEEL"),
            Fix("or stay with the version that is in place", f"{lkhub} install"),
        ),
    )


def describe_retired(people: int | None, pids: Collection[int]) -> str:
    """What a change waits for whose ports a process of an earlier change still has."""
    named = " and ".join(str(pid) for pid in pids)
    begin = "people may still be" if people is None else f"{begin_with_people(people)} still"
    return f"{begin} in a call of the media process before (pid {named}), and its ports are needed when it has ended"


def _apply_now(text: str, waits: PendingChange | None) -> Fix:
    """The fix that makes a pending change at once. The command names its spec where it is not that of the hub: that one
    would drop the change."""
    spec = waits.spec if waits else None
    if spec == "":
        return Fix(f"{text}: add --now to the command that made the change, in the same folder")
    return Fix(text, f"{APPLY} --now --spec {shlex.quote(spec)}" if spec else f"{APPLY} --now")


def check_pending(pending: bool, waits: PendingChange | None = None) -> Iterator[Finding]:
    """A finding for a pending change. `waits` says what the change does; None where the supervisor does not say."""
    if not pending:
        return
    if waits and waits.retired:
        yield change_pending(known=True).about(
            "hub",
            detail="media has two sets of ports, and both are in use: by the one that runs, and by the one before it",
            cause=describe_retired(waits.people, waits.retired),
            fix=(_apply_now("apply it now and have the people in that call reconnect", waits),),
        )
        return
    if waits and waits.programs:
        for name in waits.restarts:
            yield earlier_program(name).about(
                name,
                cause=describe_people(waits.people),
                fix=(_apply_now("replace it now and interrupt them for a moment", waits),),
            )
        return
    people = waits.people if waits else None
    change = waits.describe() if waits else "processes that may carry calls would restart"
    known = people is not None
    only_through = " or ".join(waits.only_through) if waits else ""
    interrupted = f"people who came through {only_through}" if only_through else "everyone in a call"
    yield change_pending(known).about(
        "hub",
        detail=f"{change}, which would interrupt {interrupted}",
        cause=describe_people(people) if waits else "people are in a call, or whether they are is not known",
        fix=(
            _apply_now(
                "apply it now and interrupt them for a moment"
                if known
                else "apply it now, even if it interrupts people",
                waits,
            ),
        ),
    )


def check_edited(spec: str | None) -> Iterator[Finding]:
    """A finding for a spec that was edited since it was applied. `spec` is its file, None where it was not."""
    if spec:
        yield spec_not_applied().about(
            "hub",
            detail=f"{spec} is not as it was when it was last applied",
            fix=(Fix("apply it", f"{APPLY} --spec {shlex.quote(spec)}"),),
            where=Where(spec),
        )


def check_address(moved: str, lost: Sequence[str] | None = None) -> Iterator[Finding]:
    """A finding where the address that clients are told is no longer this machine's. `moved` says so, and is "" where
    the address is right. `lost`: None where the machine has a new address; else it has none, and `lost` says what to
    do."""
    if moved and lost is not None:
        yield address_changed(lost=True).about(
            "media",
            detail=moved,
            fix=tuple(map(Fix, lost)) or (Fix("see why this machine has lost its address", "ip address"),),
        )
    elif moved:
        yield address_changed(lost=False).about(
            "media",
            detail=moved,
            fix=(Fix("take the new address now and interrupt people for a moment", "lkhub up --now"),),
        )


def check_supervised(supervised: bool, running: Iterable[str], ended: Collection[str] = ()) -> Iterator[Finding]:
    """A finding where processes of the hub run without a supervisor. `ended`: those that have ended since."""
    names = ", ".join(running)
    if names and not supervised:
        start = f", and start {' and '.join(ended)}" if ended else ""
        yield no_supervisor().about(
            "hub",
            detail=f"still running: {names}" + (f"; ended since: {', '.join(ended)}" if ended else ""),
            fix=(Fix(f"take them over, without interrupting a call{start}", "lkhub up"),),
        )
