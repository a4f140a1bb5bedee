"""A Redis that can't be reached over TLS."""

import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from lkhub.errors import MachineError
from lkhub.host import redis
from lkhub.host.redis import require_redis
from lkhub.plan.model import RedisPlan


@contextmanager
def answering(answer: Callable[[socket.socket], None]) -> Iterator[int]:
    """The port of a server that answers one connection so."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with suppress(OSError):
                connection, _ = server.accept()
                with connection:
                    answer(connection)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server.getsockname()[1]
        thread.join(10)


def refuse(connection: socket.socket) -> None:
    """As Redis does with what is no command."""
    connection.recv(4096)
    connection.sendall(b"-ERR unknown command\r\n")


def end(connection: socket.socket) -> None:
    connection.recv(4096)
    connection.shutdown(socket.SHUT_RDWR)


def wait(connection: socket.socket) -> None:
    """For the end of the command."""
    while connection.recv(4096):
        pass


def plan(port: int) -> RedisPlan:
    address = f"127.0.0.1:{port}"
    return RedisPlan(address, f"rediss://{address}", 0, tls=True, username="", has_password=False)


@pytest.mark.parametrize("answer", [refuse, end, wait])
def test_server_without_tls_is_told_as_such(
    answer: Callable[[socket.socket], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis, "SECONDS", 0.5)
    with answering(answer) as port, pytest.raises(MachineError, match="does not speak TLS") as refused:
        require_redis(plan(port), None)
    assert f"127.0.0.1:{port}" in refused.value.message
    assert "_ssl" not in refused.value.message
    assert refused.value.hints[0].startswith("write redis://HOST:PORT where the server has no TLS")


def test_certificate_that_is_not_trusted_is_told_as_such(tmp_path: Path) -> None:
    made = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 -subj /CN=redis"
    subprocess.run([*made.split(), "-keyout", "key", "-out", "cert"], cwd=tmp_path, check=True, capture_output=True)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(tmp_path / "cert", tmp_path / "key")

    def answer(connection: socket.socket) -> None:
        context.wrap_socket(connection, server_side=True)

    with answering(answer) as port, pytest.raises(MachineError, match="its certificate is refused: ") as refused:
        require_redis(plan(port), None)
    assert "_ssl" not in refused.value.message
