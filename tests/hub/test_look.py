"""What a new lkhub would change about a hub that another version runs."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from lkhub.host.processes import ProcessId, identify
from lkhub.hub.look import Found, compare_processes, find_processes
from lkhub.plan.paths import StatePaths
from lkhub.plan.process import UNKNOWN, Handover, Health, OwnPorts, ProcessPlan
from lkhub.state.identity import Identity, write_retired
from lkhub.wire.message import dump_message, parse_message
from lkhub.wire.upgrade import Look, ReplacedProcess, StoreChange

CARRYING = ProcessPlan("one", ("/opt/old/engine", "one"), carries_calls=True)


def on_record(plan: ProcessPlan, pid: int = 7) -> Identity:
    return Identity(ProcessId(pid, "7"), "/state", plan, UNKNOWN, 0.0)


def place(number: int) -> ProcessPlan:
    """Media on the ports of this number."""
    ports = (OwnPorts("udp", number, number),)
    return ProcessPlan(
        "media",
        ("/opt/old/engine", "media"),
        Health(socket=f"/run/{number}"),
        carries_calls=True,
        knows_participants=True,
        handover=Handover("redis", ports),
    )


def compare(before: ProcessPlan, *after: ProcessPlan) -> ReplacedProcess:
    [found] = compare_processes(Found((on_record(before),)), after)
    return found


def test_each_process_is_replaced_by_one_of_the_new_version() -> None:
    found = compare(CARRYING, replace(CARRYING, argv=("/opt/new/engine", "one")))
    assert found == ReplacedProcess("one", "each version runs programs of its own", interrupts=True)


def test_process_that_is_started_in_another_way_is_told_of() -> None:
    for after in (replace(CARRYING, argv=("/opt/new/engine", "one", "--more")), replace(CARRYING, files=("/new",))):
        assert compare(CARRYING, after).why.endswith("starts this one in another way")


def test_process_that_is_gone_is_told_of() -> None:
    assert compare(CARRYING).why == "the new version does without it"


def test_only_a_process_that_ends_with_its_calls_interrupts() -> None:
    assert not compare(replace(CARRYING, carries_calls=False)).interrupts
    assert not compare(replace(CARRYING, retires=3600)).interrupts
    handing = replace(CARRYING, handover=Handover("redis", ()))
    assert not compare(handing, handing).interrupts
    assert compare(handing, CARRYING).interrupts
    assert compare(CARRYING, handing).interrupts


def test_what_carries_calls_beside_media_that_hands_over_waits_by_itself() -> None:
    handing = replace(CARRYING, name="media", knows_participants=True, handover=Handover("redis", ()))
    relay = replace(CARRYING, name="relay")
    records = Found((on_record(handing), on_record(relay)))
    [_, later] = compare_processes(records, (handing, relay))
    assert (later.name, later.interrupts) == ("relay", False)
    assert later.why.endswith("this one goes on until nobody is in a call")
    for after in (replace(relay, argv=("/opt/new/engine", "one", "--more")), replace(relay, files=("/new",))):
        assert [each.interrupts for each in compare_processes(records, (handing, after))] == [False, True]
    assert [each.interrupts for each in compare_processes(records, (handing,))] == [False, True]
    assert [each.interrupts for each in compare_processes(records, (relay,))] == [True, True]


@pytest.mark.parametrize(("runs", "earlier"), [(1, 2), (2, 1)])
def test_earlier_media_on_the_ports_of_the_new_one_is_waited_for(runs: int, earlier: int) -> None:
    records = (on_record(place(runs)),)
    [found] = compare_processes(Found(records, (on_record(place(earlier), 41),)), (place(1),), (place(2),))
    assert (found.after, found.interrupts) == ((41,), False)
    assert found.why.endswith("starts once the calls of the one before (pid 41) have ended, whose ports it needs")
    assert Look("2", (found,)).after == (41,)


def test_what_finishes_elsewhere_is_not_waited_for() -> None:
    """An agent that finishes its calls has no port that its successor needs. After a change of the ports in the spec,
    neither has an earlier media."""
    agent = replace(CARRYING, name="agent-a", retires=3600)
    for running, beside in ((agent, agent), (place(1), place(3)), (place(1), agent)):
        found = Found((on_record(running),), (on_record(beside, 41),))
        [replaced] = compare_processes(found, (agent, place(1)), (place(2),))
        assert (replaced.after, replaced.interrupts) == ((), False)


def test_record_of_an_earlier_process_that_has_ended_is_no_process(tmp_path: Path) -> None:
    paths = StatePaths(str(tmp_path))
    os.makedirs(paths.run)
    there = identify(os.getpid())
    assert there
    for process in (there, ProcessId(os.getpid(), "another start")):
        write_retired(paths, replace(on_record(place(1)), process=process))
        assert [each.process for each in find_processes(paths).beside] == ([process] if process == there else [])


def test_store_is_changed_one_way_if_the_version_before_could_not_use_it() -> None:
    assert not StoreChange("0002", "0003", since="0001").is_one_way
    assert not StoreChange("0002", "0003", since="0002").is_one_way
    assert StoreChange("0002", "0003", since="0003").is_one_way


def test_answer_is_read_by_another_version() -> None:
    look = Look(
        "0.2.0", (ReplacedProcess("one", "so", interrupts=True, after=(7,)),), StoreChange("1", "2", "1"), notes=("x",)
    )
    assert parse_message(Look, dump_message(look)) == look
    assert parse_message(
        Look, '{"version": 1, "lkhub": "9", "newer": [], "replaced": [{"name": "a", "why": "b"}]}'
    ) == (Look("9", (ReplacedProcess("a", "b"),)))
