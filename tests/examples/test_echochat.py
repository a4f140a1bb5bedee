"""EchoChat's server, with listeners that vanish."""

from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from starlette.websockets import WebSocket

from tests.documents import ROOT

pytestmark = pytest.mark.anyio


class Listener:
    """A connection to the room `general` at the seam of ASGI. `gone` is what sending raises; `says` is what comes from
    the browser before it leaves."""

    def __init__(self, cookie: str, says: tuple[str, ...] = ()) -> None:
        self.heard: list[str] = []
        self.gone: Exception | None = None
        self._comes: list[dict[str, Any]] = [
            {"type": "websocket.connect"},
            *({"type": "websocket.receive", "text": f'{{"text": "{text}"}}'} for text in says),
            {"type": "websocket.disconnect", "code": 1001},
        ]
        headers = [(b"cookie", cookie.encode())]
        scope = {"type": "websocket", "headers": headers, "path_params": {"room": "general"}}
        self.socket = WebSocket(scope, self._receive, self._send)

    async def _receive(self) -> dict[str, Any]:
        return self._comes.pop(0)

    async def _send(self, message: Any) -> None:
        if self.gone:
            raise self.gone
        if message["type"] == "websocket.send":
            self.heard.append(message["text"])


@pytest.mark.parametrize(
    "gone",
    [
        BrokenPipeError(),
        # As uvicorn says while it closes the connection of a laptop that was shut.
        RuntimeError("Unexpected ASGI message 'websocket.send', after sending 'websocket.close'."),
    ],
    ids=["broken", "closing"],
)
async def test_listener_that_vanishes_keeps_a_message_from_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gone: Exception
) -> None:
    monkeypatch.syspath_prepend(ROOT / "examples/echochat")
    app = import_module("echochat.app")
    server = app.Server(import_module("echochat.config").Config(database=str(tmp_path / "chat.db")))
    cookie = f"{app.COOKIE}={server.database.sign_in('ann', 'correct horse')}"
    here, lost = ([Listener(cookie) for _ in range(5)] for _ in range(2))
    for listener in (*here, *lost):
        await listener.socket.accept()
        server.listeners["general"].add(listener.socket)
    for listener in lost:
        listener.gone = gone
    ann = Listener(cookie, says=("first", "second"))
    await server.chat(ann.socket)
    for listener in (ann, *here):
        assert ["first" in listener.heard[0], "second" in listener.heard[1]] == [True, True]
    assert server.listeners["general"] == {each.socket for each in here}


@pytest.mark.parametrize("content", [None, "\n"], ids=["missing", "empty"])
async def test_key_that_is_missing_is_said_with_what_makes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str | None
) -> None:
    """As after a first command that failed, which leaves an empty file."""
    monkeypatch.syspath_prepend(ROOT / "examples/echochat")
    calls = import_module("echochat.calls")
    file = tmp_path / "hub.key"
    if content is not None:
        file.write_text(content)
    config = import_module("echochat.config").Config(livekit_enabled=True, hub_key_file=str(file))
    with pytest.raises(calls.CallError, match=r"`\(umask 077; lkhub access create echochat > "):
        await calls.ask_hub(config, "general", "ann")
