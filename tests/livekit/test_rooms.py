"""The room service of a LiveKit, for clients that trust its root."""

import contextlib
import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from lkhub.errors import MachineError
from lkhub.livekit.room_calls import create_room, delete_room
from lkhub.livekit.rooms import RoomService
from lkhub.secret import Secret
from tests.certificates import make


class LiveKit(BaseHTTPRequestHandler):
    """Answers every call like a server that has opened a room."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        body = json.dumps({"name": "lobby", "empty_timeout": 300}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Not on the tests' terminal."""


def refuse(connection: socket.socket) -> None:
    connection.sendall(b'HTTP/1.1 403 No\r\n\r\n{"msg": "\\u001b[2J\\nerror: ' + b"x" * 100_000 + b'"}')


def never_end(connection: socket.socket) -> None:
    connection.sendall(b'HTTP/1.1 200 OK\r\n\r\n{"')
    while True:
        connection.sendall(b"x" * 65536)


@pytest.mark.parametrize("serve", [refuse, never_end])
def test_text_of_another_server_is_one_short_line(serve: Callable[[socket.socket], None]) -> None:
    def run() -> None:
        connection, _ = listener.accept()
        with connection, contextlib.suppress(OSError):
            connection.recv(4096)
            serve(connection)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=run)
        thread.start()
        url = f"ws://127.0.0.1:{listener.getsockname()[1]}"
        with RoomService(url, "API", Secret("X" * 40)) as service, pytest.raises(MachineError) as raised:
            service.ask(delete_room("lobby"))
        thread.join()
    assert len(raised.value.message) < 300
    assert not set(raised.value.message) & set("\n\x1b")


@pytest.fixture
def livekit(tmp_path: Path) -> Iterator[str]:
    """The wss:// address of a server whose root is in root.pem."""
    now = datetime.now(UTC)
    valid = (now - timedelta(hours=1), now + timedelta(days=1))
    root = make("root", ca=True, valid=valid)
    leaf = make("", root, names=["localhost"], valid=valid)
    for name, text in (("root.pem", root.pem), ("cert.pem", leaf.pem), ("key.pem", leaf.key_pem)):
        (tmp_path / name).write_text(text)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    with HTTPServer(("localhost", 0), LiveKit) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"wss://localhost:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("trusts", [True, False])
def test_roots_are_those_that_the_call_trusts_too(
    livekit: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trusts: bool
) -> None:
    if trusts:
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "root.pem"))
    else:
        monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    with RoomService(livekit, "API", Secret("X" * 40)) as service:
        if trusts:
            assert service.ask(create_room("lobby")).empty_timeout == 300
            return
        with pytest.raises(MachineError, match="LiveKit does not answer"):
            service.ask(create_room("lobby"))
