"""Other programs of this machine, run to their end."""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from lkhub.errors import MachineError
from lkhub.firewall.table import Command
from lkhub.host.environ import tool_environ

# firewall-cmd takes two seconds on a slow machine, and waits for a firewalld that is loading.
COMMAND_SECONDS = 60

# Folders of programs for administrators, which are not on every user's PATH (Debian).
_ADMIN_FOLDERS = ("/usr/local/sbin", "/usr/sbin", "/sbin")


@dataclass(frozen=True)
class Done:
    """A command's exit code and output."""

    code: int
    out: str
    err: str

    @property
    def said(self) -> str:
        """The first line of the output, which explains a failure."""
        lines = [line.strip() for line in (self.err or self.out).splitlines() if line.strip()]
        return lines[0] if lines else f"exit code {self.code}"


def has_program(name: str) -> bool:
    """Whether this machine has the program."""
    return shutil.which(name, path=_search_path()) is not None


def _search_path() -> str:
    return os.pathsep.join([os.environ.get("PATH", os.defpath), *_ADMIN_FOLDERS])


def run_command(
    command: Command, seconds: float = COMMAND_SECONDS, *, environ: Mapping[str, str] = MappingProxyType({})
) -> Done:
    """Run a command. `environ`: further variables for it. Raises MachineError where it can't be run or does not end in
    time."""
    program = command.argv[0]
    try:
        process = subprocess.Popen(
            command.argv,
            # Its output is parsed, so it must be in English.
            env={**tool_environ(), **environ, "PATH": _search_path(), "LC_ALL": "C"},
            stdin=None if command.text is None else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
        )
        with process:
            try:
                out, err = process.communicate(command.text, seconds)
            except BaseException:
                _kill_with_children(process)
                raise
    except FileNotFoundError:
        raise MachineError(f"{program} is not on this machine") from None
    except (OSError, subprocess.TimeoutExpired) as error:
        raise MachineError(f"{program} did not run to its end: {error}") from error
    return Done(process.returncode, out, err)


def _kill_with_children(process: subprocess.Popen[str]) -> None:
    """What it has started, as compileall and pip do, would go on, and write where nothing is wanted any more."""
    # Imported here: it costs 11 ms, and most commands end by themselves.
    import psutil

    started = []
    with contextlib.suppress(psutil.Error):
        started = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    for each in started:
        with contextlib.suppress(psutil.Error):
            each.kill()
