import errno
import json
import re
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import anyio.abc
import anyio.to_thread
import jwt
import pytest

from lkhub.checks.paths import Overrides
from lkhub.errors import MachineError
from lkhub.hub import probe as verify
from lkhub.secret import Secret
from lkhub.wire.engine import ProbeRequest
from lkhub.wire.message import VERSION

SECRET = Secret("XYZ" * 15)
NOWHERE = "ws://127.0.0.1:1"
REQUEST = ProbeRequest(NOWHERE, 1000, 0, ())
OVERRIDES = Overrides(ca="", resolve={}, api="http://127.0.0.1:1")


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The path of a program in place of the engine, which the test writes. It leaves the request that it got in the
    file `seen`, and its arguments in `argv`."""
    path = tmp_path / "engine"
    monkeypatch.setattr(verify, "bundled_engine", lambda: str(path))
    return path


def write(engine: Path, *rows: dict[str, Any] | str, exit_code: int = 0) -> None:
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    (engine.parent / "rows").write_text("".join(f"{line}\n" for line in lines))
    folder = engine.parent
    engine.write_text(
        f'#!/bin/sh\necho "$@" > {folder}/argv\ncat > {folder}/seen\ncat {folder}/rows\nexit {exit_code}\n'
    )
    engine.chmod(0o755)


def row(path: str, ok: bool | None = True, stage: str = "media") -> dict[str, Any]:
    return {"path": path, "ok": ok, "stage": stage, "detail": ""}


def test_every_path_gets_its_result_in_the_order_it_was_asked(engine: Path) -> None:
    write(engine, row("turn-udp"), row("udp", False, "connect"), exit_code=1)
    results = verify.verify_paths(NOWHERE, ("udp", "turn-udp"), "API", SECRET, overrides=OVERRIDES)
    assert [(result.path, result.ok) for result in results] == [("udp", False), ("turn-udp", True)]


def test_path_that_the_probe_does_not_report_is_unknown(engine: Path) -> None:
    write(engine, row("udp"))
    results = verify.verify_paths(NOWHERE, ("udp", "tcp"), "API", SECRET, overrides=OVERRIDES)
    assert (results[1].path, results[1].ok) == ("tcp", None)
    assert results[1].detail


def test_path_that_the_own_hub_does_not_offer_has_failed_and_a_foreign_one_has_not(engine: Path) -> None:
    write(engine, row("turn-tls", None, "join"))
    for overrides, ok in ((OVERRIDES, False), (None, None)):
        [result] = verify.verify_paths(NOWHERE, ("turn-tls",), "API", SECRET, overrides=overrides)
        assert result.ok is ok


def test_secrets_go_by_stdin_and_never_by_argument(engine: Path) -> None:
    write(engine, row("udp"))
    verify.verify_paths(NOWHERE, ("udp",), "API", SECRET, overrides=OVERRIDES)
    assert (engine.parent / "argv").read_text() == "probe\n"
    asked = json.loads((engine.parent / "seen").read_text())
    assert (asked["version"], asked["url"]) == (VERSION, NOWHERE)
    assert len(asked["paths"][0]["tokens"]) == 2
    assert SECRET.reveal() not in json.dumps(asked), "tokens, not the key that signs them"


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (["nonsense"], "did not answer"),
        (["[]"], "did not answer"),
        ([{"path": "udp"}], "did not answer"),
        ([{**row("udp"), "version": VERSION + 1}], "did not answer"),
        ([{"error": {"code": "x", "message": "no such path"}}], "the probe failed: no such path"),
        ([row("udp"), {"error": {"code": "x", "message": "it broke"}}], "it broke"),
    ],
)
def test_probe_that_does_not_answer_is_a_machine_error(engine: Path, rows: list[Any], said: str) -> None:
    write(engine, *rows)
    with pytest.raises(MachineError, match=said):
        verify.run_probe(REQUEST)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable"), "Resource temporarily unavailable"),
        (subprocess.TimeoutExpired(["lkhub-engine"], 1), r"within \d+ s"),
    ],
)
def test_what_keeps_the_probe_from_an_answer_is_told(
    engine: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, said: str
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise error

    write(engine)
    monkeypatch.setattr(subprocess, "run", refuse)
    with pytest.raises(MachineError, match=said):
        verify.run_probe(REQUEST)


def test_engine_that_is_missing_says_how_to_get_one(engine: Path) -> None:
    with pytest.raises(MachineError, match="is missing"):
        verify.run_probe(REQUEST)


@asynccontextmanager
async def room_service(seen: list[str], create: bytes = b"200 OK") -> AsyncIterator[int]:
    """A RoomService that notes each request in `seen`, and answers CreateRoom with the status `create`; its port."""

    async def serve(stream: anyio.abc.SocketStream) -> None:
        async with stream:
            text = ""
            while not text.endswith("}"):
                text += (await stream.receive()).decode()
            seen.append(text)
            status = create if "CreateRoom" in text else b"200 OK"
            await stream.send(b'HTTP/1.1 %s\r\nconnection: close\r\ncontent-length: 13\r\n\r\n{"name": "r"}' % status)

    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, serve)
        yield listener.extra(anyio.abc.SocketAttribute.local_port)
        tasks.cancel_scope.cancel()


@pytest.mark.anyio
@pytest.mark.parametrize("where", ["ws://127.0.0.1:{}", "http://127.0.0.1:{}", "its own"])
async def test_rooms_are_opened_and_deleted_whatever_the_probe_did(engine: Path, where: str) -> None:
    """The own hub's rooms over loopback: the address that clients use may lead nowhere from this machine."""
    write(engine, "nonsense")
    seen: list[str] = []

    def run(port: int) -> None:
        overrides = replace(OVERRIDES, api=f"http://127.0.0.1:{port}") if where == "its own" else None
        url = NOWHERE if overrides else where.format(port)
        with pytest.raises(MachineError):
            verify.verify_paths(url, ("udp", "tcp"), "API", SECRET, overrides=overrides)

    async with room_service(seen) as port:
        await anyio.to_thread.run_sync(run, port)

    opened = [request for request in seen if request.startswith("POST /twirp/livekit.RoomService/CreateRoom ")]
    deleted = [request for request in seen if request.startswith("POST /twirp/livekit.RoomService/DeleteRoom ")]
    assert len(opened) == len(deleted) == 2
    assert all('"agentName"' in request for request in opened), "no worker is called"
    for request in seen:
        token = re.search(r"Bearer (\S+)", request)
        assert token is not None
        assert jwt.decode(token[1], SECRET.reveal(), algorithms=["HS256"])["video"] == {"roomCreate": True}
    rooms = {re.search(r'"room": ?"([^"]+)"', request)[1] for request in deleted}  # type: ignore[index]
    assert rooms == {re.search(r'"name": ?"([^"]+)"', request)[1] for request in opened}  # type: ignore[index]
    assert len(rooms) == 2
    assert all(room.startswith("lkhub-verify-") for room in rooms)


@pytest.mark.anyio
@pytest.mark.parametrize(("relay", "deleted"), [(None, 0), ("turns:turn.example.com:443", 1)])
async def test_room_of_a_path_that_failed_on_its_way_to_the_relay_is_deleted(
    engine: Path, relay: str | None, deleted: int
) -> None:
    """Participants join before they connect to the TURN server, and joining makes a room. Nothing is deleted where they
    did not even get to the hub."""
    write(engine, {**row("turn-tls", False, "tls"), "relay": relay})
    seen: list[str] = []
    async with room_service(seen, create=b"503 Service Unavailable") as port:
        overrides = replace(OVERRIDES, api=f"http://127.0.0.1:{port}")
        run = partial(verify.verify_paths, NOWHERE, ("turn-tls",), "API", SECRET, overrides=overrides)
        await anyio.to_thread.run_sync(run)
    assert [text.split()[1].rpartition("/")[2] for text in seen] == ["CreateRoom", *["DeleteRoom"] * deleted]
