"""systemd as it runs on this machine: its version, and what `systemctl` does."""

import os
import re
import sys
from dataclasses import dataclass

from lkhub.errors import MachineError
from lkhub.firewall.table import Command
from lkhub.host import processes
from lkhub.host.as_root import as_root
from lkhub.host.commands import Done, has_program, run_command
from lkhub.host.files import user_name
from lkhub.plan.service import LOAD

# Present while systemd is the service manager of the machine (sd_booted(3)).
_BOOTED = "/run/systemd/system"

_RUNTIME = "/run/user"

# LoadCredential and ProtectProc are there since 247 (its NEWS); an older one would run the hub with fewer limits than
# the unit says, and warn in the journal alone.
OLDEST = 247

# `systemctl start` waits until the hub is ready, and `stop` for calls to end; both have limits in the unit.
UNIT_SECONDS = 8 * 24 * 3600.0


@dataclass(frozen=True)
class Systemd:
    """systemd of the machine, or (`of_user`) this user's own."""

    of_user: bool = False

    def require(self, unit_file: str, *typed: str) -> None:
        """Raise MachineError where it can't start the hub of this unit: it is not the service manager, or is too old.
        `typed` are the options of the `lkhub install` that needs it. Where the unit is there already, `lkhub up` is no
        way: a service refuses it."""
        is_service = os.path.exists(unit_file)
        if sys.platform == "darwin":
            raise MachineError(
                "macOS has no systemd, and lkhub does not put its daemon in place there",
                hints=("`lkhub render launchd -o .` writes it", f"`{LOAD}` starts it with the machine"),
            )
        if not runs_machine():
            raise MachineError(
                "systemd does not run this machine, so nothing would start the hub with it",
                hints=(
                    f"`lkhub install` where systemd runs {unit_file}, as outside this container or chroot"
                    if is_service
                    else "`lkhub up --detach` starts it now",
                    "`lkhub render --help` lists what other systems can take",
                ),
            )
        printed = run_command(Command(("systemctl", "--version"))).out
        version = int(match[1]) if (match := re.match(r"systemd (\d+)", printed)) else 0
        if version < OLDEST:
            raise MachineError(
                f"systemd {version or printed.strip()} is too old: the unit needs {OLDEST} of 2020, as in Debian 11",
                hints=(
                    "upgrade the system",
                    *(() if is_service else ("`lkhub up --detach` starts the hub without systemd",)),
                ),
            )
        if self.of_user:
            _require_own(f"`{as_root('install', *typed)}` makes the hub a service of the machine instead")

    def require_for_removal(self, unit_file: str) -> None:
        """Raise MachineError where it can't stop and remove a service. Any version can."""
        if not runs_machine():
            here = "macOS has no systemd" if sys.platform == "darwin" else "systemd does not run this machine"
            if os.path.exists(unit_file):
                raise MachineError(
                    f"{here}, so the service of {unit_file} can't be stopped and removed from here",
                    hints=("`lkhub uninstall` where systemd runs it, as outside this container or chroot",),
                )
            raise MachineError(
                f"{here}, so there is no service that `lkhub install` has made",
                hints=("`lkhub down` stops a hub that `lkhub up` has started",),
            )
        if self.of_user:
            _require_own()

    def run(self, *arguments: str) -> str:
        """Run `systemctl`; its output. Raises MachineError with what it said."""
        done = self.ask(*arguments)
        if done.code != 0:
            raise MachineError(f"`{' '.join(self._words(*arguments))}` failed: {done.said}")
        return done.out

    def ask(self, *arguments: str) -> Done:
        """Run `systemctl`, which answers by its exit code too."""
        return run_command(Command(self._words(*arguments)), UNIT_SECONDS)

    def _words(self, *arguments: str) -> tuple[str, ...]:
        return ("systemctl", *(("--user",) if self.of_user else ()), *arguments)

    def is_active(self, unit: str) -> bool:
        """Whether the unit runs, and can be reloaded."""
        return self._show(unit, "ActiveState") in ("active", "reloading")

    def is_starting(self, unit: str) -> bool:
        """Whether the unit is on its way up, also after a failure."""
        return self._show(unit, "ActiveState") in ("activating", "reloading")

    def is_stopped(self, unit: str) -> bool:
        """Whether the unit does not run, and nothing is to start it before somebody does. One that failed is not."""
        return self._show(unit, "ActiveState") == "inactive"

    def is_disabled(self, unit: str) -> bool:
        """Whether somebody has seen to it that the unit does not start with the machine."""
        return self.ask("is-enabled", unit).out.strip() == "disabled"

    def find_main(self, unit: str) -> int:
        """The pid of the unit's main process; 0 where none runs."""
        return int(self._show(unit, "MainPID") or 0)

    def find_start(self, unit: str) -> float | None:
        """When the unit's main process was started, in epoch seconds; None where none runs."""
        pid = self.find_main(unit)
        return processes.find_start(pid) if pid else None

    def _show(self, unit: str, name: str) -> str:
        return self.ask("show", f"--property={name}", "--value", unit).out.strip()


def runs_machine() -> bool:
    """Whether systemd is there: it is not in most containers, also where they have the units of a machine."""
    return os.path.isdir(_BOOTED) and has_program("systemctl")


def _require_own(*instead: str) -> None:
    """Raise MachineError where this user's own systemd can't be reached. `instead`: hints at another way."""
    uid = os.geteuid()
    if os.path.isdir(f"{_RUNTIME}/{uid}"):
        # A shell of `su` does not have the variable, or has another user's.
        os.environ["XDG_RUNTIME_DIR"] = f"{_RUNTIME}/{uid}"
    done = Systemd(of_user=True).ask("show", "--property=Version", "--value")
    if done.code == 0:
        return
    user = user_name(uid)
    hint = f"`systemctl status user@{uid}` shows why"
    if not os.path.isdir(f"{_RUNTIME}/{uid}"):
        hint = f"`sudo loginctl enable-linger {user}` starts it, now and with the machine"
    raise MachineError(
        f"the systemd of {user}'s own, which runs a hub of that user, does not answer: {done.said}",
        hints=(hint, *instead),
    )
