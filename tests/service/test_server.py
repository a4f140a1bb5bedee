"""The service as the supervisor runs it: a separate process, over real sockets."""

import contextlib
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

import lkhub
from lkhub.log_lines import read_entry
from lkhub.service.bounded import LOG_LINES
from lkhub.wire.serve_config import ServeConfig, dump_serve
from tests.kit.ports import free_port
from tests.waiting import wait_until


@pytest.fixture(autouse=True)
def _importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """The service is found where we found it, whatever folder the tests are run in."""
    monkeypatch.setenv("PYTHONPATH", str(Path(lkhub.__file__).parents[1]))


def send(port: int, request: bytes) -> bytes:
    """One raw request, and all of its answer."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(request)
        connection.shutdown(socket.SHUT_WR)
        answer = b""
        while part := connection.recv(65536):
            answer += part
    return answer


def is_listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def service(config: ServeConfig, tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    port = free_port()
    file = tmp_path / "serve.json"
    file.write_text(dump_serve(replace(config, port=port)))
    argv = [sys.executable, "-m", "lkhub", "serve", "--config", str(file)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            wait_until(lambda: is_listening(port) or process.poll() is not None, "the listener")
            yield process, port
        finally:
            process.kill()


def test_service_answers_at_a_socket_that_it_was_given(config: ServeConfig, tmp_path: Path) -> None:
    """The port stays taken while no service runs, and who asks meanwhile gets the answer of the next one."""
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
        file = tmp_path / "serve.json"
        file.write_text(dump_serve(replace(config, bind=("127.0.0.1", "::1"), port=port)))
        argv = [sys.executable, "-m", "lkhub", "serve", "--config", str(file), "--listen-fd", str(held.fileno())]
        with socket.create_connection(("127.0.0.1", port), timeout=20) as early:
            early.sendall(f"GET /api/hub HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\nconnection: close\r\n\r\n".encode())
            with subprocess.Popen(argv, pass_fds=[held.fileno()]) as process:
                try:
                    assert early.recv(4096).startswith(b"HTTP/1.1 200 ")
                    url = f"http://[::1]:{port}/api/hub"
                    assert httpx.get(url, trust_env=False).status_code == 200, "at the other address it listens itself"
                finally:
                    process.kill()
        with socket.socket() as other:
            other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with pytest.raises(OSError, match="in use"):
                other.bind(("127.0.0.1", port))


def test_service_answers_checks_and_leaves_in_silence(service: tuple[subprocess.Popen[str], int]) -> None:
    process, port = service
    own = f"host: 127.0.0.1:{port}\r\n".encode()
    assert httpx.get(f"http://127.0.0.1:{port}/api/hub", trust_env=False).json()["tokens"] == "open"
    token = httpx.post(f"http://127.0.0.1:{port}/api/livekit/token", json={"room": "XYZroom"}, trust_env=False)
    assert token.status_code == 200
    assert "server" not in token.headers

    foreign = b"GET /api/hub HTTP/1.1\r\nhost: evil.example\r\nconnection: close\r\n\r\n"
    assert b" 421 " in send(port, foreign).splitlines()[0]
    absolute = b"GET http://evil.example/api/hub HTTP/1.1\r\nhost: evil.example\r\nconnection: close\r\n\r\n"
    assert b" 421 " in send(port, absolute).splitlines()[0]
    for hosts in (own + b"host: evil.example\r\n", b"host: evil.example\r\n" + own, b""):
        status = send(port, b"GET /api/hub HTTP/1.1\r\n" + hosts + b"connection: close\r\n\r\n").splitlines()[0]
        assert b" 200 " not in status
    upgrade = b"GET / HTTP/1.1\r\n%sconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n" % own
    assert b" 101 " not in send(port, upgrade + b"sec-websocket-key: x3JJHMbDL1EzLkh9GBhXDw==\r\n\r\n").splitlines()[0]

    process.send_signal(signal.SIGTERM)
    output = process.communicate(timeout=20)[0]
    # uvicorn ends by the signal itself once everything is answered.
    assert process.returncode in (0, -signal.SIGTERM)
    assert "XYZ" not in output, "neither a room, nor a token, nor a secret belongs into a log"


def test_what_is_no_request_does_not_fill_the_log(service: tuple[subprocess.Popen[str], int]) -> None:
    process, port = service
    began = time.monotonic()
    for _ in range(300):
        assert b" 400 " in send(port, b"no request\r\n\r\n")
    seconds = int(time.monotonic() - began) + 2
    process.terminate()
    assert 0 < process.communicate(timeout=20)[0].count("\n") <= LOG_LINES * seconds


def test_port_in_use_is_no_bug(config: ServeConfig, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        file = tmp_path / "serve.json"
        file.write_text(dump_serve(replace(config, port=holder.getsockname()[1])))
        argv = [sys.executable, "-m", "lkhub", "serve", "--config", str(file)]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=30, env=dict(os.environ))
    assert done.returncode == 3
    assert "Traceback" not in done.stderr
    assert "bug" not in done.stderr


def test_a_burst_of_connections_does_not_take_the_last_open_file(config: ServeConfig, tmp_path: Path) -> None:
    port, files = free_port(), 64
    file = tmp_path / "serve.json"
    file.write_text(dump_serve(replace(config, port=port)))
    argv = [sys.executable, "-m", "lkhub", "serve", "--config", str(file)]
    limit = lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))  # noqa: E731
    with (
        subprocess.Popen(
            argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, preexec_fn=limit
        ) as process,
        contextlib.ExitStack() as opened,
    ):
        try:
            wait_until(lambda: is_listening(port) or process.poll() is not None, "the listener")
            # All of them are there when it looks again.
            process.send_signal(signal.SIGSTOP)
            for _ in range(3 * files):
                connection = opened.enter_context(socket.socket())
                connection.setblocking(False)
                connection.connect_ex(("127.0.0.1", port))
            process.send_signal(signal.SIGCONT)
            opened.close()
            assert httpx.get(f"http://127.0.0.1:{port}/api/hub", trust_env=False, timeout=30).status_code == 200
        finally:
            process.terminate()
        output = process.communicate(timeout=20)[0]
    assert "Too many open files" not in output


def test_what_is_told_of_a_client_has_a_time_and_a_level_for_lkhub_logs(
    service: tuple[subprocess.Popen[str], int],
) -> None:
    process, port = service
    before = int(time.time())
    send(port, b"nonsense\r\n\r\n")
    assert process.stdout is not None
    entry = read_entry("serve", process.stdout.readline())
    assert entry is not None
    assert entry.at is not None
    assert before <= entry.at <= time.time()
    assert (entry.level, entry.text) == ("warning", "Invalid HTTP request received.")


def test_machine_without_descriptors_does_not_fill_the_log(service: tuple[subprocess.Popen[str], int]) -> None:
    process, port = service
    hard = resource.prlimit(process.pid, resource.RLIMIT_NOFILE)[1]
    used = len(os.listdir(f"/proc/{process.pid}/fd"))
    resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (used, hard))
    with contextlib.ExitStack() as opened:
        for _ in range(20):  # some may find a descriptor that was free
            opened.enter_context(socket.create_connection(("127.0.0.1", port)))
        assert process.stdout is not None
        told = process.stdout.readline()
    process.terminate()
    told += process.communicate(timeout=20)[0]
    assert told.count("no more connections can be taken: too many open files") == 1
    assert "Traceback" not in told
    assert told.count("\n") <= LOG_LINES
