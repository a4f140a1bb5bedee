"""What a new lkhub would change about a hub that another version runs."""

from dataclasses import replace

from lkhub.host.processes import ProcessId
from lkhub.hub.look import compare_processes
from lkhub.plan.process import UNKNOWN, Handover, ProcessPlan
from lkhub.state.identity import Identity
from lkhub.wire.message import dump_message, parse_message
from lkhub.wire.upgrade import Look, ReplacedProcess, StoreChange

CARRYING = ProcessPlan("one", ("/opt/old/engine", "one"), carries_calls=True)


def on_record(plan: ProcessPlan) -> Identity:
    return Identity(ProcessId(7, "7"), "/state", plan, UNKNOWN, 0.0)


def compare(before: ProcessPlan, *after: ProcessPlan) -> ReplacedProcess:
    [found] = compare_processes((on_record(before),), after)
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
    records = on_record(handing), on_record(relay)
    [_, later] = compare_processes(records, (handing, relay))
    assert (later.name, later.interrupts) == ("relay", False)
    assert later.why.endswith("this one goes on until nobody is in a call")
    for after in (replace(relay, argv=("/opt/new/engine", "one", "--more")), replace(relay, files=("/new",))):
        assert [each.interrupts for each in compare_processes(records, (handing, after))] == [False, True]
    assert [each.interrupts for each in compare_processes(records, (handing,))] == [False, True]
    assert [each.interrupts for each in compare_processes(records, (relay,))] == [True, True]


def test_store_is_changed_one_way_if_the_version_before_could_not_use_it() -> None:
    assert not StoreChange("0002", "0003", since="0001").is_one_way
    assert not StoreChange("0002", "0003", since="0002").is_one_way
    assert StoreChange("0002", "0003", since="0003").is_one_way


def test_answer_is_read_by_another_version() -> None:
    look = Look("0.2.0", (ReplacedProcess("one", "so", interrupts=True),), StoreChange("1", "2", "1"), notes=("x",))
    assert parse_message(Look, dump_message(look)) == look
    assert parse_message(
        Look, '{"version": 1, "lkhub": "9", "newer": [], "replaced": [{"name": "a", "why": "b"}]}'
    ) == (Look("9", (ReplacedProcess("a", "b"),)))
