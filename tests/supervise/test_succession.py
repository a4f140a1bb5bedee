"""Whether an agent's rooms are taken by its successor: judged by real processes that are connected to a socket."""

import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from types import SimpleNamespace
from typing import Any

import pytest

from lkhub.host.processes import ProcessId, identify
from lkhub.plan.process import ProcessPlan
from lkhub.supervise.succession import RETURNING_SECONDS, Succession
from lkhub.wire.engine import AgentsStatus, AgentWorker, MediaStatus

pytestmark = pytest.mark.anyio

Connect = Callable[..., tuple[ProcessId, str]]

CLIENT = "import socket, sys; held = socket.create_connection(('127.0.0.1', int(sys.argv[1]))); sys.stdin.read()"


@pytest.fixture
def connect() -> Iterator[Connect]:
    """`connect(*words)`: a process, with these words on its command line, and the address that it is connected from."""
    with ExitStack() as stack, socket.create_server(("127.0.0.1", 0)) as server:

        def make(*words: str) -> tuple[ProcessId, str]:
            argv = [sys.executable, "-ISsc", CLIENT, str(server.getsockname()[1]), *words]
            process = stack.enter_context(subprocess.Popen(argv, stdin=subprocess.PIPE))
            stack.callback(process.kill)
            connection, (host, port) = server.accept()
            stack.callback(connection.close)
            found = identify(process.pid)
            assert found
            return found, f"{host}:{port}"

        yield make


def make_media(*workers: str, knows: bool = True, answers: bool = True, age: float = 60) -> Any:
    """A child that knows the workers which are connected from these addresses."""

    async def ask_status() -> MediaStatus | None:
        there = tuple(AgentWorker("W", "", "room", True, False, 0, address, 0, ()) for address in workers)
        return MediaStatus(1, "running", agents=AgentsStatus(there) if knows else None) if answers else None

    plan = ProcessPlan("media", ("media",), engine="media", knows_participants=True)
    return SimpleNamespace(plan=plan, since=time.time() - age, process=None, ask_status=ask_status)


async def is_over(media: Any, before: ProcessId, after: ProcessId | None) -> bool:
    agent = SimpleNamespace(plan=ProcessPlan("agent-bo", ("bo",), registers=True), process=after)
    children = {"agent-bo": agent} | ({"media": media} if media else {})
    return await Succession(lambda: children).is_over("agent-bo", before)


async def test_successor_takes_the_rooms_once_it_has_registered(connect: Connect) -> None:
    (before, old), (after, new) = connect(), connect()
    assert not await is_over(make_media(old), before, after)
    assert await is_over(make_media(old, new), before, after)
    assert await is_over(make_media(new), before, after)


async def test_agent_is_no_successor_of_itself(connect: Connect) -> None:
    before, old = connect()
    assert not await is_over(make_media(old), before, before)
    assert not await is_over(make_media(old), before, None)


async def test_one_that_takes_no_rooms_keeps_none(connect: Connect) -> None:
    (before, _), (installing, _) = connect(), connect("run-agent")
    assert await is_over(make_media(), before, None)
    assert not await is_over(make_media(age=RETURNING_SECONDS - 5), before, None), "it may connect again"
    assert await is_over(make_media(age=0), installing, None)


async def test_nothing_is_certain_while_media_does_not_answer(connect: Connect) -> None:
    before, old = connect()
    assert not await is_over(make_media(old, answers=False), before, None)


async def test_without_a_media_that_knows_workers_there_is_no_waiting(connect: Connect) -> None:
    before, old = connect()
    assert await is_over(make_media(old, knows=False), before, None)
    assert await is_over(None, before, None)
