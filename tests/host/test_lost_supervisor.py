"""Who has the socket or the lock of a state directory that was removed."""

import os
import shlex
import shutil
import signal
import socket
import sys
from pathlib import Path

import pytest

from lkhub.host.lost_supervisor import _is_removed, find_holder_of_removed, find_listener
from tests.host.started import Run, who
from tests.waiting import wait_until


def test_holder_of_a_file_that_was_removed_is_found(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "lock"
    child = run(f'exec {sys.executable} -c \'import signal; file = open("{path}", "w"); signal.pause()\'')
    wait_until(path.exists, "the file")
    assert find_holder_of_removed(str(path)) is None
    path.unlink()
    wait_until(lambda: find_holder_of_removed(str(path)) == who(child), "its holder")


LISTENER = """
import os, signal, socket, sys
listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[1])
listener.listen()
os.rename(sys.argv[1], sys.argv[2])
signal.pause()
"""


def test_who_listens_at_a_path_is_found_wherever_the_file_is(run: Run, short_dir: Path) -> None:
    here, there = short_dir / "here", short_dir / "there"
    child = run(f'exec {sys.executable} -c \'{LISTENER}\' "$0" "$1"', str(here), str(there))
    wait_until(there.exists, "it is moved away")
    assert find_listener(str(here)) == who(child)
    assert find_listener(str(there)) is None, "it was bound elsewhere"
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(there))
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
        assert find_listener(str(here)) is None


@pytest.mark.parametrize("extra", [b"\xff", b"\r", b"\x0b", b" ", b"\n", b"\na b c zz e f g /a"])
def test_any_name_of_a_socket_may_stand_beside_the_one_that_is_looked_for(
    run: Run, short_dir: Path, extra: bytes
) -> None:
    here, there = short_dir / "here", short_dir / "there"
    child = run(f'exec {sys.executable} -c \'{LISTENER}\' "$0" "$1"', str(here), str(there))
    wait_until(there.exists, "it is moved away")
    with socket.socket(socket.AF_UNIX) as stranger:
        stranger.bind(b"\0x" + extra)
        assert find_listener(str(here)) == who(child)


def test_row_in_the_name_of_a_socket_leads_to_no_other_program(run: Run, short_dir: Path) -> None:
    here, there, wanted = short_dir / "here", short_dir / "there", short_dir / "wanted"
    run(f'exec {sys.executable} -c \'{LISTENER}\' "$0" "$1"', str(here), str(there))
    wait_until(there.exists, "it is moved away")
    [inode] = [row.split()[6] for row in Path("/proc/net/unix").read_text().splitlines() if row.endswith(f" {here}")]
    with socket.socket(socket.AF_UNIX) as stranger:
        stranger.bind(f"\0\n0: 2 0 00010000 1 1 {inode} {wanted}".encode())
        assert find_listener(str(wanted)) is None


OTHERS = """
import os, signal, socket, sys
made = socket.create_server(("127.0.0.1", 0)) if sys.argv[2] == "TCP" else socket.socket(socket.AF_UNIX)
with open(sys.argv[1], "w") as told:
    told.write(os.readlink(f"/proc/self/fd/{made.fileno()}"))
signal.pause()
"""


@pytest.mark.parametrize("kind", ["TCP", "of another network"])
def test_row_about_a_socket_that_is_not_listed_leads_to_no_program(run: Run, short_dir: Path, kind: str) -> None:
    """It is the only row with that number."""
    if kind != "TCP" and os.geteuid() != 0:
        pytest.skip("another network needs root")
    told, wanted = short_dir / "told", short_dir / "wanted"
    before = "" if kind == "TCP" else "unshare -n "
    run(f'exec {before}{sys.executable} -c \'{OTHERS}\' "$0" "$1"', str(told), kind)
    wait_until(lambda: told.exists() and told.read_text().endswith("]"), "it has a socket")
    inode = told.read_text().removeprefix("socket:[").removesuffix("]")
    with socket.socket(socket.AF_UNIX) as stranger:
        stranger.bind(f"\0\n0: 2 0 00010000 1 1 {inode} {wanted}".encode())
        assert find_listener(str(wanted)) is None


STRANGER = """
import os, signal, socket, sys
_, here, told, foreign = sys.argv
if foreign == "socket":
    os.seteuid(65534)
listener = socket.socket(socket.AF_UNIX)
listener.bind(here)
listener.listen()
os.seteuid(0)
open(told, "w").close()
if foreign == "process":
    os.setuid(65534)
signal.pause()
"""


as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can start a program as another user")


@as_root
@pytest.mark.parametrize("foreign", ["process", "socket", "neither"])
def test_program_or_socket_of_another_user_is_no_supervisor(run: Run, short_dir: Path, foreign: str) -> None:
    """Any user may have a folder of its own at the same path, and hand what listens there to any program."""
    (short_dir / "run").mkdir()
    (short_dir / "run").chmod(0o777)
    short_dir.chmod(0o755)
    here, told = short_dir / "run/here", short_dir / "told"
    child = run(f'exec {sys.executable} -c \'{STRANGER}\' "$0" "$1" "$2"', str(here), str(told), foreign)
    wait_until(told.exists, "it listens")
    uid = 65534 if foreign == "process" else 0
    wait_until(lambda: os.stat(f"/proc/{child.pid}").st_uid == uid, "it is that user")
    assert find_listener(str(here)) == (who(child) if foreign == "neither" else None)


THEIRS = """
import os, signal, socket, sys
_, run, told = sys.argv
if not os.path.exists(run):
    os.makedirs(run)
    os.chown(os.path.dirname(run), 65534, -1)
    os.chown(run, 65534, -1)
os.setuid(65534)
lock = open(f"{run}/lock", "w")
listener = socket.socket(socket.AF_UNIX)
listener.bind(f"{run}/here")
listener.listen()
os.write(os.open(told, os.O_WRONLY), b"listens")
signal.pause()
"""


@as_root
@pytest.mark.parametrize("folder", ["kept", "removed", "made again"])
def test_root_finds_the_supervisor_of_another_user(run: Run, short_dir: Path, folder: str) -> None:
    short_dir.chmod(0o755)
    state, told = short_dir / "state", short_dir / "told"
    here, lock = state / "run/here", state / "run/lock"
    told.touch(0o666)
    told.chmod(0o666)
    child = run(f'exec {sys.executable} -c \'{THEIRS}\' "$0" "$1"', str(state / "run"), str(told))
    wait_until(told.read_text, "it listens")
    if folder == "kept":
        here.unlink()
    else:
        shutil.rmtree(state)
    if folder == "made again":
        lock.parent.mkdir(parents=True)
        lock.touch()
    assert find_listener(str(here)) == who(child)
    assert find_holder_of_removed(str(lock)) == (None if folder == "kept" else who(child))


@as_root
def test_removed_lock_in_a_folder_that_a_user_has_mounted_leads_to_no_program(run: Run, short_dir: Path) -> None:
    """With that folder at the path of a state directory, and what it has opened there handed to a program outside."""
    short_dir.chmod(0o755)
    state, theirs, told = short_dir / "state", short_dir / "theirs", short_dir / "told"
    for folder in (state, theirs / "run"):
        folder.mkdir(parents=True)
    theirs.chmod(0o777)
    (theirs / "run").chmod(0o777)
    told.touch(0o666)
    told.chmod(0o666)
    script = f'mount --bind "$0" "$1" && exec {sys.executable} -c \'{THEIRS}\' "$1/run" "$2"'
    alone = ["unshare", "--mount", "--propagation", "private"]
    child = run(f'exec {shlex.join([*alone, "sh", "-c", script])} "$0" "$1" "$2"', *map(str, (theirs, state, told)))
    wait_until(told.read_text, "it listens")
    (theirs / "run/lock").unlink()
    [lock] = [each for each in Path(f"/proc/{child.pid}/fd").iterdir() if os.readlink(each).endswith("/lock (deleted)")]
    assert os.readlink(lock) == f"{state}/run/lock (deleted)"
    assert not _is_removed(lock, f"{state}/run/lock (deleted)")
    state.rmdir()
    assert find_holder_of_removed(f"{state}/run/lock") is None
    assert find_listener(f"{state}/run/here") is None
