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

# The service of a user's own systemd. What is below it, that user has made, and has named at will.
_OF_USER = re.compile(r"user@[0-9]+\.service")

# A name that systemd takes (VALID_CHARS of its basic/unit-name.c), but none that systemctl would take for an option.
_SERVICE = re.compile(r"(?!-)[A-Za-z0-9:_.\\@-]{1,247}\.service")

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
        unit, user_unit, in_container = read_cgroup(os.fsdecode((proc / "cgroup").read_bytes()))
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
    """Systemd unit, whether it or what it is instead was made by a user's own systemd, and container, of a
    /proc/PID/cgroup. The session of a logged-in user is not a unit that could be stopped.

    Of several units in a path, the first one is systemd's: below a service are the groups that its own processes have
    made (systemd's CGROUP_DELEGATION.md), under any names. `text` is as the kernel wrote it: a name may have a carriage
    return, which Python would read as the end of a line."""
    container = _CONTAINER.search(text)
    unit, of_user = "", False
    for found in _UNIT.finditer(text):
        services = [part for part in found["path"].split("/") if part.endswith(".service")]
        if not services:
            continue
        of_user = _OF_USER.fullmatch(services[0]) is not None
        unit = next(iter(services[of_user:]), "")
        break
    return unit if _SERVICE.fullmatch(unit) else "", of_user, container["id"] if container else ""
