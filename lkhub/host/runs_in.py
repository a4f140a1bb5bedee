"""What started a process, and what it runs in, from Linux's own files."""

import os
import re
from pathlib import Path

from lkhub.errors import MachineError
from lkhub.firewall.table import Command
from lkhub.host.commands import has_program, run_command
from lkhub.host.files import user_name
from lkhub.plan.container import CONTAINED, SECRETS
from lkhub.plan.host import RunsIn

# cgroups(7): the line of the unified hierarchy, or of systemd's own in the old one, names the unit at its end.
_UNIT = re.compile(r"^(?:0:|\d+:name=systemd):(?P<path>/.*)$", re.MULTILINE)
_CONTAINER = re.compile(r"(?:docker|libpod|cri-containerd|crio)[-/](?P<id>[0-9a-f]{12})[0-9a-f]{52}")

# What Docker, Podman and systemd-nspawn put into a container, for programs that ask.
_MARKS = (".dockerenv", "run/.containerenv", "run/systemd/container")

# One file for each user whose own systemd starts with the machine and outlives the last login (loginctl(1)).
_LINGER = "var/lib/systemd/linger"

# Present while systemd is the service manager of the machine (sd_booted(3)).
_BOOTED = "run/systemd/system"

# systemd answers within milliseconds.
_ASK_SECONDS = 1.0


def read_runs_in(pid: int, root: Path = Path("/")) -> RunsIn:
    """What the supervisor `pid` runs in. A unit counts where this is its main process: a login shell may be part of a
    unit, too."""
    proc = root / "proc" / str(pid)
    try:
        unit, user_unit, in_container = read_cgroup((proc / "cgroup").read_text())
        uid = proc.stat().st_uid
        is_root = uid == 0
    except OSError:
        return RunsIn()
    if in_container:
        return RunsIn(container=True, is_root=is_root)
    if unit and _main_pid(unit, user_unit) == pid:
        logged_in = user_name(uid) if user_unit and not (root / _LINGER / user_name(uid)).exists() else ""
        return RunsIn(unit, user_unit, is_root=is_root, logged_in=logged_in)
    container = any((root / mark).exists() for mark in _MARKS)
    return RunsIn(container=container, is_root=is_root, no_systemd=not container and not (root / _BOOTED).is_dir())


def is_in_image() -> bool:
    """Whether this process is in a container of our own image, which has neither sudo nor the machine's firewall."""
    found = (os.environ.get("LKHUB_STATE"), os.environ.get("CREDENTIALS_DIRECTORY"))
    return found == (CONTAINED.state, SECRETS)


def _main_pid(unit: str, user_unit: bool) -> int | None:
    if not has_program("systemctl"):
        return None
    words = ("--user",) if user_unit else ()
    try:
        done = run_command(Command(("systemctl", *words, "show", "-p", "MainPID", "--value", unit)), _ASK_SECONDS)
        return int(done.out)
    except (MachineError, ValueError):
        return None


def read_cgroup(text: str) -> tuple[str, bool, str]:
    """Systemd unit, whether the user's own systemd runs it, and container, of a /proc/PID/cgroup. The session of a
    logged-in user is not a unit that could be stopped."""
    container = _CONTAINER.search(text)
    for found in _UNIT.finditer(text):
        parts = found["path"].split("/")
        units = [part for part in parts if part.endswith(".service")]
        # Units of a user's own systemd are below user@UID.service.
        if units and not units[-1].startswith("user@"):
            return units[-1], any(part.startswith("user@") for part in parts), container["id"] if container else ""
    return "", False, container["id"] if container else ""
