"""The order of an upgrade's steps, and what each leaves where it fails. `tests/targets` upgrades a real service."""

from collections.abc import Callable, Iterator

import pytest
from packaging.version import Version

from lkhub.errors import InputError, MachineError, UnwellError
from lkhub.hub.upgrade import LOOKS, describe_look, judge_version
from lkhub.state.upgrade import Condition, UpgradeRecord
from lkhub.wire.upgrade import Look, ReplacedProcess, StoreChange
from tests.hub.conftest import Told
from tests.hub.upgrading import NEW, OLD, UNWELL, WAITING, WELL, Killed, Machine, upgrade


def test_everything_is_judged_before_the_first_change() -> None:
    machine = Machine()
    assert upgrade(machine) == Version(OLD)
    judged, changed = machine.steps[: machine.steps.index("record forth")], machine.steps[6:]
    assert judged == ["remove half-made", "make 0.2.0", "look 0.2.0", "try 0.2.0", "ask 0.1.0"]
    assert changed == ["install 0.2.0", "ask 0.2.0", "remove others", "forget"]
    assert (machine.current, machine.copies, machine.record) == (NEW, {OLD, NEW}, None)


@pytest.mark.parametrize("step", ["make 0.2.0", "look 0.2.0", "try 0.2.0", "ask 0.1.0", "record forth"])
@pytest.mark.parametrize("error", [MachineError("no"), KeyboardInterrupt()], ids=["error", "ctrl-c"])
def test_what_fails_before_the_switch_leaves_all_as_it_was(step: str, error: BaseException) -> None:
    machine = Machine(fails={step: error})
    with pytest.raises(type(error)):
        upgrade(machine)
    assert (machine.current, machine.copies, machine.record) == (OLD, {OLD}, None)
    assert not any(step.startswith("install") for step in machine.steps)


def test_store_that_could_not_be_taken_back_is_refused() -> None:
    machine = Machine(answer=Look(NEW, store=StoreChange("0001", "0003", since="0002")))
    with pytest.raises(InputError, match="could not be taken back"):
        upgrade(machine)
    assert (machine.current, machine.copies) == (OLD, {OLD})


def test_store_that_both_can_use_is_changed() -> None:
    told = Told()
    upgrade(Machine(answer=Look(NEW, store=StoreChange("0001", "0003", since="0001"))), told=told)
    assert "it changes the store from schema 0001 to 0003, which both versions can use" in told.lines


def test_people_in_a_call_are_waited_for() -> None:
    told, machine = Told(), Machine(people=[2, 1, None])
    upgrade(machine, told=told)
    waited = [line for line in told.lines if line.startswith("waiting")]
    assert [line.split("until ")[1].split(" (")[0] for line in waited] == [
        "2 people in a call have left",
        "1 person in a call has left",
        "it is known that nobody is in a call",
    ]
    assert machine.steps.index("install 0.2.0") > max(i for i, step in enumerate(machine.steps) if step == "sleep")


def test_people_are_not_waited_for_if_they_are_to_be_interrupted() -> None:
    machine = Machine(people=[2])
    upgrade(machine, now=True)
    assert ("sleep" in machine.steps, "install 0.2.0 now" in machine.steps) == (False, True)


def test_people_are_not_waited_for_if_nothing_interrupts_them() -> None:
    """As where a process finishes its calls beside the one that takes its place."""
    machine = Machine(people=[2], answer=Look(NEW, (ReplacedProcess("media", "it is another program"),)))
    upgrade(machine)
    assert ("sleep" in machine.steps, "install 0.2.0" in machine.steps) == (False, True)


def test_ctrl_c_while_it_waits_leaves_all_as_it_was() -> None:
    machine = Machine(people=[2], fails={"sleep": KeyboardInterrupt()})
    with pytest.raises(KeyboardInterrupt):
        upgrade(machine)
    assert (machine.current, machine.copies, machine.record) == (OLD, {OLD}, None)


def test_somebody_who_comes_in_the_last_second_is_waited_for() -> None:
    machine = Machine(conditions={NEW: [WAITING, WAITING, WELL]}, people=[0, 1, 1])
    upgrade(machine)
    assert (machine.current, machine.record) == (NEW, None)
    changed = machine.steps[machine.steps.index("install 0.2.0") :]
    assert changed == ["install 0.2.0", *(["ask 0.2.0", "sleep"] * 2), "ask 0.2.0", "remove others", "forget"]


EARLIER = Look(NEW, (ReplacedProcess("media", "it is another program", after=(41,)),))


def test_earlier_media_is_waited_for_before_the_switch() -> None:
    """Other processes finish their work beside it, and people come all the time."""
    told, machine = Told(), Machine(answer=EARLIER, beside=[(7, 41), (41,), (7,)], people=[5])
    upgrade(machine, told=told)
    assert machine.steps[3:7] == ["try 0.2.0", "sleep", "sleep", "ask 0.1.0"]
    assert told.lines.count("waiting for the end of the calls of pid 41 (--now does not wait)") == 2
    assert (machine.current, machine.people) == (NEW, [5])


def test_ctrl_c_while_it_waits_for_an_earlier_media_leaves_all_as_it_was() -> None:
    machine = Machine(answer=EARLIER, beside=[(41,)], fails={"sleep": KeyboardInterrupt()})
    with pytest.raises(KeyboardInterrupt):
        upgrade(machine)
    assert (machine.current, machine.copies, machine.record) == (OLD, {OLD}, None)


def test_earlier_media_is_not_waited_for_if_people_are_to_be_interrupted() -> None:
    machine = Machine(answer=EARLIER, beside=[(41,)])
    upgrade(machine, now=True)
    assert ("sleep" in machine.steps, machine.current) == (False, NEW)


def test_change_that_waits_for_an_earlier_media_waits_for_no_empty_hub() -> None:
    """Two media processes have all ports, and the later one has new calls all the time."""
    machine = Machine(conditions={NEW: [WAITING, WELL]}, people=[5] * 1000, answer=Look(NEW))
    told = Told()
    upgrade(machine, told=told)
    assert (machine.current, machine.steps.count("sleep"), len(machine.people)) == (NEW, 1, 1000)
    assert "waiting for the end of the calls that the change would interrupt (`lkhub status` shows them)" in told.lines


def test_somebody_who_comes_in_the_last_second_is_not_waited_for_if_people_are_to_be_interrupted() -> None:
    """An earlier supervisor may not have made its change yet."""
    machine = Machine(conditions={NEW: [WAITING, WELL]}, people=[1, 1])
    upgrade(machine, now=True)
    assert ("sleep" in machine.steps, machine.steps.count("ask 0.2.0")) == (False, 1)


class Interfered(Machine):
    """Somebody types `lkhub install` with another version while people are waited for."""

    def sleep(self, seconds: float) -> None:
        self.current = "0.1.5"


def test_lkhub_that_was_installed_meanwhile_is_left_alone() -> None:
    machine = Interfered(people=[2], copies={OLD, "0.1.5"})
    with pytest.raises(UnwellError, match="installed meanwhile"):
        upgrade(machine)
    assert (machine.current, machine.copies) == ("0.1.5", {OLD, "0.1.5"})


@pytest.mark.parametrize(
    "given",
    [
        {"fails": {"install 0.2.0": MachineError("it does not take the spec")}},
        {"conditions": {NEW: [UNWELL]}},
        {"conditions": {NEW: [Condition()]}},
    ],
    ids=["it does not start", "a path fails", "it does not run"],
)
def test_what_is_worse_is_taken_back(given: dict[str, object]) -> None:
    machine = Machine(**given)  # type: ignore[arg-type]
    with pytest.raises(UnwellError, match=r"lkhub 0\.2\.0 was taken back, and lkhub 0\.1\.0 runs again") as refused:
        upgrade(machine)
    assert len(refused.value.message.splitlines()) == 2
    assert (machine.current, machine.copies, machine.record) == (OLD, {OLD}, None)
    assert machine.steps[-4:] == ["record back", "install 0.1.0 now", "remove 0.2.0", "forget"]


def test_what_is_worse_for_a_moment_is_no_reason() -> None:
    machine = Machine(conditions={NEW: [Condition(), UNWELL, WELL]})
    upgrade(machine)
    assert machine.current == NEW
    assert machine.steps.count("ask 0.2.0") == 3 < LOOKS


def test_what_was_unwell_before_is_no_reason() -> None:
    machine = Machine(conditions={OLD: [UNWELL], NEW: [UNWELL]})
    upgrade(machine)
    assert machine.current == NEW


def test_ctrl_c_after_the_switch_takes_it_back() -> None:
    machine = Machine(fails={"ask 0.2.0": KeyboardInterrupt()})
    with pytest.raises(KeyboardInterrupt):
        upgrade(machine)
    assert (machine.current, machine.copies, machine.record) == (OLD, {OLD}, None)


def test_upgrade_that_can_not_be_taken_back_says_so_and_is_gone_on_with() -> None:
    machine = Machine(conditions={NEW: [UNWELL]}, fails={"install 0.1.0 now": MachineError("the disk is full")})
    with pytest.raises(UnwellError, match="could not be taken back: the disk is full"):
        upgrade(machine)
    assert (machine.copies, machine.record and machine.record.back) == ({OLD, NEW}, True)
    machine.fails, machine.conditions = {}, {}
    upgrade(machine)
    assert (machine.current, machine.record) == (NEW, None)


@pytest.mark.parametrize("step", ["version 0.2.0", "record back"])
def test_neither_a_new_version_that_does_not_start_nor_a_full_disk_keeps_the_old_one_out(step: str) -> None:
    machine = Machine(conditions={NEW: [UNWELL]}, fails={step: MachineError("no")})
    with pytest.raises(UnwellError, match=r"was taken back, and lkhub 0\.1\.0 runs again, since\nudp worked before"):
        upgrade(machine)
    assert (machine.current, machine.copies, machine.record) == (OLD, {OLD}, None)


def kill_at_each_step(make: Callable[[], Machine]) -> Iterator[Machine]:
    """The machine after an upgrade that was killed before its first step, before its second, and so on."""
    for killed in range(100):
        machine = make()
        machine.killed = killed
        try:
            upgrade(machine, now=True)
        except Killed:
            machine.killed, machine.dead, machine.steps, machine.fails = -1, False, [], {}
            yield machine
        except UnwellError:
            return
        else:
            return


def test_upgrade_that_was_killed_at_any_step_is_finished_or_made_anew() -> None:
    machines = list(kill_at_each_step(lambda: Machine(copies={"0.0.5", OLD})))
    assert len(machines) == 10
    for machine in machines:
        assert machine.current in machine.copies, "the hub runs by a whole version"
        assert upgrade(machine) == Version(OLD)
        assert (machine.current, machine.copies, machine.record) == (NEW, {OLD, NEW}, None)
        assert machine.units == NEW


def test_upgrade_that_was_killed_at_any_step_leaves_no_unit_of_another_version() -> None:
    """Also where the next one refuses the wheel, as it does one that is damaged."""
    for machine in kill_at_each_step(Machine):
        machine.fails = {"make 0.3.0": InputError("it is damaged")}
        with pytest.raises(InputError):
            upgrade(machine, version="0.3.0")
        assert machine.units == machine.current


def test_broken_upgrade_that_was_killed_at_any_step_is_taken_back() -> None:
    machines = list(kill_at_each_step(lambda: Machine(conditions={NEW: [UNWELL]})))
    assert len(machines) > 12
    for machine in machines:
        machine.conditions = {NEW: [UNWELL]}
        with pytest.raises(UnwellError, match="was taken back"):
            upgrade(machine)
        assert (machine.current, machine.copies, machine.record) == (OLD, {OLD}, None)


def test_going_back_that_was_killed_is_gone_on_with_at_once() -> None:
    """Also where the new version is well again by then, and nobody is waited for: the hub may carry no call at all."""
    machine = Machine(NEW, copies={OLD, NEW}, record=UpgradeRecord(OLD, NEW, WELL, back=True), people=[2])
    machine.fails = {"make 0.3.0": InputError("it is damaged")}
    with pytest.raises(InputError):
        upgrade(machine, version="0.3.0")
    assert machine.steps == ["remove half-made", "install 0.1.0 now", "remove 0.2.0", "forget", "make 0.3.0"]
    assert (machine.current, machine.copies, machine.record) == (OLD, {OLD}, None)


def test_another_version_can_follow_one_that_was_killed() -> None:
    for machine in kill_at_each_step(Machine):
        before = upgrade(machine, version="0.3.0")
        assert (before in (Version(OLD), Version(NEW)), machine.current, machine.record) == (True, "0.3.0", None)
        assert machine.copies == {str(before), "0.3.0"}


@pytest.mark.parametrize(
    ("wanted", "said"), [("0.1.0", "already"), ("0.1", "already"), ("0.0.9", "older"), ("0.1.0rc1", "older")]
)
def test_version_that_is_no_newer_is_refused(wanted: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        judge_version(Version(OLD), Version(wanted), downgrade=False)


def test_older_version_is_taken_if_that_is_asked_for() -> None:
    judge_version(Version(OLD), Version("0.0.9"), downgrade=True)
    judge_version(Version(OLD), Version(NEW), downgrade=True)
    with pytest.raises(InputError, match="already"):
        judge_version(Version(OLD), Version(OLD), downgrade=True)


def test_changes_are_told_once_for_each_reason() -> None:
    same = "each version runs programs of its own"
    replaced = (ReplacedProcess("media", same), ReplacedProcess("edge", same), ReplacedProcess("tail", "it is gone"))
    told = describe_look(Look(NEW, replaced, untried="it is elsewhere", notes=("x is new",)))
    assert told == [
        "lkhub 0.2.0 replaces media, edge: each version runs programs of its own",
        "lkhub 0.2.0 replaces tail: it is gone",
        "what it does to the store was not tried: it is elsewhere",
        "it says of the spec: x is new",
    ]
