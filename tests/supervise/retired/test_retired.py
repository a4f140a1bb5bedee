"""Processes that finish what they do beside the processes that take their place."""

import contextlib
import errno
import os
import signal
import socket
from collections.abc import Iterator, Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import NoReturn

import psutil
import pytest

from lkhub.errors import MachineError, describe_error
from lkhub.host import ports, processes
from lkhub.host.holders import Holder
from lkhub.host.processes import ProcessId, is_alive
from lkhub.host.session import Session
from lkhub.host.tcp_table import Listening
from lkhub.plan.model import Listener
from lkhub.plan.paths import StatePaths
from lkhub.spec.ports import PortRange
from lkhub.state.identity import Identity, list_retired
from lkhub.supervise import beside, change, child, ending, recorded
from lkhub.supervise.adopt import adopt
from lkhub.supervise.left import find_running
from lkhub.supervise.succession import Succession
from lkhub.wire.control import Outcome
from tests.kit.ports import free_port
from tests.supervise.conftest import MakeHub, list_running, pids, states, status_of, supervising
from tests.supervise.retired.conftest import AGENT, busy, started, with_agent
from tests.waiting import until

pytestmark = pytest.mark.anyio


async def test_successor_starts_at_once_and_the_call_goes_on(
    paths: StatePaths, said: list[str], make_hub: MakeHub, calls: Path
) -> None:
    async with supervising(paths, said) as supervisor:
        await supervisor.apply(with_agent(make_hub(media={}, serve=busy(calls))))
        before = pids(supervisor)
        await started(paths, "old")
        assert await supervisor.apply(with_agent(make_hub(media={}, serve={"say": "new"}))) == Outcome((AGENT,))
        after = pids(supervisor)
        assert after["media"] == before["media"]
        assert after[AGENT] != before[AGENT]
        [row] = status_of(supervisor)["retired"]
        assert (row["name"], row["pid"], row["state"], row["roles"]) == (
            AGENT,
            before[AGENT],
            "stopping",
            ("registers",),
        )
        assert psutil.pid_exists(before[AGENT] or 0)
        calls.touch()
        await until(lambda: not status_of(supervisor)["retired"], "its end")
        assert (pids(supervisor), supervisor.children[AGENT].restarts) == (after, 0)
        assert said == []


async def test_what_a_full_disk_takes_no_record_of_is_known_when_strays_are_ended(
    paths: StatePaths, said: list[str], make_hub: MakeHub, calls: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise the end of one process of an agent would be that of all, which are one user."""
    known: list[set[int]] = []

    def refuse(*_: object) -> NoReturn:
        raise MachineError("the disk is full")

    def note(session: Session, _: StatePaths, there: Mapping[ProcessId, Identity]) -> None:
        known.append({each.pid for each in there if is_alive(each)} - {session.leader.pid})

    for module in (child, ending):
        monkeypatch.setattr(module, "end_strays", note)
    async with supervising(paths, said) as supervisor:
        await supervisor.apply(with_agent(make_hub(media={}, serve=busy(calls))))
        old = pids(supervisor)[AGENT]
        await started(paths, "old")
        monkeypatch.setattr(recorded, "write_record", refuse)
        monkeypatch.setattr(beside, "write_retired", refuse)
        await supervisor.apply(with_agent(make_hub(media={}, serve={"say": "new"})))
        new = pids(supervisor)[AGENT] or 0
        os.kill(new, signal.SIGKILL)
        await until(lambda: pids(supervisor)[AGENT] not in (None, new), "another one")
        assert known == [{old}]
        calls.touch()
        await until(lambda: len(known) == 2, "the end of the old one")
        assert known[1] == {pids(supervisor)[AGENT]}


async def test_agent_that_does_not_end_is_ended_after_its_time(
    paths: StatePaths, said: list[str], make_hub: MakeHub, calls: Path
) -> None:
    async with supervising(paths, said) as supervisor:
        await supervisor.apply(with_agent(make_hub(media={}, serve=busy(calls)), retires=1))
        before = pids(supervisor)[AGENT]
        await started(paths, "old")
        await supervisor.apply(with_agent(make_hub(media={}, serve={"say": "new"}), retires=1))
        await until(lambda: not status_of(supervisor)["retired"], "its end")
        assert said == [f"serve (pid {before}) has not ended in 1 s, and is ended"]


async def test_restart_retires_too(paths: StatePaths, said: list[str], make_hub: MakeHub, calls: Path) -> None:
    async with supervising(paths, said) as supervisor:
        await supervisor.apply(with_agent(make_hub(media={}, serve=busy(calls))))
        before = pids(supervisor)[AGENT]
        await started(paths, "old")
        await supervisor.restart([AGENT])
        await started(paths, "old", "old")
        await supervisor.restart([AGENT])
        first, _ = status_of(supervisor)["retired"]
        assert first["pid"] == before
        assert states(supervisor)[AGENT] == "running"


async def test_removed_agent_finishes_its_calls(
    paths: StatePaths, said: list[str], make_hub: MakeHub, calls: Path
) -> None:
    async with supervising(paths, said) as supervisor:
        await supervisor.apply(with_agent(make_hub(media={}, serve=busy(calls))))
        before = pids(supervisor)[AGENT]
        await started(paths, "old")
        await supervisor.apply(make_hub(media={}))
        assert AGENT not in supervisor.children
        assert [row["pid"] for row in status_of(supervisor)["retired"]] == [before]
        assert not Path(paths.record(AGENT)).exists()


def is_taken(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.parametrize("seen", [True, False])
async def test_agent_of_another_name_may_have_the_port_of_one_that_ends(
    paths: StatePaths,
    said: list[str],
    make_hub: MakeHub,
    calls: Path,
    monkeypatch: pytest.MonkeyPatch,
    seen: bool,
) -> None:
    """By default each agent has the same port. The one that begins takes any other where this one is not free yet. An
    agent may be of another user, whose processes root can't see in a container."""
    port = free_port()
    if not seen:
        monkeypatch.setattr(ports, "find_holder", lambda *_: Holder())
        monkeypatch.setattr(change, "list_listening", lambda: (Listening(port, os.geteuid() + 1),))

    def listen(name: str) -> tuple[Listener]:
        return (Listener(name, "tcp", ip_address("127.0.0.1"), PortRange(port, port), "health", ("agents", 0)),)

    renamed = make_hub(listeners=listen("relay"), media={}, relay={"say": "new"})
    async with supervising(paths, said) as supervisor:
        has_port = {**busy(calls), "binds": port}
        await supervisor.apply(with_agent(make_hub(listeners=listen(AGENT), media={}, serve=has_port)))
        before = pids(supervisor)
        await until(lambda: is_taken(port), "its port")
        roles = {"carries_calls": False, "sees_clients": False}
        await supervisor.apply(with_agent(renamed, name="relay", **roles))
        assert states(supervisor) == {"media": "running", "relay": "running"}
        assert [row["pid"] for row in status_of(supervisor)["retired"]] == [before[AGENT]]
        assert said == []


async def test_stop_of_the_hub_ends_those_that_retired(
    paths: StatePaths, said: list[str], make_hub: MakeHub, calls: Path
) -> None:
    async with supervising(paths, said) as supervisor:
        await supervisor.apply(with_agent(make_hub(media={}, serve=busy(calls))))
        await started(paths, "old")
        await supervisor.apply(with_agent(make_hub(media={}, serve={"say": "new"})))
        assert len(list_running(paths)) == 3
        await supervisor.stop("now")
        assert list_running(paths) == []
        await until(lambda: not status_of(supervisor)["retired"], "the report")


async def test_stop_of_the_hub_waits_for_no_agent_itself(
    paths: StatePaths, said: list[str], make_hub: MakeHub, calls: Path
) -> None:
    """Media waits for the calls, and the agents' calls are among these."""
    async with supervising(paths, said) as supervisor:
        await supervisor.apply(with_agent(make_hub(media={}, serve=busy(calls))))
        await started(paths, "old")
        await supervisor.stop("drain")
        assert list_running(paths) == []


async def test_change_that_fails_starts_the_agent_of_before_again(
    paths: StatePaths, said: list[str], make_hub: MakeHub, calls: Path
) -> None:
    async with supervising(paths, said) as supervisor:
        await supervisor.apply(with_agent(make_hub(media={}, serve=busy(calls))))
        before = pids(supervisor)
        await started(paths, "old")
        with pytest.raises(MachineError, match="the change was not made; what ran before is running again"):
            await supervisor.apply(with_agent(make_hub(media={"exit": 3}, serve={"say": "new"})), now=True)
        # The one that had been started already may finish what it does, as the earlier one.
        assert before[AGENT] in [row["pid"] for row in status_of(supervisor)["retired"]]
        await until(lambda: Path(paths.log(AGENT)).read_text().split()[-1] == "old", "the earlier agent")
        assert states(supervisor) == {"media": "running", AGENT: "running"}


@contextlib.contextmanager
def no_descriptors(monkeypatch: pytest.MonkeyPatch, name: str) -> Iterator[None]:
    """As where no descriptor is free."""

    def refuse(*_: object) -> None:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    with monkeypatch.context() as patch:
        patch.setattr(processes, name, refuse)
        yield


async def test_agent_that_cannot_be_watched_ends_no_supervisor(
    paths: StatePaths, said: list[str], make_hub: MakeHub, calls: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with supervising(paths, said) as supervisor:
        await supervisor.apply(with_agent(make_hub(media={}, serve=busy(calls))))
        before = pids(supervisor)[AGENT]
        await started(paths, "old")
        with no_descriptors(monkeypatch, "wait_until_gone"):
            supervisor.fleet.retired.add(
                supervisor.children[AGENT].plan, supervisor.children[AGENT].process or ProcessId(0, ""), None
            )
            await until(lambda: said, "the report")
        assert said[0] == f"can't watch serve (pid {before}): OSError (Too many open files)"
        assert states(supervisor)["media"] == "running"


async def test_error_while_one_is_watched_ends_no_supervisor_and_is_told_once(
    paths: StatePaths, said: list[str], make_hub: MakeHub, calls: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where no thread is free: RuntimeError, which is no OSError."""
    tries: list[str] = []

    async def refuse(*_: object) -> bool:
        tries.append("x")
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(Succession, "is_over", refuse)
    async with supervising(paths, said) as supervisor:
        await supervisor.apply(with_agent(make_hub(media={}, serve=busy(calls))))
        await started(paths, "old")
        await supervisor.apply(with_agent(make_hub(media={}, serve={"say": "new"})))
        await until(lambda: len(tries) > 2, "it is tried again")
        assert [line.partition(": ")[2].split()[0] for line in said] == ["RuntimeError"]
        monkeypatch.undo()
        calls.touch()
        await until(lambda: not status_of(supervisor)["retired"], "its end")
        assert states(supervisor)["media"] == "running"


@pytest.mark.parametrize("refused", ["agent_home.remove_left", "remove_given"])
@pytest.mark.parametrize("error", [RuntimeError("can't start new thread"), OSError(errno.EIO, os.strerror(errno.EIO))])
async def test_what_is_left_of_agents_and_can_not_be_removed_ends_no_supervisor(
    paths: StatePaths,
    said: list[str],
    make_hub: MakeHub,
    monkeypatch: pytest.MonkeyPatch,
    refused: str,
    error: Exception,
) -> None:
    def refuse(*_: object) -> None:
        raise error

    monkeypatch.setattr(f"lkhub.supervise.in_force.{refused}", refuse)
    Path(paths.agents).mkdir()
    async with supervising(paths, said) as supervisor:
        heard: list[object] = []
        supervisor.in_force.heard.append(heard.append)
        await supervisor.apply(make_hub(media={}))
        await until(lambda: said, "the report")
        assert describe_error(error).split()[0] in said[0]
        assert heard, "the watchers follow the new plan"
        assert states(supervisor)["media"] == "running"


async def test_agent_that_cannot_be_told_is_kept_as_it_was(
    paths: StatePaths, said: list[str], make_hub: MakeHub, calls: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with supervising(paths, said) as supervisor:
        await supervisor.apply(with_agent(make_hub(media={}, serve=busy(calls)), registers=False))
        before = pids(supervisor)
        await started(paths, "old")
        with no_descriptors(monkeypatch, "send_signal"), pytest.raises(MachineError, match="can't end serve"):
            await supervisor.restart([AGENT])
        assert (pids(supervisor), states(supervisor)[AGENT]) == (before, "running")
        assert status_of(supervisor)["retired"] == ()


async def test_next_supervisor_leaves_it_beside_its_successor(
    paths: StatePaths, said: list[str], make_hub: MakeHub, calls: Path
) -> None:
    hub = with_agent(make_hub(media={}, serve={"say": "new"}))
    async with supervising(paths, said, leave=True) as first:
        await first.apply(with_agent(make_hub(media={}, serve=busy(calls))))
        old = pids(first)[AGENT]
        await started(paths, "old")
        await first.apply(hub)
        await started(paths, "old", "new")
        successor = pids(first)
    async with supervising(paths, said) as second:
        await adopt(second, hub.plan.processes)
        assert pids(second) == successor
        assert [row["pid"] for row in status_of(second)["retired"]] == [old]
        assert await second.apply(hub) == Outcome(())
        assert psutil.pid_exists(old or 0), "it was told to end before; a second signal would end its calls"
        calls.touch()
        await until(lambda: not status_of(second)["retired"], "its end")


async def test_next_supervisor_tells_none_again_that_has_no_successor(
    paths: StatePaths, said: list[str], make_hub: MakeHub, calls: Path
) -> None:
    """Nor is it taken over: it would be started again."""
    hub = make_hub(media={})
    async with supervising(paths, said, leave=True) as first:
        await first.apply(with_agent(make_hub(media={}, serve={**busy(calls), "deaf": True})))
        old = pids(first)[AGENT]
        await started(paths, "old")
        await first.apply(hub)
    assert [left.retired for left in find_running(paths)] == [False, True]
    async with supervising(paths, said) as second:
        await adopt(second, hub.plan.processes)
        assert list(second.children) == ["media"]
        assert await second.apply(hub) == Outcome(())
        assert [row["pid"] for row in status_of(second)["retired"]] == [old]
        calls.touch()
        await until(lambda: not status_of(second)["retired"], "its end")
        await until(lambda: not list_retired(paths), "the end of its record")


async def test_supervisor_that_is_killed_while_one_retires_leaves_its_call_to_the_next(
    paths: StatePaths, said: list[str], make_hub: MakeHub, calls: Path
) -> None:
    """It was told to end, and its first record is still there. To end it again would cut its calls."""
    async with supervising(paths, said, leave=True) as first:
        await first.apply(with_agent(make_hub(media={}, serve=busy(calls))))
        old = pids(first)[AGENT]
        await started(paths, "old")
        before = Path(paths.record(AGENT)).read_text()
        first.fleet.retired.add(first.children[AGENT].plan, first.children[AGENT].process or ProcessId(0, ""), None)
        assert Path(paths.record(AGENT)).read_text() == before
    hub = with_agent(make_hub(media={}, serve={"say": "new"}))
    async with supervising(paths, said) as second:
        await adopt(second, hub.plan.processes)
        assert list(second.children) == ["media"]
        await second.apply(hub)
        assert states(second)[AGENT] == "running"
        assert [row["pid"] for row in status_of(second)["retired"]] == [old]


async def test_record_of_one_that_ended_without_a_supervisor_is_removed(
    paths: StatePaths, said: list[str], make_hub: MakeHub, calls: Path
) -> None:
    async with supervising(paths, said, leave=True) as first:
        await first.apply(with_agent(make_hub(media={}, serve=busy(calls))))
        old = pids(first)[AGENT]
        await started(paths, "old")
        await first.apply(make_hub(media={}))
        [popen] = [each.popen for each in first.fleet.retired.list()]
    assert popen
    calls.touch()
    popen.wait()
    assert [identity.process.pid for identity in list_retired(paths)] == [old]
    async with supervising(paths, said) as second:
        await adopt(second)
        assert list_retired(paths) == ()
