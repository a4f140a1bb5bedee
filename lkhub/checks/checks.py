"""Facts → findings, one function a finding. Pure."""

import shlex
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from lkhub.findings.finding import Finding, Fix


def check_processes(processes: Iterable[Mapping[str, Any]], failures: Mapping[str, str]) -> Iterator[Finding]:
    """A finding for every process that is not running as it should."""
    for process in processes:
        if process["state"] in ("backoff", "failed"):
            name = process["name"]
            yield Finding(
                "process-fails",
                name,
                "error",
                f"{name} does not stay up",
                failures.get(name, ""),
                "its log says why",
                (Fix("read its log", f"lkhub logs {name}"), Fix("try it again at once", f"lkhub restart {name}")),
            )


def begin_with_people(people: int) -> str:
    """How a sentence about people in a call begins."""
    return "1 person is" if people == 1 else f"{people} people are"


def describe_people(people: int | None) -> str:
    """How many are in a call, as media told; None where it did not."""
    if people is None:
        return "whether people are in a call is not known: media does not say, or is another one since a moment ago"
    return f"{begin_with_people(people)} in a call"


def describe_cut(people: int, restarted: Collection[str]) -> str:
    """Whom the restart of processes has cut off, of the people in a call. Only media carries all of them."""
    begin = f"{begin_with_people(people)} in a call"
    if ways := _list_ways(restarted):
        return f"{begin}, and whoever came through {ways} had to reconnect"
    return f"{begin} and had to reconnect"


def _list_ways(restarted: Collection[str]) -> str:
    """The processes of which a restart cuts off only those who came through them; "" where it is everybody."""
    return "" if "media" in restarted else " or ".join(name for name in restarted if name != "serve")


def check_pending(pending: bool, waits: Mapping[str, Any] | None = None) -> Iterator[Finding]:
    """A finding for a change that waits. `waits`: `{"restarts", "people"}`, the names of the processes and how many
    were in a call at the last look; None of a supervisor that does not tell."""
    if not pending:
        return
    people = waits["people"] if waits else None
    restarts = ", ".join(waits["restarts"]) if waits else "processes that may carry calls"
    known = people is not None
    ways = _list_ways(waits["restarts"]) if waits else ""
    whom = f"whoever came through {ways}" if ways else "whoever is in a call"
    yield Finding(
        "change-pending",
        "hub",
        "info",
        f"a change of the spec waits until {'nobody is' if known else 'it is known that nobody is'} in a call",
        f"it restarts {restarts}, which {'interrupts' if known else 'would interrupt'} {whom}",
        describe_people(people) if waits else "people are in a call, or whether they are is not known",
        (
            Fix(
                "apply it now and interrupt them for a moment" if known else "apply it now, whoever it interrupts",
                "lkhub up --now",
            ),
        ),
    )


def check_edited(spec: str | None) -> Iterator[Finding]:
    """A finding for a spec that was edited since it was applied."""
    if spec:
        yield Finding(
            "spec-not-applied",
            "hub",
            "info",
            "the spec has changed, and the hub runs by what it was",
            f"{spec} is not as it was at the last `lkhub up`",
            "a spec takes effect when it is applied",
            (Fix("apply it", f"lkhub up --spec {shlex.quote(spec)}"),),
            where={"file": spec, "line": None},
        )


def check_address(moved: str, lost: Sequence[str] | None = None) -> Iterator[Finding]:
    """A finding where this machine's address is not the one that clients are told. `lost`: it has none that they could
    be told, and what to do about that."""
    if moved and lost is not None:
        yield Finding(
            "address-changed",
            "media",
            "error",
            "clients are sent to an address that this machine does not have now",
            moved,
            "calls go on where they still get through, and the hub is back by itself as soon as the address is",
            tuple(Fix(way) for way in lost) or (Fix("see why this machine has lost its address", "ip address"),),
        )
    elif moved:
        yield Finding(
            "address-changed",
            "media",
            "error",
            "clients are sent to an address where the hub is not",
            moved,
            "this machine's address changed (DHCP, dynamic DNS, a VPN), and following it would interrupt a call",
            (Fix("follow it now and interrupt people for a moment", "lkhub up --now"),),
        )


def check_supervised(supervised: bool, running: Iterable[str]) -> Iterator[Finding]:
    """A finding where processes run and nobody would restart them."""
    names = ", ".join(running)
    if names and not supervised:
        yield Finding(
            "no-supervisor",
            "hub",
            "error",
            "the hub runs, but nobody watches over it",
            f"still running: {names}",
            "lkhub itself was killed; calls go on, but what ends is not started again",
            (Fix("take them over, without interrupting a call", "lkhub up"),),
        )
