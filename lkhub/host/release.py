"""Copies of another lkhub than the one that runs, each beside it in a folder of its own."""

import os
import re
import sys
from collections.abc import Iterable
from importlib.metadata import Distribution, PackageNotFoundError

from lkhub.errors import MachineError
from lkhub.firewall.table import Command
from lkhub.host.commands import Done, run_command
from lkhub.host.files import require_room
from lkhub.host.programs import copy_distribution, find_needed, make_copy, require_environment
from lkhub.host.temporary import temporary_folder
from lkhub.host.wheel import Wheel, unpack_wheel

# A slow line, and a package that has no wheel for this machine.
PIP_SECONDS = 1800.0

# What tells pip where its packages are, and how to get there (pip's documentation, "Configuration"). Others, such as
# PIP_TARGET, would have it install elsewhere or something else.
_PIPS = re.compile(
    r"PIP_(CONFIG_FILE|(EXTRA_)?INDEX_URL|NO_INDEX|FIND_LINKS|TRUSTED_HOST|CERT|CLIENT_CERT|PROXY|KEYRING_PROVIDER"
    r"|(DEFAULT_)?TIMEOUT|RETRIES|RESUME_RETRIES|(NO_)?CACHE_DIR|CONSTRAINT|ONLY_BINARY|NO_BINARY|PREFER_BINARY|PRE"
    r"|USE_FEATURE|USE_DEPRECATED)"
    r"|(https?|no|all)_proxy|XDG_CONFIG_(HOME|DIRS)|REQUESTS_CA_BUNDLE|NETRC",
    re.IGNORECASE,
)

# How many of pip's errors are told. It names the versions that there are in the one before the last.
_LAST = 2

_NAME = "from lkhub.host.programs import name_build; print(name_build())"


def copy_wheel(wheel: Wheel, parent: str, *, for_all: bool = True) -> str:
    """Make a copy of the lkhub in a wheel in the folder `parent`, and return its path. What it needs is taken from the
    lkhub that runs; only where that lacks something, pip gets it from where it gets packages. Raises HubError."""
    needed = find_needed(wheel.requires)
    if needed.unmet:
        return _copy_from_pip(wheel.path, parent, for_all=for_all, unmet=needed.unmet)

    def fill(packages: str) -> None:
        for each in needed.met:
            copy_distribution(each, packages)
        unpack_wheel(wheel, packages)

    return make_copy(parent, fill, ask_name, for_all=for_all)


def copy_version(version: str, parent: str, *, for_all: bool = True) -> str:
    """Make a copy of the lkhub of this version, which pip gets from where it gets packages. Raises MachineError."""
    return _copy_from_pip(f"lkhub=={version}", parent, for_all=for_all)


def ask_name(folder: str) -> str:
    """The name that the lkhub in a copy gives itself (`name_build`). Raises MachineError."""
    done = run_command(Command((f"{folder}/bin/python", "-P", "-c", _NAME)))
    name = done.out.strip()
    if done.code != 0 or not re.fullmatch(r"[0-9][0-9A-Za-z.+]*-[0-9a-f]{8}", name):
        raise MachineError(f"the new lkhub does not say which build it is: {done.said}")
    return name


def _copy_from_pip(wanted: str, parent: str, *, for_all: bool, unmet: Iterable[str] = ()) -> str:
    with temporary_folder("lkhub-pip-") as folder:
        # By the same Python as the copy, or compiled modules would not fit.
        python = os.path.realpath(sys.executable)
        made = run_command(Command((python, "-I", "-m", "venv", folder)), PIP_SECONDS)
        require_environment(made, folder)
        # -I: no module is taken from the working folder.
        pip = (f"{folder}/bin/python", "-I", "-m", "pip")
        argv = (*pip, "install", "--disable-pip-version-check", "--no-input", wanted)
        environ = {name: value for name, value in os.environ.items() if _PIPS.fullmatch(name)}
        done = run_command(Command(argv), PIP_SECONDS, environ=environ)
        if done.code != 0:
            require_room(folder)
            lacks = f" (it needs {', '.join(unmet)}, which is not here)" if unmet else ""
            hint = "`pip config list` shows where it looks; PIP_INDEX_URL names another place"
            raise MachineError(f"pip can't install {os.path.basename(wanted)}{lacks}: {_explain(done)}", hints=(hint,))
        asked = Command((f"{folder}/bin/python", "-I", "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"))
        site = run_command(asked).out.strip()

        def find(name: str) -> Distribution:
            for found in Distribution.discover(name=name, path=[site]):
                return found
            raise PackageNotFoundError(name)

        def fill(packages: str) -> None:
            needed = find_needed(["lkhub"], find)
            if needed.unmet:
                hint = "`pip config list` shows whether a setting such as `install.target` leads it elsewhere"
                missing = ", ".join(needed.unmet)
                raise MachineError(f"pip says that it has installed lkhub, but {missing} is not there", hints=(hint,))
            for each in needed.met:
                copy_distribution(each, packages)

        return make_copy(parent, fill, ask_name, for_all=for_all)


def _explain(done: Done) -> str:
    """What pip says last, such as which versions there are: before that it tells what it tried."""
    errors = [line.removeprefix("ERROR: ") for line in done.err.splitlines() if line.startswith("ERROR: ")]
    return "; ".join(errors[-_LAST:]) or done.said
