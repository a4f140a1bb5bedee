"""What a process is given at its start: an environment, held sockets, a control socket."""

import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import anyio
import anyio.abc
import pytest

from lkhub.errors import MachineError
from lkhub.host import files
from lkhub.plan.paths import StatePaths
from lkhub.plan.process import Fingerprint, HeldSocket
from lkhub.supervise import life
from lkhub.supervise.left import find_running
from lkhub.supervise.reload import reload
from tests.kit.ports import free_port
from tests.supervise.conftest import PRINT, QUICK, MakeChild, pid, tasks
from tests.waiting import until

pytestmark = pytest.mark.anyio


async def test_child_is_not_told_what_a_livekit_server_would_obey(
    make_child: MakeChild, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIVEKIT_KEYS", "API: XYZ")
    child = make_child()
    async with tasks() as group:
        await child.start(group)
        environ = Path(f"/proc/{pid(child)}/environ").read_bytes()
        assert b"LIVEKIT_KEYS" not in environ
        await child.stop("now")


async def test_held_sockets_are_given_as_listening_descriptors(make_child: MakeChild, said: list[str]) -> None:
    child = make_child()
    port = free_port()
    child.plan = replace(child.plan, listens=(HeldSocket("127.0.0.1", port),))
    async with tasks() as group:
        await child.start(group)
        words = Path(f"/proc/{pid(child)}/cmdline").read_text().split("\0")
        number = words[words.index("--listen-fd") + 1]
        assert os.readlink(f"/proc/{pid(child)}/fd/{number}").startswith("socket:")
        await child.stop("now")
    child.shared.held.close_except(set())


@pytest.mark.parametrize("sockets", [0, 1])
async def test_descriptors_are_no_part_of_what_is_known_without_a_record(
    make_child: MakeChild, paths: StatePaths, sockets: int
) -> None:
    """They are others at the next start."""
    child = make_child()
    child.plan = replace(child.plan, listens=tuple(HeldSocket("127.0.0.1", free_port()) for _ in range(sockets)))
    async with tasks() as group:
        await child.start(group)
        os.unlink(paths.record("media"))
        [found] = find_running(paths)
        assert found.plan.argv == child.plan.argv
        await child.stop("now")
    child.shared.held.close_except(set())


async def test_control_socket_is_the_same_after_a_restart(make_child: MakeChild, paths: StatePaths) -> None:
    """Where nothing can be written any more it could not be bound again."""
    child = make_child()
    async with tasks() as group:
        await child.start(group)
        before, file = pid(child), files.identify(paths.socket("media"))
        os.kill(before, signal.SIGKILL)
        await until(lambda: child.state == "running" and pid(child) != before, "the restart")
        assert files.identify(paths.socket("media")) == file
        await child.stop("now")


async def test_answers_of_another_process_are_reported_if_the_process_gave_none(
    make_child: MakeChild, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def hear(_: object, __: object, note: Callable[[str], None], **___: object) -> None:
        note("another process answers at its control socket")
        await anyio.sleep_forever()

    monkeypatch.setattr(life, "wait_ready", hear)
    child = make_child()
    child.shared.timings = replace(QUICK, ready=0.05)
    async with tasks() as group:
        with pytest.raises(MachineError, match="not ready within 0 s: another process answers at its control socket"):
            await child.start(group)


async def test_reload_that_another_process_answers_is_none(make_child: MakeChild, paths: StatePaths) -> None:
    async def answer(stream: anyio.abc.SocketStream) -> None:
        async with stream:
            await stream.receive()
            body = b'{"state": "running", "pid": %d}' % os.getpid()
            await stream.send(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body))

    child = make_child()
    async with tasks() as group:
        await child.start(group)
        os.unlink(paths.socket("media"))
        listener = await anyio.create_unix_listener(paths.socket("media"))
        async with listener, anyio.create_task_group() as others:
            others.start_soon(listener.serve, answer)
            with pytest.raises(MachineError, match=rf"another process \(pid {os.getpid()}\) answers in its place"):
                await reload(child, child.plan, Fingerprint("program", "others"))
            assert child.fingerprint == PRINT.without_files(), "which files it has is not known"
            others.cancel_scope.cancel()
        await child.stop("now")
