"""A build that the hub gives out, over the real socket: to the program that units run, and to one that is hostile."""

import contextlib
import errno
import io
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from lkhub.errors import MachineError
from lkhub.host.build_socket import connect, offered, receive, send
from lkhub.host.project import publish
from lkhub.hub import build_apart
from lkhub.hub.build_apart import Built, give_out
from lkhub.hub.builder import run_next_build
from lkhub.wire.site_build import SOCKET, BuildRequest, SiteBuild
from tests.waiting import wait_until

TOKEN = "a-token-of-the-site"

BUILD = SiteBuild("bmo", "", "", "dist", (), (), "", builder="unit")


@pytest.fixture
def given(tmp_path: Path) -> Path:
    (tmp_path / "for-sites/bmo").mkdir(parents=True)
    return tmp_path / "for-sites/bmo"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "project/src").mkdir(parents=True)
    (tmp_path / "project/src/title").write_text("hello")
    (tmp_path / "project/link").symlink_to("src/title")
    return tmp_path / "project"


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    """What systemd hears (sd_notify(3))."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as hears:
        hears.bind(str(tmp_path / "notify"))
        hears.settimeout(30)
        yield hears


@pytest.fixture
def builder(given: Path, tmp_path: Path, manager: socket.socket) -> Iterator[subprocess.Popen[bytes]]:
    """As the unit runs it."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    (scratch / "left").mkdir()
    where = ["--given", str(given), "--scratch", str(scratch)]
    environ = {**os.environ, "NOTIFY_SOCKET": str(tmp_path / "notify")}
    process = subprocess.Popen([sys.executable, "-m", "lkhub", "run-build", *where], env=environ)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def build(given: Path, project: Path, command: str, come: float = 30.0) -> contextlib.AbstractContextManager[Built]:
    wanted = SiteBuild(**{**{name: getattr(BUILD, name) for name in BUILD.__struct_fields__}, "given": str(given)})
    request = BuildRequest(command, "dist", {"NAME": "bmo"}, {"TOKEN": TOKEN})
    return give_out(wanted, str(project), request, output, come)


output = io.BytesIO()


@pytest.fixture(autouse=True)
def _no_output() -> None:
    output.seek(0)
    output.truncate()


COMMAND = """
mkdir -m 700 dist && umask 077 && cat link >dist/index.html && echo "$NAME $TOKEN" >dist/seen.txt
echo "with $TOKEN in $(basename "$PWD")"
"""


@pytest.mark.usefixtures("builder")
def test_what_is_built_is_what_visitors_get(
    given: Path, project: Path, tmp_path: Path, builder: subprocess.Popen[bytes]
) -> None:
    with build(given, project, COMMAND) as built:
        assert (built.problem, built.uid) == ("", os.geteuid())
        # The hub is another user.
        for name, mode in (("", 0o755), ("/index.html", 0o644), ("/seen.txt", 0o644)):
            assert os.stat(f"project/dist{name}", dir_fd=built.folder).st_mode & 0o777 == mode
        publish(built.folder, "project/dist", str(tmp_path / "files"), str(tmp_path / "current"), built.uid)
        assert builder.poll() is None
    assert (tmp_path / "current/index.html").read_text() == "hello"
    assert (tmp_path / "current/seen.txt").read_text() == f"bmo {TOKEN}\n"
    assert output.getvalue() == b"with [TOKEN] in project\n"
    assert built.lines == ("with [TOKEN] in project",)
    # Its unit starts it anew, in an empty folder.
    assert builder.wait(60) == 0
    assert not (tmp_path / "scratch/left").exists()
    assert not (given / SOCKET).exists()
    assert not (project / "dist").exists()


@pytest.mark.usefixtures("builder")
def test_build_that_fails_says_why(given: Path, project: Path) -> None:
    with build(given, project, "echo No such module; exit 3") as built:
        assert (built.problem, built.lines) == ("it ended with exit code 3", ("No such module",))


@pytest.mark.usefixtures("builder")
def test_build_that_makes_no_files_is_told_by_the_hub(given: Path, project: Path, tmp_path: Path) -> None:
    with build(given, project, "true") as built, pytest.raises(MachineError, match="made no folder where `root` is"):
        publish(built.folder, "project/dist", str(tmp_path / "files"), str(tmp_path / "current"), built.uid)


@pytest.mark.usefixtures("builder")
def test_build_that_renames_its_folder_changes_nothing(given: Path, project: Path, tmp_path: Path) -> None:
    command = 'mkdir dist; echo >dist/index.html; cd ..; mv "$PWD" ../elsewhere'
    with build(given, project, command) as built:
        publish(built.folder, "project/dist", str(tmp_path / "files"), str(tmp_path / "current"), built.uid)


def test_systemd_is_told_that_the_builder_goes_on(
    given: Path, project: Path, tmp_path: Path, manager: socket.socket, builder: subprocess.Popen[bytes]
) -> None:
    """While it waits for a build, and while it makes one."""

    def hear() -> None:
        while b"WATCHDOG=1" not in manager.recv(4096):
            pass

    hear()
    command = (
        f"touch {tmp_path}/began; until [ -e {tmp_path}/go ]; do sleep 0.05; done; mkdir dist; echo >dist/index.html"
    )

    def look() -> None:
        wait_until(lambda: (tmp_path / "began").exists(), "the build")
        manager.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                manager.recv(4096)
        manager.settimeout(30)
        hear()
        (tmp_path / "go").touch()

    thread = threading.Thread(target=look)
    thread.start()
    with build(given, project, command) as built:
        assert built.problem == ""
    thread.join()


def test_builder_ends_where_its_folder_is_no_longer_the_hubs(given: Path, builder: subprocess.Popen[bytes]) -> None:
    """The unit starts it anew, with the folder that is there now."""
    given.rmdir()
    assert builder.wait(30) == 0


def test_builder_that_never_comes_is_named(given: Path, project: Path) -> None:
    with (
        pytest.raises(MachineError, match=r"the unit lkhub-site-bmo\.service has not asked for it within 0 s"),
        build(given, project, "true", come=0.1),
    ):
        raise AssertionError
    assert not (given / SOCKET).exists()


def test_builder_without_a_place_to_build_says_so(
    given: Path, project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In this process: it waits here for the thread, which is the hub."""

    def fail(**_: str) -> str:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("lkhub.hub.builder.tempfile.mkdtemp", fail)
    problems: list[str] = []

    def give() -> None:
        with build(given, project, "true") as built:
            problems.append(built.problem)

    scratch = tmp_path / "scratch"
    scratch.mkdir()
    thread = threading.Thread(target=give, daemon=True)
    thread.start()
    run_next_build(str(given), str(scratch))
    thread.join()
    assert problems == [f"can't write {scratch}: the disk is full"]


def test_builder_that_ends_while_its_files_are_copied_is_named(
    given: Path, project: Path, builder: subprocess.Popen[bytes]
) -> None:
    """What was copied of its files is no site, which is no fault of the build."""

    def publish_of_killed() -> None:
        builder.kill()
        builder.wait()
        raise MachineError("the build made no index.html in `root`")

    with (
        pytest.raises(MachineError, match=r"^the unit lkhub-site-bmo\.service has ended while its files were copied$"),
        build(given, project, "mkdir dist"),
    ):
        publish_of_killed()


@pytest.mark.usefixtures("builder")
def test_fault_of_the_files_is_told_as_such(given: Path, project: Path) -> None:
    with pytest.raises(MachineError, match=r"^no index$"), build(given, project, "mkdir dist"):
        raise MachineError("no index")


def test_hub_that_ends_ends_the_build(given: Path, project: Path, builder: subprocess.Popen[bytes]) -> None:
    left, right = socket.socketpair()
    thread = threading.Thread(target=lambda: _abandon(given, project, left), daemon=True)
    thread.start()
    wait_until(lambda: bool(psutil.Process(builder.pid).children(recursive=True)), "the build")
    build_processes = psutil.Process(builder.pid).children(recursive=True)
    right.close()
    assert builder.wait(60) == 143
    wait_until(lambda: not any(each.is_running() for each in build_processes), "the end of the build")
    thread.join()


def _abandon(given: Path, project: Path, until: socket.socket) -> None:
    """Give a build out as the hub does, and close the connection when the other end of `until` is closed."""
    with until, offered(str(given)) as offer:
        connection, _ = offer.accept()
        read, write = os.pipe()
        folder = os.open(project, os.O_RDONLY)
        message = json.dumps({"command": "sleep 98761", "output": "dist", "variables": {}, "secrets": {}})
        send(connection, message.encode(), (folder, write))
        until.recv(1)
        connection.close()
        for each in (read, write, folder):
            os.close(each)


def test_builder_that_is_killed_is_given_the_build_again(
    given: Path, project: Path, tmp_path: Path, builder: subprocess.Popen[bytes]
) -> None:
    """The unit starts it anew."""

    def kill_once() -> None:
        wait_until(lambda: (tmp_path / "began").exists(), "the build")
        builder.send_signal(signal.SIGKILL)
        scratch = tmp_path / "scratch"
        argv = [sys.executable, "-m", "lkhub", "run-build", "--given", str(given), "--scratch", str(scratch)]
        subprocess.run(argv, check=True, timeout=30)

    thread = threading.Thread(target=kill_once)
    thread.start()
    command = f"mkdir dist; [ -e {tmp_path}/began ] || {{ touch {tmp_path}/began; sleep 98764; }}; echo done"
    with build(given, project, command) as built:
        assert (built.problem, built.lines) == ("", ("done",))
    thread.join()
    for process in psutil.process_iter(["cmdline"]):
        if process.info["cmdline"] == ["sleep", "98764"]:
            process.kill()


Act = Callable[[socket.socket], None]


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


@pytest.mark.usefixtures("builder")
def test_problem_of_a_build_is_told_whole(given: Path, project: Path) -> None:
    with build(given, project, "kill -9 $$") as built:
        assert built.problem == "it was killed by signal 9, which the kernel sends where memory is short"


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
