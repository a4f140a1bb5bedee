"""A hostile program in the place of the one that makes a build."""

import contextlib
import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lkhub.errors import MachineError
from lkhub.host.build_socket import connect, receive, send
from lkhub.hub import build_apart
from tests.hub.given_builds import build, given, no_output, project
from tests.waiting import wait_until

__all__ = ["given", "no_output", "project"]

Act = Callable[[socket.socket], object]


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build_apart, "ANSWER_SECONDS", 0.5)
    monkeypatch.setattr(build_apart, "REST_SECONDS", 0.2)


def _answer(text: bytes, *descriptors: int) -> Act:
    return lambda hub: send(hub, text, descriptors)


def _dribble(hub: socket.socket) -> None:
    hub.send(b"\0\1\0\0")
    for _ in range(500):  # until the hub has closed the connection
        hub.send(b"x")
        time.sleep(0.01)


ACTS: dict[str, Act] = {
    "ends": lambda _: None,
    "sends garbage": lambda hub: hub.sendall(b"GET / HTTP/1.1\r\n\r\n"),
    "says a size and no more": lambda hub: hub.sendall(b"\0\0\1\0half"),
    "answers in another language": _answer(b"<html>"),
    "answers with other types": _answer(b'{"problem": [1]}'),
    "answers in another version": _answer(b'{"version": 9, "problem": ""}'),
    "has built and has no folder": _answer(b'{"problem": ""}'),
}


@contextlib.contextmanager
def played(given: Path, act: Act) -> Iterator[None]:
    """A program at the other end that asks for the build again and again. No descriptor is left open."""
    over = threading.Event()

    def play() -> None:
        while not over.wait(0.02):
            if hub := connect(str(given)):
                with hub, contextlib.suppress(OSError):
                    for descriptor in receive(hub, 2, 5)[1]:
                        os.close(descriptor)
                    act(hub)

    before = len(os.listdir("/proc/self/fd"))
    thread = threading.Thread(target=play)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
    wait_until(lambda: len(os.listdir("/proc/self/fd")) <= before, "the end of every descriptor")


@pytest.mark.parametrize("act", ACTS.values(), ids=ACTS)
def test_builder_that_keeps_to_no_rule_costs_a_bounded_time(given: Path, project: Path, act: Act) -> None:
    with (
        played(given, act),
        pytest.raises(MachineError, match="3 times, and has not answered"),
        build(given, project, "true"),
    ):
        raise AssertionError


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize(
    "act",
    [lambda hub: hub.recv(1), _dribble, lambda _: time.sleep(0.3)],
    ids=["is silent", "sends byte after byte", "comes again and again"],
)
def test_builder_that_never_answers_has_one_time_for_all_tries(given: Path, project: Path, act: Act) -> None:
    with (
        played(given, act),
        pytest.raises(MachineError, match="was given the build, and has not answered within"),
        build(given, project, "true"),
    ):
        raise AssertionError


def test_what_comes_too_late_is_not_read() -> None:
    """However fast it goes on to come."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        send(theirs, b"x" * 10, ())
        with pytest.raises(TimeoutError):
            receive(ours, 0, 0)
        assert receive(ours, 0, 5) == (b"x" * 10, [])


@pytest.mark.usefixtures("short")
def test_more_descriptors_than_belong_there_are_closed(given: Path, project: Path) -> None:
    def act(hub: socket.socket) -> None:
        with open("/dev/null") as null:
            send(hub, b'{"problem": ""}', [null.fileno()] * 200)

    with played(given, act), contextlib.suppress(MachineError), build(given, project, "true") as built:
        # One may get through, and is no folder.
        assert not os.path.isdir(f"/proc/self/fd/{built.folder}")


@pytest.mark.usefixtures("short")
def test_problem_that_says_nothing_is_no_success(given: Path, project: Path) -> None:
    with (
        played(given, _answer(b'{"problem": "\\n "}')),
        pytest.raises(MachineError, match="3 times, and has not answered"),
        build(given, project, "true"),
    ):
        raise AssertionError


@pytest.mark.usefixtures("short")
def test_problem_of_a_builder_is_short_and_printable(given: Path, project: Path) -> None:
    answer = json.dumps({"problem": "\x1b[2J" + "x" * 10_000}).encode()

    def act(hub: socket.socket) -> None:
        send(hub, answer, ())
        hub.recv(1)

    with played(given, act), build(given, project, "true") as built:
        assert "\x1b" not in built.problem
        assert len(built.problem) < 300
