"""A build that the hub gives out, over the real socket, to the program that units run."""

import contextlib
import errno
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from lkhub.errors import MachineError
from lkhub.host.build_socket import offered, send
from lkhub.host.project import publish
from lkhub.hub.builder import run_next_build
from lkhub.wire.site_build import SOCKET
from tests.hub.given_builds import TOKEN, build, given, no_output, output, project
from tests.waiting import wait_until

__all__ = ["given", "no_output", "project"]


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


@pytest.mark.usefixtures("builder")
def test_problem_of_a_build_is_told_whole(given: Path, project: Path) -> None:
    with build(given, project, "kill -9 $$") as built:
        assert built.problem == "it was killed by signal 9, which the kernel sends where memory is short"
