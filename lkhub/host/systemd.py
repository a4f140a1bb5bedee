"""systemd as it runs on this machine: its version, and what `systemctl` does."""

import os
import re

from lkhub.errors import MachineError
from lkhub.firewall.table import Command
from lkhub.host import processes
from lkhub.host.commands import Done, has_program, run_command

# Present while systemd is the service manager of the machine (sd_booted(3)).
_BOOTED = "/run/systemd/system"

# LoadCredential and ProtectProc are there since 247 (its NEWS); an older one would run the hub with fewer limits than
# the unit says, and warn in the journal alone.
OLDEST = 247

# `systemctl start` waits until the hub is ready, and `stop` for calls to end; both have limits in the unit.
UNIT_SECONDS = 8 * 24 * 3600.0


def require_systemd() -> None:
    """Raise MachineError where systemd is not the service manager, or is too old."""
    if not os.path.isdir(_BOOTED) or not has_program("systemctl"):
        raise MachineError(
            "systemd does not run this machine, so nothing would start the hub with it",
            hints=("`lkhub up --detach` starts it now", "`lkhub render --help` lists what other systems can take"),
        )
    printed = run_command(Command(("systemctl", "--version"))).out
    version = int(match[1]) if (match := re.match(r"systemd (\d+)", printed)) else 0
    if version < OLDEST:
        raise MachineError(
            f"systemd {version or printed.strip()} is too old: the unit needs {OLDEST} of 2020, as in Debian 11",
            hints=("upgrade the system", "`lkhub up --detach` starts the hub without systemd"),
        )


def systemctl(*arguments: str) -> str:
    """Run `systemctl`; its output. Raises MachineError with what it said."""
    done = try_systemctl(*arguments)
    if done.code != 0:
        raise MachineError(f"`systemctl {' '.join(arguments)}` failed: {done.said}")
    return done.out


def try_systemctl(*arguments: str) -> Done:
    """Run `systemctl`, which answers by its exit code too."""
    return run_command(Command(("systemctl", *arguments)), UNIT_SECONDS)


def is_active(unit: str) -> bool:
    """Whether the unit runs, and can be reloaded."""
    return try_systemctl("show", "--property=ActiveState", "--value", unit).out.strip() in ("active", "reloading")


def find_main(unit: str) -> int:
    """The pid of the unit's main process; 0 where none runs."""
    return int(try_systemctl("show", "--property=MainPID", "--value", unit).out.strip() or 0)


def find_start(unit: str) -> float | None:
    """When the unit's main process was started, in epoch seconds; None where none runs."""
    pid = find_main(unit)
    return processes.find_start(pid) if pid else None
