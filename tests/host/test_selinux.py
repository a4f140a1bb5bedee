"""SELinux, as its file system and its programs show it."""

import os
import pty
import sys
import threading
import tty
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lkhub.firewall.table import Command
from lkhub.host import selinux
from lkhub.host.commands import Done


@pytest.mark.parametrize(("text", "enforces"), [("1", True), ("0", False), (None, False)])
def test_labels_are_restored_where_it_enforces_its_policy(
    text: str | None, enforces: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    enforce = tmp_path / "enforce"
    if text:
        enforce.write_text(text)
    ran: list[tuple[str, ...]] = []

    def run(command: Command) -> Done:
        ran.append(command.argv)
        return Done(0, "", "")

    monkeypatch.setattr(selinux, "_SELINUX", tmp_path)
    monkeypatch.setattr(selinux, "has_program", lambda _: True)
    monkeypatch.setattr(selinux, "run_command", run)
    assert selinux.is_enforcing() == enforces
    selinux.restore_labels("/opt/lkhub")
    assert ran == ([("restorecon", "-RF", "/opt/lkhub")] if enforces else [])


SYSTEMD = "system_u:system_r:init_t:s0"
HOME, PROGRAM = "unconfined_u:object_r:user_home_t:s0", "system_u:object_r:bin_t:s0"

# As the kernel numbers them; for systemd the policy of Fedora allows this of programs, and nothing of a home directory.
CLASSES = {"file": 6, "lnk_file": 9}
RIGHTS = {"read": 2, "execute": 15}


@pytest.fixture
def policy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """A policy that answers as the kernel does, at a terminal in place of its file system. It is told its flags."""
    fs = tmp_path / "selinux"
    for kind, number in CLASSES.items():
        (fs / "class" / kind / "perms").mkdir(parents=True)
        (fs / "class" / kind / "index").write_text(str(number))
        for right, bit in RIGHTS.items():
            (fs / "class" / kind / "perms" / right).write_text(str(bit))
    (fs / "enforce").write_text("1")
    (tmp_path / "current").write_text(f"{SYSTEMD}\0")
    kernel, file = pty.openpty()
    tty.setraw(file)
    (fs / "access").symlink_to(os.ttyname(file))
    monkeypatch.setattr(selinux, "_SELINUX", fs)
    monkeypatch.setattr(selinux, "_SYSTEMD", tmp_path / "current")
    flags = "0"

    def answer() -> None:
        while (asked := os.read(kernel, 4096)) != b"end":
            who, label, number = asked.decode().split()
            assert who == SYSTEMD
            assert int(number) in CLASSES.values()
            allowed = "4002" if label == PROGRAM else "10"
            os.write(kernel, f"{allowed} ffffffff 0 ffffffff 3 {flags}".encode())

    def set_flags(wanted: str) -> None:
        nonlocal flags
        flags = wanted

    thread = threading.Thread(target=answer)
    thread.start()
    yield set_flags
    os.write(file, b"end")
    thread.join()
    os.close(kernel)
    os.close(file)


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """A copy of lkhub, with the label of each path; its Python is the machine's."""
    (tmp_path / "opt/1/bin").mkdir(parents=True)
    (tmp_path / "python3").touch()
    (tmp_path / "opt/current").symlink_to("1")
    (tmp_path / "opt/1/bin/python3").symlink_to("../../../python3")
    (tmp_path / "opt/1/bin/python").symlink_to("python3")
    labels = dict.fromkeys(("current", "current/bin/python", "current/bin/python3", "../python3"), PROGRAM)
    labels = {os.path.normpath(f"{tmp_path}/opt/{name}"): label for name, label in labels.items()}

    def read(path: str, name: str, *, follow_symlinks: bool) -> bytes:
        assert (name, follow_symlinks) == ("security.selinux", False)
        return f"{labels[path]}\0".encode()

    monkeypatch.setattr(os, "getxattr", read, raising=False)
    return labels


linux = pytest.mark.skipif(sys.platform != "linux", reason="SELinux is Linux's")


@linux
def test_policy_is_asked_what_systemd_may_run(
    tmp_path: Path, policy: Callable[[str], None], programs: dict[str, str]
) -> None:
    current = f"{tmp_path}/opt/current"

    def find() -> list[tuple[str, str]]:
        return selinux.find_denied(f"{current}/bin/python", current)

    assert find() == []
    for path in programs:
        programs[path] = HOME
        assert find() == [(path, HOME)]
        programs[path] = PROGRAM
    programs[current] = HOME
    policy("1")
    assert find() == [], "what is denied to a permissive domain is noted alone"


@linux
def test_nothing_is_said_where_the_policy_cannot_be_asked(
    tmp_path: Path, policy: Callable[[str], None], programs: dict[str, str]
) -> None:
    current = f"{tmp_path}/opt/current"
    programs[current] = HOME
    (tmp_path / "current").unlink()
    assert selinux.find_denied(f"{current}/bin/python", current) == []
    (tmp_path / "current").write_text(SYSTEMD)
    (tmp_path / "selinux/enforce").write_text("0")
    assert selinux.find_denied(f"{current}/bin/python", current) == []
