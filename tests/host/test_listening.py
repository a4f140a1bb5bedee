"""Taking over sockets that another process listens with."""

import os
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from lkhub.host import listening
from lkhub.host.listening import take_listeners

HEAD = b"HTTP/1.0 200 OK\r\n\r\n"


@pytest.fixture
def control(short_dir: Path) -> str:
    return str(short_dir / "x.sock")


@contextmanager
def answering(control: str, answer: Callable[[socket.socket], None]) -> Iterator[list[bytes]]:
    """A process that answers one request so. Yields what it was asked."""
    asked: list[bytes] = []
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(control)
        listener.listen()

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                asked.append(connection.recv(4096))
                answer(connection)

        thread = threading.Thread(target=serve)
        thread.start()
        yield asked
        thread.join()


def giving(*sockets: int) -> Callable[[socket.socket], None]:
    """The answer of an engine."""

    def answer(connection: socket.socket) -> None:
        connection.sendall(HEAD)
        for number in sockets:
            socket.send_fds(connection, [b"one\n"], [number])

    return answer


def test_socket_stays_open_after_the_end_of_its_process(control: str) -> None:
    first, second = socket.create_server(("127.0.0.1", 0)), socket.create_server(("127.0.0.1", 0))
    wanted = [first.getsockname(), second.getsockname()]
    with answering(control, giving(first.fileno(), second.fileno())) as asked:
        taken = take_listeners(control, wanted)
    assert asked == [b"GET /sockets HTTP/1.0\r\n\r\n"]
    first.close()
    second.close()
    assert list(taken) == wanted
    for place, listener in taken.items():
        assert not os.get_inheritable(listener.fileno())
        with listener, socket.create_connection(place, 5):
            listener.settimeout(5)
            listener.accept()[0].close()


def test_socket_at_an_address_of_version_6(control: str) -> None:
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as listener:
        place = ("::1", listener.getsockname()[1])
        with answering(control, giving(listener.fileno())):
            taken = take_listeners(control, [place])
        assert list(taken) == [place]
        taken[place].close()


def test_what_is_not_wanted_is_refused_and_closed(
    control: str, short_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A socket elsewhere, one twice, one that is connected, a datagram socket, a Unix socket, a file."""
    with (
        socket.create_server(("127.0.0.1", 0)) as wanted,
        socket.create_server(("127.0.0.1", 0)) as elsewhere,
        socket.create_connection(wanted.getsockname(), 5) as client,
        wanted.accept()[0] as connected,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams,
        socket.socket(socket.AF_UNIX) as unix,
        tempfile.TemporaryFile() as file,
    ):
        datagrams.bind(wanted.getsockname())
        monkeypatch.chdir(short_dir)
        unix.bind("u")  # so this is its name, which is no address and port
        unix.listen()
        before = psutil.Process().num_fds()
        refused = (elsewhere, client, connected, datagrams, unix, file)
        with answering(control, giving(*(each.fileno() for each in refused))):
            assert take_listeners(control, [wanted.getsockname()]) == {}
        os.unlink(control)
        with answering(control, giving(wanted.fileno(), wanted.fileno())):
            taken = take_listeners(control, [wanted.getsockname()])
        assert psutil.Process().num_fds() == before + 1
        taken[wanted.getsockname()].close()


@pytest.mark.parametrize("answer", [b"HTTP/1.0 404 Not Found\r\n\r\n404 page not found\n", b""], ids=["404", "nothing"])
def test_process_of_an_earlier_version_keeps_them(control: str, answer: bytes) -> None:
    with answering(control, lambda connection: connection.sendall(answer)):
        assert take_listeners(control, [("127.0.0.1", 7880)]) == {}


def test_process_that_is_gone_gives_none(control: str) -> None:
    assert take_listeners(control, [("127.0.0.1", 7880)]) == {}
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(control)
    assert take_listeners(control, [("127.0.0.1", 7880)]) == {}


def test_process_that_hangs_is_not_waited_for(control: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither one that accepts nothing, nor one that goes on for ever after the socket."""
    monkeypatch.setattr(listening, "SECONDS", 0.2)
    with socket.socket(socket.AF_UNIX) as hung:
        hung.bind(control)
        hung.listen(0)
        for _ in range(3):  # the queue is full after the first
            assert take_listeners(control, [("127.0.0.1", 7880)]) == {}
    os.unlink(control)
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer(connection: socket.socket) -> None:
            giving(listener.fileno())(connection)
            connection.settimeout(5)
            while not over.wait(0.01):
                try:
                    connection.sendall(b"more\n")
                except ConnectionError:
                    break

        with answering(control, answer):
            began = time.monotonic()
            taken = take_listeners(control, [listener.getsockname()])
            assert time.monotonic() - began < 5
            over.set()
        taken[listener.getsockname()].close()
