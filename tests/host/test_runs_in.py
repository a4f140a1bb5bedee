"""What a hub was started by, from files as Linux has them."""

import os
from pathlib import Path

import pytest

from lkhub.errors import MachineError
from lkhub.firewall.table import Command
from lkhub.host import runs_in
from lkhub.host.commands import Done
from lkhub.host.files import user_name
from lkhub.host.runs_in import read_runs_in
from lkhub.plan.host import RunsIn

PID = 7
LINGER = "var/lib/systemd/linger"
UNIT = "0::/system.slice/lkhub.service\n"
ID = "0123456789ab" * 5 + "cdef"


@pytest.fixture
def systemd(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What `systemctl` says of main processes, by unit."""
    mains: dict[str, str] = {}

    def run(command: Command, seconds: float) -> Done:
        user = "--user " if "--user" in command.argv else ""
        main = mains.get(user + command.argv[-1])
        if main is None:
            raise MachineError("systemctl did not run to its end")
        return Done(0, main + "\n", "")

    monkeypatch.setattr(runs_in, "run_command", run)
    monkeypatch.setattr(runs_in, "has_program", lambda name: name == "systemctl")
    return mains


def read(root: Path, cgroup: str, *marks: str) -> RunsIn:
    folder = root / f"proc/{PID}"
    folder.mkdir(parents=True)
    (folder / "cgroup").write_text(cgroup)
    (root / "run/systemd/system").mkdir(parents=True)
    for mark in marks:
        (root / mark).parent.mkdir(parents=True, exist_ok=True)
        (root / mark).write_text("")
    return read_runs_in(PID, root)


OWNED = os.geteuid() == 0
SELF = user_name(os.geteuid())


@pytest.mark.parametrize(
    ("cgroup", "marks", "mains", "expected"),
    [
        (UNIT, (), {"lkhub.service": "7"}, RunsIn("lkhub.service", is_root=OWNED)),
        # A unit that it is not the main process of: a shell behind cron or sshd; and a systemctl that does not answer.
        ("0::/system.slice/ssh.service\n", (), {"ssh.service": "600"}, RunsIn(is_root=OWNED)),
        (UNIT, (), {}, RunsIn(is_root=OWNED)),
        (UNIT, (), {"lkhub.service": "[not set]"}, RunsIn(is_root=OWNED)),
        (
            "0::/user.slice/user-1000.slice/user@1000.service/app.slice/lkhub.service\n",
            (),
            {"--user lkhub.service": "7"},
            RunsIn("lkhub.service", user_unit=True, is_root=OWNED, logged_in=SELF),
        ),
        ("0::/user.slice/user-1000.slice/session-3.scope\n", (), {}, RunsIn(is_root=OWNED)),
        (f"0::/system.slice/docker-{ID}.scope\n", (), {}, RunsIn(container=True, is_root=OWNED)),
        ("0::/\n", (".dockerenv",), {}, RunsIn(container=True, is_root=OWNED)),
        ("0::/\n", ("run/.containerenv",), {}, RunsIn(container=True, is_root=OWNED)),
        # A unit in a container that systemd runs in is where its limit is.
        (UNIT, ("run/systemd/container",), {"lkhub.service": "7"}, RunsIn("lkhub.service", is_root=OWNED)),
        ("0::/\n", (), {}, RunsIn(is_root=OWNED)),
    ],
)
def test_what_started_it_is_read(
    tmp_path: Path,
    systemd: dict[str, str],
    cgroup: str,
    marks: tuple[str, ...],
    mains: dict[str, str],
    expected: RunsIn,
) -> None:
    systemd |= mains
    assert read(tmp_path, cgroup, *marks) == expected


def test_user_whose_own_systemd_goes_on_need_not_be_logged_in(tmp_path: Path, systemd: dict[str, str]) -> None:
    systemd["--user lkhub.service"] = "7"
    found = read(
        tmp_path, "0::/user.slice/user-1000.slice/user@1000.service/app.slice/lkhub.service\n", f"{LINGER}/{SELF}"
    )
    assert (found.user_unit, found.logged_in) == (True, "")


def test_machine_without_proc_says_nothing(tmp_path: Path) -> None:
    assert read_runs_in(PID, tmp_path) == RunsIn()


@pytest.mark.parametrize(("mark", "told"), [("", True), (".dockerenv", False), ("run/systemd/system/x", False)])
def test_machine_without_systemd_is_told_from_a_container(tmp_path: Path, mark: str, told: bool) -> None:
    folder = tmp_path / f"proc/{PID}"
    folder.mkdir(parents=True)
    (folder / "cgroup").write_text("0::/\n")
    if mark:
        (tmp_path / mark).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / mark).touch()
    assert read_runs_in(PID, tmp_path).no_systemd == told
