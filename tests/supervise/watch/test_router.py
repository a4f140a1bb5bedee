"""The router's port mappings, renewed while the hub runs. A real router is in tests/namespaces/test_router.py."""

import errno
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest

from lkhub.errors import HubError, MachineError
from lkhub.host import router as host_router
from lkhub.host.control import ask
from lkhub.plan.paths import StatePaths
from lkhub.state.document import dump_record
from lkhub.state.router import RouterRecord, hold_router, read_router, write_router
from lkhub.supervise.run import run_hub
from lkhub.supervise.supervisor import Supervisor
from lkhub.supervise.timings import USUAL
from lkhub.supervise.watch import router as router_watcher
from lkhub.supervise.watch.guard import Guard
from lkhub.supervise.watch.router import Renewal
from lkhub.wire.control import Outcome, RenewalFailure, StatusRequest
from tests.supervise.conftest import MakeHub
from tests.supervise.watch.fake_router import DUE, ENDED, FRESH, NOW, OLD, UPLINK, FakeRouter, change
from tests.waiting import until

pytestmark = pytest.mark.anyio

RARELY = replace(USUAL, router_first=1000.0, router_ceiling=1000.0)


def refuse_to_write(*_: object) -> None:
    raise MachineError("the disk is full")


@pytest.fixture
def router(monkeypatch: pytest.MonkeyPatch) -> FakeRouter:
    made = FakeRouter()
    monkeypatch.setattr(host_router, "find_local", made.find_local)
    monkeypatch.setattr(host_router, "renew", made.renew)
    return made


@pytest.fixture
def renewal(paths: StatePaths, said: list[str], router: FakeRouter) -> Renewal:
    return Renewal(paths, said.append, clock=lambda: NOW, timings=RARELY)


async def test_router_is_not_asked_without_a_record_nor_before_it_is_time(
    renewal: Renewal, paths: StatePaths, router: FakeRouter
) -> None:
    await renewal.look()
    write_router(paths, FRESH)
    await renewal.look()
    assert router.asked == []
    assert not Path(paths.router_lock).exists()


async def test_at_half_of_the_lease_the_mappings_are_renewed_and_written(
    renewal: Renewal, paths: StatePaths, router: FakeRouter, said: list[str]
) -> None:
    write_router(paths, DUE)
    await renewal.look()
    await renewal.look()
    assert router.asked == [DUE]
    assert read_router(paths) == FRESH
    assert (said, renewal.failure) == ([], None)


@pytest.mark.parametrize(
    ("written", "grants"),
    [(OLD, FRESH), (change(DUE, until=None), change(FRESH, until=None))],
    ids=["lease", "permanent"],
)
async def test_router_is_asked_again_soon_in_case_it_was_restarted_and_no_disk_is_woken(
    written: RouterRecord, grants: RouterRecord, renewal: Renewal, paths: StatePaths, router: FakeRouter
) -> None:
    write_router(paths, written)
    router.grants = grants
    await renewal.look()
    await renewal.look()
    assert router.asked == [written]
    assert read_router(paths) == written
    renewal.clock = lambda: NOW + USUAL.router_ask
    await renewal.look()
    assert router.asked == [written, grants]


async def test_clock_that_was_set_back_does_not_let_the_mappings_end(
    renewal: Renewal, paths: StatePaths, router: FakeRouter
) -> None:
    """As on a board without a clock of its own. The router counts the lease by its own."""
    write_router(paths, FRESH)
    day = 24 * 3600.0
    router.grants = replace(
        FRESH, mappings=tuple(replace(each, since=NOW - day, until=NOW - day + 7200) for each in FRESH.mappings)
    )
    renewal.clock = lambda: NOW - day
    await renewal.look()
    await renewal.look()
    assert router.asked == [FRESH], "once"
    renewal.clock = lambda: NOW + day
    await renewal.look()
    assert router.asked == [FRESH, router.grants], "and one that was set forward asks too"


@pytest.mark.parametrize(
    "grants",
    [replace(FRESH, external_address="1.2.3.9"), change(FRESH, own=False), change(FRESH, until=None)],
    ids=["external-address", "own", "permanent"],
)
async def test_what_the_router_says_anew_is_written(
    grants: RouterRecord, renewal: Renewal, paths: StatePaths, router: FakeRouter
) -> None:
    write_router(paths, OLD)
    router.grants = grants
    await renewal.look()
    assert read_router(paths) == grants


async def test_short_lease_is_renewed_at_its_half(renewal: Renewal, paths: StatePaths, router: FakeRouter) -> None:
    write_router(paths, change(FRESH, since=NOW - 29, until=NOW + 31))
    await renewal.look()
    assert router.asked == []
    write_router(paths, change(FRESH, since=NOW - 31, until=NOW + 29))
    await renewal.look()
    assert len(router.asked) == 1
    assert read_router(paths) == FRESH


async def test_another_address_of_this_machine_is_told_to_the_router_at_once(
    renewal: Renewal, paths: StatePaths, router: FakeRouter
) -> None:
    write_router(paths, FRESH)
    router.uplink = (UPLINK[0], "192.168.1.77")
    await renewal.look()
    assert router.asked == [FRESH]
    renewed = read_router(paths)
    assert renewed is not None
    assert renewed.local == "192.168.1.77"


@pytest.mark.parametrize(
    ("written", "local"), [(FRESH, "10.0.0.9"), (OLD, UPLINK[1])], ids=["at once", "by the next request"]
)
async def test_mappings_of_another_router_have_ended(
    written: RouterRecord, local: str, renewal: Renewal, paths: StatePaths, router: FakeRouter
) -> None:
    """The operator asked the router at router. The engine does not ask that of a café."""
    write_router(paths, written)
    router.uplink = ("10.0.0.1", local)
    await renewal.look()
    assert router.asked == []
    assert renewal.failure is not None
    assert renewal.failure.detail == "they are those of 192.168.1.1, and this one is 10.0.0.1"
    assert renewal.failure.ends == 0.0, "they lead to where the machine is not"


async def test_machine_without_a_network_has_lost_its_mappings_until_it_is_back(
    renewal: Renewal, paths: StatePaths, router: FakeRouter, said: list[str]
) -> None:
    """Back, it asks at once: its network may have been away because the router was."""
    write_router(paths, FRESH)
    router.uplink = None
    await renewal.look()
    assert renewal.failure == RenewalFailure("this machine has no router", NOW, 0.0)
    router.uplink = UPLINK
    router.asked.clear()
    await renewal.look()
    assert router.asked == [FRESH]
    assert renewal.failure is None
    assert said[-1] == "the router's port mappings are in order again"


async def test_failure_is_said_once_and_tried_less_and_less_often(
    renewal: Renewal, paths: StatePaths, router: FakeRouter, said: list[str]
) -> None:
    write_router(paths, DUE)
    router.refuse(MachineError("the router stopped answering"))
    for _ in range(5):
        await renewal.look()
    assert router.asked == [DUE] * 2, "at once, and again after a while"
    assert said == ["the router's port mappings were not renewed: the router stopped answering"]
    assert renewal.failure == RenewalFailure("the router stopped answering", NOW, DUE.ends)
    assert read_router(paths) == DUE


async def test_silence_ends_nothing_before_the_last_lease_does(
    renewal: Renewal, paths: StatePaths, router: FakeRouter
) -> None:
    """Not the record of the file, which is older."""
    write_router(paths, OLD)
    await renewal.look()
    renewal.clock = lambda: NOW + USUAL.router_ask
    router.refuse(MachineError("it does not answer"))
    await renewal.look()
    assert renewal.failure == RenewalFailure("it does not answer", NOW + USUAL.router_ask, FRESH.ends)


async def test_what_the_router_refuses_may_have_ended_already(
    renewal: Renewal, paths: StatePaths, router: FakeRouter
) -> None:
    write_router(paths, OLD)
    router.refuse(host_router.RefusedError("the port is taken"))
    await renewal.look()
    assert renewal.failure == RenewalFailure("the port is taken", NOW, None)


async def test_what_works_again_is_said(
    renewal: Renewal, paths: StatePaths, router: FakeRouter, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    renewal.timings = replace(RARELY, router_first=0.0)
    write_router(paths, ENDED)
    router.refuse(MachineError("no"))
    await renewal.look()
    router.refuse(None)
    await renewal.look()
    assert read_router(paths) == FRESH
    assert said[1:] == ["the router's port mappings are in order again"]
    assert renewal.failure is None


async def test_command_typed_after_a_failure_is_taken_up_at_once(
    renewal: Renewal, paths: StatePaths, router: FakeRouter
) -> None:
    write_router(paths, DUE)
    router.refuse(MachineError("no"))
    for _ in range(3):
        await renewal.look()
    write_router(paths, ENDED)
    router.refuse(None)
    await renewal.look()
    assert (router.asked[-1], read_router(paths)) == (ENDED, FRESH)


async def test_record_that_is_gone_ends_the_failure(renewal: Renewal, paths: StatePaths, router: FakeRouter) -> None:
    write_router(paths, DUE)
    router.refuse(MachineError("no"))
    await renewal.look()
    Path(paths.router).unlink()
    await renewal.look()
    assert renewal.failure is None


async def test_while_the_command_asks_the_hub_does_not(renewal: Renewal, paths: StatePaths, router: FakeRouter) -> None:
    write_router(paths, DUE)
    with hold_router(paths, wait=True):
        await renewal.look()
    assert (router.asked, renewal.failure) == ([], None)
    await renewal.look()
    assert router.asked == [DUE]


async def test_while_the_hub_asks_the_command_waits(renewal: Renewal, paths: StatePaths, router: FakeRouter) -> None:
    write_router(paths, DUE)
    held: list[bool] = []

    def give_back() -> None:
        with hold_router(paths, wait=False) as mine:
            held.append(mine)

    router.do = give_back
    await renewal.look()
    assert held == [False]


async def test_record_that_was_taken_back_in_between_is_not_renewed(
    renewal: Renewal, paths: StatePaths, router: FakeRouter, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_router(paths, DUE)

    def revert_meanwhile(gateway: str) -> str:
        Path(paths.router).unlink(missing_ok=True)
        return UPLINK[1]

    monkeypatch.setattr(host_router, "find_local", revert_meanwhile)
    await renewal.look()
    assert router.asked == []
    assert not Path(paths.router).exists()


async def test_bug_does_not_end_the_supervisor(
    renewal: Renewal, paths: StatePaths, router: FakeRouter, said: list[str]
) -> None:
    write_router(paths, DUE)
    router.refuse(KeyError("NewExternalIPAddress"))
    await renewal.look()
    assert "bug in lkhub: KeyError" in said[0]


async def test_what_this_machine_refuses_is_no_bug(
    renewal: Renewal, paths: StatePaths, router: FakeRouter, said: list[str]
) -> None:
    write_router(paths, DUE)
    router.refuse(OSError(errno.ENETUNREACH, os.strerror(errno.ENETUNREACH)))
    await renewal.look()
    assert said == ["the router's port mappings were not renewed: OSError (Network is unreachable)"]


async def test_renewal_that_can_not_be_written_is_no_failure_of_the_router(
    renewal: Renewal, paths: StatePaths, router: FakeRouter, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a full disk, and also if this machine has another address meanwhile."""
    write_router(paths, DUE)
    router.uplink = (UPLINK[0], "192.168.1.6")
    with monkeypatch.context() as full:
        full.setattr(router_watcher, "write_router", refuse_to_write)
        await renewal.look()
        renewal.clock = lambda: NOW + USUAL.router_ask
        await renewal.look()
    assert len(router.asked) == 2
    assert renewal.failure is None
    assert said == ["the router's port mappings were renewed, which is not on record: the disk is full"]
    renewal.clock = lambda: NOW + 2 * USUAL.router_ask
    await renewal.look()
    assert read_router(paths) == replace(FRESH, local="192.168.1.6")


async def test_mappings_are_renewed_on_a_file_system_that_became_read_only(
    renewal: Renewal, paths: StatePaths, router: FakeRouter, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_router(paths, OLD)
    with hold_router(paths, wait=True):
        pass  # the command has made the file
    open_file = os.open

    def open_to_read(path: Any, flags: int, *mode: int) -> int:
        if str(path) == paths.router_lock and flags & os.O_RDWR:
            raise OSError(errno.EROFS, "Read-only file system")
        return open_file(path, flags, *mode)

    monkeypatch.setattr(os, "open", open_to_read)
    await renewal.keep()
    assert (router.asked, renewal.failure) == ([OLD], None)


async def test_damaged_record_is_said_once_and_the_watch_goes_on(
    renewal: Renewal, paths: StatePaths, router: FakeRouter, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    Path(paths.router).write_text(dump_record(DUE)[:20])
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(Guard(said.append).watch, "look", renewal.keep, 0.01)
        await until(lambda: renewal.failure, "the damage")
        write_router(paths, DUE)
        await until(lambda: read_router(paths) == FRESH, "the renewal")
        await until(lambda: renewal.failure is None, "the end of it")
        tasks.cancel_scope.cancel()
    assert [line.partition(": ")[0] for line in said] == [
        "the router's port mappings were not renewed",
        "the router's port mappings are in order again",
    ]


async def test_hub_that_runs_tries_and_tells_status(
    paths: StatePaths, said: list[str], router: FakeRouter, make_hub: MakeHub
) -> None:
    write_router(paths, DUE)
    router.refuse(MachineError("no"))
    told: list[RenewalFailure | None] = []

    async def ready(supervisor: Supervisor, _: Outcome | HubError) -> None:
        await until(lambda: router.asked, "the first try")
        told.append((await anyio.to_thread.run_sync(ask, paths.control, StatusRequest())).renewal_failure)
        supervisor.tasks.cancel_scope.cancel()

    await run_hub(make_hub(serve={}), said.append, ready)
    assert [failure.detail for failure in told if failure] == ["no"]
