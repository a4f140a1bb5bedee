"""A machine that gets another address while the hub runs."""

import threading
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import anyio
import pytest

from lkhub.errors import HubError, MachineError
from lkhub.findings.fault import SpecError
from lkhub.plan.model import Advertised
from lkhub.plan.network import Interface
from lkhub.plan.paths import StatePaths
from lkhub.prepare.hub import PreparedHub
from lkhub.supervise.supervisor import Supervisor
from lkhub.supervise.watch import addresses
from lkhub.supervise.watch.addresses import Addresses
from tests.findings.make import fault, note
from tests.machines import ETHERNET, LOOPBACK, WIFI
from tests.supervise.conftest import IN_A_CALL, QUICK, MakeHub, status_of, supervising, watch, watchers_of
from tests.waiting import until

pytestmark = pytest.mark.anyio


def at(hub: PreparedHub, address: str) -> PreparedHub:
    """The hub as it is planned where the machine has that address."""
    told = Advertised(ip_address(address), ip_address(address))
    return replace(hub, plan=replace(hub.plan, media=replace(hub.plan.media, addresses=(told,))))


@pytest.fixture
def move(monkeypatch: pytest.MonkeyPatch) -> Callable[[PreparedHub | HubError], None]:
    """`move(hub)`: preparing a spec again gives that hub, or raises."""

    def become(outcome: PreparedHub | HubError) -> None:
        def prepare_again(_: PreparedHub) -> PreparedHub:
            if isinstance(outcome, HubError):
                raise outcome
            return outcome

        monkeypatch.setattr(addresses, "prepare_again", prepare_again)

    return become


Move = Callable[[PreparedHub | HubError], None]
Moved = Callable[[PreparedHub, PreparedHub | HubError], AbstractAsyncContextManager[Supervisor]]


@pytest.fixture
def moved(paths: StatePaths, said: list[str], move: Move) -> Moved:
    """`moved(here, there)`: a supervisor of `here` that has seen that preparing the spec again gives `there`."""

    @asynccontextmanager
    async def supervise(here: PreparedHub, there: PreparedHub | HubError) -> AsyncIterator[Supervisor]:
        async with supervising(paths, said) as supervisor:
            await supervisor.apply(here)
            move(there)
            await watchers_of(supervisor).addresses.follow(here)
            yield supervisor

    return supervise


def told(supervisor: Supervisor) -> list[str]:
    assert supervisor.in_force.hub is not None
    return [str(address) for address in supervisor.in_force.hub.plan.media.advertise]


async def test_hub_follows_its_address_if_that_interrupts_no_call(
    said: list[str], make_hub: MakeHub, moved: Moved
) -> None:
    here = at(make_hub(media={"say": "old"}), "192.168.1.5")
    there = at(make_hub(media={"say": "new"}), "192.168.1.77")
    async with moved(here, there) as supervisor:
        assert told(supervisor) == ["192.168.1.77"]
        assert status_of(supervisor)["moved"] == ""
        assert said[-1] == "the hub followed its address from 192.168.1.5 to 192.168.1.77"


async def test_address_that_is_the_same_changes_nothing(said: list[str], make_hub: MakeHub, moved: Moved) -> None:
    here = at(make_hub(media={}), "192.168.1.5")
    # Something else differs, such as an edited certificate: that is not what this is for.
    async with moved(here, at(make_hub(media={"say": "another"}), "192.168.1.5")) as supervisor:
        assert supervisor.in_force.hub is here
        assert said == []


async def test_people_in_a_call_are_waited_for_and_status_says_why(
    said: list[str], make_hub: MakeHub, moved: Moved
) -> None:
    here = at(make_hub(media={"rooms": IN_A_CALL}), "192.168.1.5")
    async with moved(here, at(make_hub(media={"say": "new"}), "192.168.1.77")) as supervisor:
        assert told(supervisor) == ["192.168.1.5"]
        status = status_of(supervisor)
        assert status["moved"] == "clients are told 192.168.1.5, and this machine is at 192.168.1.77"
        assert status["pending"] is True
        assert said == [status["moved"]], "said once"
        assert supervisor.pending is not None
        await watchers_of(supervisor).addresses.follow(supervisor.pending.hub)
        assert said == [status["moved"]]


async def test_address_that_comes_back_before_people_left_takes_the_change_back(
    said: list[str], make_hub: MakeHub, move: Move, moved: Moved
) -> None:
    here = at(make_hub(media={"rooms": IN_A_CALL}), "192.168.1.5")
    async with moved(here, at(make_hub(media={"say": "new"}), "192.168.1.77")) as supervisor:
        move(here)
        assert supervisor.pending is not None
        await watchers_of(supervisor).addresses.follow(supervisor.pending.hub)
        assert supervisor.pending is None
        assert status_of(supervisor)["moved"] == ""
        assert said[1:] == ["this machine is at 192.168.1.5 again, as clients are told: nothing is changed"]


@pytest.mark.parametrize("waits", [False, True])
async def test_what_comes_with_another_address_is_said_when_it_is_so(
    said: list[str], make_hub: MakeHub, waits: bool, monkeypatch: pytest.MonkeyPatch, moved: Moved
) -> None:
    """For example a new root: no device has to trust the root of a pending change that may never be applied."""
    here = at(make_hub(media={"rooms": IN_A_CALL if waits else []}), "192.168.1.5")
    there = at(make_hub(media={"say": "new"}), "192.168.1.77")
    there = replace(there, plan=replace(there.plan, findings=(*here.plan.findings, note("the hub has a new root"))))

    async def nobody(*_: object) -> int:
        return 0

    async with moved(here, there) as supervisor:
        assert ("the hub has a new root" in said) is not waits
        if waits:
            monkeypatch.setattr("lkhub.supervise.calls.count_participants", nobody)
            await supervisor.apply_pending()
            assert supervisor.in_force.hub is there
        assert said.count("the hub has a new root") == 1


async def test_change_of_the_operators_that_waits_is_what_follows(
    paths: StatePaths, said: list[str], make_hub: MakeHub, move: Move, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = at(make_hub(media={"rooms": IN_A_CALL}), "192.168.1.5")
    wanted = at(make_hub(media={"say": "the operator's"}), "192.168.1.5")
    seen: list[PreparedHub] = []
    moved = at(wanted, "192.168.1.77")

    def prepare_again(hub: PreparedHub) -> PreparedHub:
        seen.append(hub)
        return moved

    async with supervising(paths, said, replace(QUICK, addresses_look_up=0.0)) as supervisor:
        await supervisor.apply(here)
        await supervisor.apply(wanted)
        monkeypatch.setattr(addresses, "prepare_again", prepare_again)
        watch(supervisor, watchers_of(supervisor).addresses.look)
        await until(lambda: supervisor.wanted is moved, "the address")
    assert seen[0] is wanted


async def test_machine_without_an_address_keeps_what_runs(make_hub: MakeHub, move: Move, moved: Moved) -> None:
    """The cable is unplugged: calls on this machine go on, and the address may come back."""
    here = at(make_hub(media={}), "192.168.1.5")
    async with moved(here, MachineError("no LAN address on this machine")) as supervisor:
        assert status_of(supervisor)["moved"] == "the hub's address is gone: no LAN address on this machine"
        assert supervisor.children["media"].state == "running"
        move(here)
        await watchers_of(supervisor).addresses.follow(here)
        assert status_of(supervisor)["moved"] == ""


async def test_address_that_is_gone_is_told_with_every_fault_and_what_to_do(make_hub: MakeHub, moved: Moved) -> None:
    here = at(make_hub(media={}), "192.168.1.5")
    faults = [
        fault("hub.yaml", 4, "tls.mode", "Tailscale is off", "sudo tailscale up"),
        fault("hub.yaml", 6, "media", "no"),
    ]
    async with moved(here, SpecError(faults)) as supervisor:
        told = status_of(supervisor)
        assert told["moved"] == "the hub's address is gone: tls.mode: Tailscale is off; media: no"
        assert told["lost"] == ("sudo tailscale up",)


async def test_address_that_is_still_here_is_not_called_gone(said: list[str], make_hub: MakeHub, moved: Moved) -> None:
    """Something else that was asked did not answer; it is said once."""
    here = at(make_hub(media={}), "127.0.0.1")
    async with moved(here, MachineError("tailscaled does not answer")) as supervisor:
        await watchers_of(supervisor).addresses.follow(here)
        assert status_of(supervisor)["moved"] == ""
        doubt = "whether the hub's address has changed is not known: tailscaled does not answer"
        assert said.count(doubt) == 1


async def test_hub_that_does_not_start_at_its_new_address_runs_on_at_the_old_one(
    said: list[str], make_hub: MakeHub, moved: Moved
) -> None:
    here = at(make_hub(media={}), "192.168.1.5")
    async with moved(here, at(make_hub(media={"exit": 1, "say": "no luck"}), "192.168.1.77")) as supervisor:
        assert told(supervisor) == ["192.168.1.5"]
        assert any("could not follow its address to 192.168.1.77" in line for line in said)
        assert status_of(supervisor)["moved"].startswith("clients are told 192.168.1.5")


async def test_operator_who_was_faster_wins(
    paths: StatePaths, said: list[str], make_hub: MakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, newer = (at(make_hub(serve={"say": word}), "192.168.1.5") for word in ("old", "new"))
    async with supervising(paths, said) as supervisor:
        await supervisor.apply(here)

        def prepare_again(_: PreparedHub) -> PreparedHub:
            supervisor.in_force.hub = newer
            return at(here, "192.168.1.77")

        monkeypatch.setattr(addresses, "prepare_again", prepare_again)
        await watchers_of(supervisor).addresses.follow(here)
        assert supervisor.in_force.hub is newer


async def test_address_is_not_followed_over_a_change_that_is_being_made(
    paths: StatePaths, said: list[str], make_hub: MakeHub, move: Move
) -> None:
    """Both were begun with the same plan in force; the operator's comes first, and stays."""
    here = at(make_hub(media={}), "192.168.1.5")
    operators = at(make_hub(media={"say": "operator's"}), "192.168.1.5")
    async with supervising(paths, said) as supervisor:
        await supervisor.apply(here)
        move(at(make_hub(media={"say": "moved"}), "192.168.1.77"))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(supervisor.apply, operators)
            tasks.start_soon(watchers_of(supervisor).addresses.follow, here)
        assert supervisor.in_force.hub is operators
        assert "moved" not in Path(paths.log("media")).read_text()
        assert not any("followed its address" in line for line in said)


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Every hub that was prepared again; the watch looks often and asks others never."""
    seen: list[Any] = []

    async def follow(_: Addresses, wanted: PreparedHub) -> None:
        seen.append(wanted)

    monkeypatch.setattr(Addresses, "follow", follow)
    return seen


async def test_interfaces_that_change_are_a_reason_to_look(
    paths: StatePaths, said: list[str], make_hub: MakeHub, looks: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    machines = [*[(LOOPBACK,)] * 3, *[(LOOPBACK, ETHERNET)] * 3, (LOOPBACK, WIFI)]
    asked: list[tuple[Interface, ...]] = []

    def list_interfaces() -> tuple[Interface, ...]:
        asked.append(machines[min(len(asked), len(machines) - 1)])
        return asked[-1]

    monkeypatch.setattr(addresses, "list_interfaces", list_interfaces)
    async with supervising(paths, said) as supervisor:
        await supervisor.apply(make_hub(serve={}))
        watch(supervisor, watchers_of(supervisor).addresses.look)
        await until(lambda: len(asked) > 10, "ten looks")
    assert len(looks) == 2, "once for each change"


async def test_others_are_asked_now_and_then(
    paths: StatePaths, said: list[str], make_hub: MakeHub, looks: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name in the DNS changes without a word."""
    monkeypatch.setattr(addresses, "list_interfaces", lambda: (LOOPBACK,))
    async with supervising(paths, said, replace(QUICK, addresses_look_up=0.02)) as supervisor:
        watch(supervisor, watchers_of(supervisor).addresses.look)
        await supervisor.apply(make_hub(serve={}))
        await until(lambda: len(looks) >= 2, "two questions")


async def test_hub_that_is_stopped_does_not_wait_for_name_servers(
    make_hub: MakeHub, paths: StatePaths, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, may_end = threading.Event(), threading.Event()

    def ask(hub: PreparedHub) -> PreparedHub:
        begun.set()
        may_end.wait(20)
        return hub

    monkeypatch.setattr(addresses, "prepare_again", ask)
    async with supervising(paths, said) as supervisor:
        hub = make_hub()
        await supervisor.apply(hub)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(watchers_of(supervisor).addresses.follow, hub)
            await until(begun.is_set, "the name servers are asked")
            stopped = anyio.current_time()
            tasks.cancel_scope.cancel()
        assert anyio.current_time() - stopped < 10
        may_end.set()


async def test_address_that_comes_back_is_not_told_as_no_change_where_a_process_took_one_over(
    paths: StatePaths, said: list[str], make_hub: MakeHub, move: Move
) -> None:
    """The operator's change is pending together with the address, and a part of it interrupts no call."""
    here = at(make_hub(media={"rooms": IN_A_CALL}, edge={"say": "old"}), "192.168.1.5")
    there = at(make_hub(media={"rooms": IN_A_CALL, "say": "new"}, edge={"say": "new"}), "192.168.1.77")
    back = at(make_hub(media={"rooms": IN_A_CALL}, edge={"say": "new"}), "192.168.1.5")
    async with supervising(paths, said) as supervisor:
        await supervisor.apply(here)
        await supervisor.apply(there)
        assert supervisor.wanted is there
        move(back)
        await watchers_of(supervisor).addresses.follow(there)
        assert supervisor.in_force.hub is back
        assert not any("nothing is changed" in line for line in said)
