"""A process that starts beside the one before it, which keeps its calls until they end."""

import json
import os
import signal
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import psutil
import pytest

from lkhub.errors import MachineError
from lkhub.host.keyfile import dump_keys
from lkhub.plan.model import Listener, RedisPlan
from lkhub.plan.paths import StatePaths
from lkhub.plan.process import Health, OwnPorts
from lkhub.prepare.hub import PreparedHub
from lkhub.secret import Secret
from lkhub.spec.ports import PortRange
from lkhub.state.identity import list_records, list_retired
from lkhub.supervise.ending import tell_to_drain
from lkhub.wire.control import Outcome, PendingChange
from tests.kit.ports import free_port
from tests.supervise.beside.conftest import (
    LEAVES_NEW_CLIENTS,
    PORTS,
    REDIS,
    busy,
    drains,
    hub_saying,
    retired,
    with_spare,
)
from tests.supervise.conftest import (
    IN_A_CALL,
    QUICK,
    MakeHub,
    pids,
    states,
    supervising,
    watch,
)
from tests.waiting import until

pytestmark = pytest.mark.anyio


async def test_new_process_takes_over_and_the_call_goes_on(
    paths: StatePaths, said: list[str], make_hub: MakeHub, old: PreparedHub, calls: Path
) -> None:
    async with supervising(paths, said) as supervisor:
        await supervisor.apply(old)
        before = pids(supervisor)
        done = await supervisor.apply(hub_saying(make_hub, "new"))
        assert done == Outcome(("media",), beside=("media",))
        after = pids(supervisor)
        assert {name for name in before if before[name] != after[name]} == {"media"}
        assert supervisor.children["media"].plan.health == Health(socket=paths.socket("media-2"))
        assert retired(supervisor) == [before["media"]]
        assert drains(paths) == [LEAVES_NEW_CLIENTS]
        assert await supervisor.calls.count() == 2

        calls.touch()
        await until(lambda: not retired(supervisor), "its end")
        assert (pids(supervisor), list_retired(paths)) == (after, ())
        assert not os.path.exists(paths.socket("media")), "whoever asks there would wait"
        assert said == [f"media (pid {before['media']}) has ended, after its last call"]


async def test_people_of_an_old_process_that_crashes_are_about_to_come_back(
    paths: StatePaths, said: list[str], make_hub: MakeHub, old: PreparedHub
) -> None:
    async with supervising(paths, said, replace(QUICK, rejoin=60)) as supervisor:
        await supervisor.apply(old)
        await supervisor.apply(hub_saying(make_hub, "new"))
        [left] = retired(supervisor)
        os.kill(left, signal.SIGKILL)
        await until(lambda: said, "its end")
        log = paths.log("media")
        assert said == [f"media (pid {left}) was killed by signal 9, with its calls; see {log}"]
        assert await supervisor.calls.count() is None
        other = with_spare(make_hub(media={"say": "new", "drains": True}, relay={"say": "other"}, serve={}))
        assert await supervisor.apply(other) == Outcome(("relay",), pending=True, people=None, only_through=("relay",))


async def test_process_that_can_not_be_told_yet_is_told_later(
    paths: StatePaths, said: list[str], make_hub: MakeHub, old: PreparedHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until it is told, it takes new clients too, whose calls the next change would cut."""
    refusals = [False, False]

    async def tell(*arguments: Any, **named: Any) -> bool:
        return refusals.pop() if refusals else await tell_to_drain(*arguments, **named)

    monkeypatch.setattr("lkhub.supervise.predecessors.tell_to_drain", tell)
    async with supervising(paths, said) as supervisor:
        await supervisor.apply(old)
        await supervisor.apply(hub_saying(make_hub, "new"))
        [left] = retired(supervisor)
        assert said == [f"media (pid {left}) can't be told yet to leave new calls to its successor"]
        await until(lambda: drains(paths), "it is told")
        assert (drains(paths), retired(supervisor)) == ([LEAVES_NEW_CLIENTS], [left])


async def test_nothing_differs_once_the_new_process_runs(
    paths: StatePaths, said: list[str], make_hub: MakeHub, old: PreparedHub
) -> None:
    async with supervising(paths, said) as supervisor:
        await supervisor.apply(old)
        await supervisor.apply(hub_saying(make_hub, "new"))
        before = pids(supervisor)
        assert await supervisor.apply(hub_saying(make_hub, "new")) == Outcome(())
        assert pids(supervisor) == before


async def test_next_change_takes_the_first_ports_again(
    paths: StatePaths, said: list[str], make_hub: MakeHub, old: PreparedHub, calls: Path
) -> None:
    async with supervising(paths, said) as supervisor:
        await supervisor.apply(old)
        await supervisor.apply(hub_saying(make_hub, "new"))
        calls.touch()
        await until(lambda: not retired(supervisor), "its end")
        calls.unlink()
        assert (await supervisor.apply(hub_saying(make_hub, "newer"))).beside == ("media",)
        assert supervisor.children["media"].plan.health == Health(socket=paths.socket("media"))


async def test_third_process_waits_for_the_end_of_the_first(
    paths: StatePaths, said: list[str], make_hub: MakeHub, old: PreparedHub, calls: Path
) -> None:
    async with supervising(paths, said) as supervisor:
        await supervisor.apply(old)
        await supervisor.apply(hub_saying(make_hub, "new"))
        [first] = retired(supervisor)
        before = pids(supervisor)
        newest = hub_saying(make_hub, "newest")
        assert await supervisor.apply(newest) == Outcome(("media",), pending=True, people=2, retired=(first,))
        assert supervisor.pending
        assert supervisor.pending.change == PendingChange(("media",), 2, retired=(first,))
        await supervisor.apply_pending()
        assert pids(supervisor) == before
        calls.touch()
        await until(lambda: not retired(supervisor), "its end")
        calls.unlink()
        said.clear()
        await supervisor.apply_pending()
        assert supervisor.pending is None
        assert "the change that waited is in force" in said
        assert "a new media takes the calls that begin; the one before keeps its own until they end" in said
        assert pids(supervisor)["media"] not in (first, before["media"])
        assert (await supervisor.apply(newest)) == Outcome(())


async def test_third_process_waits_also_where_the_first_does_not_say_who_is_in_its_calls(
    paths: StatePaths, said: list[str], make_hub: MakeHub, old: PreparedHub
) -> None:
    async with supervising(paths, said) as supervisor:
        await supervisor.apply(old)
        await supervisor.apply(hub_saying(make_hub, "new"))
        [first] = retired(supervisor)
        os.kill(first, signal.SIGSTOP)
        done = await supervisor.apply(hub_saying(make_hub, "newest"))
        assert done == Outcome(("media",), pending=True, people=None, retired=(first,))


async def test_now_cuts_the_calls_of_the_first_alone(
    paths: StatePaths, said: list[str], make_hub: MakeHub, old: PreparedHub
) -> None:
    async with supervising(paths, said) as supervisor:
        await supervisor.apply(old)
        await supervisor.apply(hub_saying(make_hub, "new", rooms=IN_A_CALL, deaf=True))
        [first], second = retired(supervisor), pids(supervisor)["media"]
        done = await supervisor.apply(hub_saying(make_hub, "newest"), now=True)
        assert done == Outcome(("media",), cut=2, beside=("media",))
        assert retired(supervisor) == [second]
        assert not psutil.pid_exists(first)


async def test_now_cuts_the_calls_of_the_first_also_where_the_relay_changes(
    paths: StatePaths, said: list[str], make_hub: MakeHub, old: PreparedHub
) -> None:
    async with supervising(paths, said) as supervisor:
        await supervisor.apply(old)
        await supervisor.apply(hub_saying(make_hub, "new"))
        [first], second = retired(supervisor), pids(supervisor)["media"]
        newest = with_spare(make_hub(media={"say": "newest", "drains": True}, relay={"say": "other"}, serve={}))
        done = await supervisor.apply(newest, now=True)
        assert done == Outcome(("media", "relay"), cut=2, beside=("media",))
        assert (retired(supervisor), psutil.pid_exists(first)) == ([second], False)


async def test_now_cuts_no_call_for_a_change_that_cannot_be_made(
    paths: StatePaths, said: list[str], make_hub: MakeHub, old: PreparedHub
) -> None:
    async with supervising(paths, said) as supervisor:
        await supervisor.apply(old)
        await supervisor.apply(hub_saying(make_hub, "new"))
        before, left = pids(supervisor), retired(supervisor)
        newest = hub_saying(make_hub, "newest")
        redis = RedisPlan(f"127.0.0.1:{free_port()}", REDIS, 0, False, "", False)
        with pytest.raises(MachineError, match="nothing was interrupted"):
            await supervisor.apply(replace(newest, plan=replace(newest.plan, redis=redis)), now=True)
        assert (pids(supervisor), retired(supervisor)) == (before, left)


async def test_change_waits_for_the_end_of_a_process_whose_last_call_is_over(
    paths: StatePaths, said: list[str], make_hub: MakeHub, calls: Path
) -> None:
    async with supervising(paths, said) as supervisor:
        await supervisor.apply(with_spare(make_hub(media={**busy(calls), "rooms": []}, relay={}, serve={})))
        await supervisor.apply(hub_saying(make_hub, "new"))
        [first] = retired(supervisor)
        newest = with_spare(make_hub(media={"say": "newest", "drains": True}, relay={"say": "other"}, serve={}))
        done = await supervisor.apply(newest)
        assert done == Outcome(("media", "relay"), pending=True, retired=(first,))
        calls.touch()
        await until(lambda: not retired(supervisor), "its end")
        calls.unlink()
        await supervisor.apply_pending()
        assert supervisor.pending is None


def with_ports(hub: PreparedHub, first: dict[str, Any], second: dict[str, Any]) -> PreparedHub:
    """The hub, whose two media processes bind ports of their own."""
    texts = {hub.plan.paths.render("livekit.yaml"): first, hub.plan.paths.render("livekit-2.yaml"): second}
    return replace(hub, files={**hub.files, **{path: json.dumps(config) for path, config in texts.items()}})


@pytest.mark.parametrize("change", ["of what does not start", "now, to another Redis"])
async def test_process_that_has_handed_over_keeps_its_ports(
    paths: StatePaths, said: list[str], make_hub: MakeHub, calls: Path, change: str
) -> None:
    ports = free_port(), free_port()
    own = [OwnPorts("tcp", port, port) for port in ports]
    where = ip_address("127.0.0.1")
    listeners = tuple(
        Listener("media", "tcp", where, PortRange(port, port), "media", ("media", "tcp")) for port in ports
    )

    def make(config: dict[str, Any], through: str = REDIS) -> PreparedHub:
        hub = with_spare(make_hub(listeners=listeners, media=config, serve={}), through, own)
        first, second = ({**config, "binds": port} for port in ports)
        return with_ports(hub, first, second)

    async with supervising(paths, said) as supervisor:
        await supervisor.apply(make(busy(calls)))
        await supervisor.apply(make({"say": "new", "drains": True}))
        left = retired(supervisor)
        wanted = make({"say": "mended", "drains": True}, REDIS if change == "of what does not start" else "redis://b")
        if change == "of what does not start":
            Path(paths.render("livekit-2.yaml")).write_text('{"exit": 3}')
            os.kill(pids(supervisor)["media"] or 0, signal.SIGKILL)
            await until(lambda: states(supervisor)["media"] == "backoff", "it is down")
            # It may be trying to start again just now: then the change waits until that has failed.
            outcome = await supervisor.apply(wanted)
            assert (outcome.changed, outcome.cut) == (("media",), 0)
            watch(supervisor, supervisor.apply_pending)
            await until(lambda: supervisor.pending is None, "the change is made")
        else:
            assert await supervisor.apply(wanted, now=True) == Outcome(("media",), cut=2)
        assert (states(supervisor)["media"], retired(supervisor)) == ("running", left)


async def test_failed_start_leaves_the_old_process_untouched(
    paths: StatePaths, said: list[str], make_hub: MakeHub, old: PreparedHub
) -> None:
    async with supervising(paths, said) as supervisor:
        await supervisor.apply(old)
        before = pids(supervisor)
        with pytest.raises(MachineError) as failed:
            await supervisor.apply(hub_saying(make_hub, "new", exit=3))
        assert failed.value.message.endswith("the change was not made, and nothing was interrupted")
        assert (pids(supervisor), retired(supervisor), drains(paths)) == (before, [], [])
        assert list_retired(paths) == ()
        assert {each.process.pid for each in list_records(paths)} == set(before.values())
        assert Path(paths.render("livekit.yaml")).read_text() == old.files[paths.render("livekit.yaml")]
        assert await supervisor.apply(old) == Outcome(())


@pytest.mark.parametrize("what", ["another Redis", "none before", "the same ports"])
async def test_without_common_rooms_or_ports_of_its_own_it_waits_for_the_calls(
    paths: StatePaths, said: list[str], make_hub: MakeHub, old: PreparedHub, calls: Path, what: str
) -> None:
    new = make_hub(media={"say": "new"}, relay={}, serve={})
    if what == "another Redis":
        new = with_spare(new, through="redis://127.0.0.1:6380/0")
    elif what == "none before":
        old, new = make_hub(media=busy(calls), relay={}, serve={}), with_spare(new)
    else:  # the ports were exchanged: the place that is free has the port of the old process
        new = with_spare(new, ports=(PORTS[1], PORTS[0]))
    async with supervising(paths, said) as supervisor:
        await supervisor.apply(old)
        before = pids(supervisor)
        assert await supervisor.apply(new) == Outcome(("media",), pending=True, people=2)
        assert (pids(supervisor), retired(supervisor)) == (before, [])


async def test_change_of_another_process_that_carries_calls_waits_for_both(
    paths: StatePaths, said: list[str], make_hub: MakeHub, old: PreparedHub, calls: Path
) -> None:
    async with supervising(paths, said) as supervisor:
        await supervisor.apply(old)
        await supervisor.apply(hub_saying(make_hub, "new"))
        other = with_spare(make_hub(media={"say": "new", "drains": True}, relay={"say": "other"}, serve={}))
        assert await supervisor.apply(other) == Outcome(("relay",), pending=True, people=2, only_through=("relay",))
        calls.touch()
        await until(lambda: not retired(supervisor), "its end")
        await supervisor.apply_pending()
        assert supervisor.pending is None


async def test_both_read_new_keys(paths: StatePaths, said: list[str], make_hub: MakeHub, calls: Path) -> None:
    def make(config: dict[str, Any]) -> PreparedHub:
        hub = with_spare(make_hub(media={**config, "keys": paths.keys}), rereads=(paths.keys,))
        ring = dump_keys({"APIold": Secret("s" * 32)})
        return replace(hub, files={**hub.files, paths.keys: ring, paths.managed_keys: ring})

    async with supervising(paths, said) as supervisor:
        await supervisor.apply(make(busy(calls)))
        await supervisor.apply(make({"say": "new", "drains": True}))
        await supervisor.take_keys(lambda keys: {"APInew": Secret("n" * 32), **keys})
        log = Path(paths.log("media")).read_text().splitlines()
        assert log.count("keys APInew APIold") == 2, log


async def test_clients_of_both_connect_again_when_the_relay_is_another_one(
    paths: StatePaths, said: list[str], make_hub: MakeHub, calls: Path
) -> None:
    def make(media: dict[str, Any]) -> PreparedHub:
        return with_spare(make_hub(media={**media, "relayed": 1}, relay={}, serve={}))

    async with supervising(paths, said) as supervisor:
        await supervisor.apply(make(busy(calls)))
        await supervisor.apply(make({"say": "new", "drains": True}))
        await supervisor.restart(["relay"])
        assert said == ["the relay is another one: 1 of its clients were told to connect again"] * 2
