"""Where lkhub is installed on this machine."""

import os
import pwd
import sys
from pathlib import Path
from typing import get_args

from lkhub.host.engine import bundled_engine
from lkhub.plan.installation import AGENTS_VARIABLE, AgentsRun, Installation
from lkhub.plan.users import FIRST_UID, UIDS


def find_installation(state: str, spec: str | None) -> Installation:
    """This machine's installation. `state` is the state directory, `spec` the path of the spec (None: the defaults, in
    the current folder)."""
    path = os.path.abspath(spec) if spec else ""
    return Installation(
        engine=bundled_engine(),
        python=sys.executable,
        state=os.path.abspath(state),
        folder=os.path.dirname(path) or os.getcwd(),
        user=_name_user(),
        spec=path,
        agents=read_agents_run(),
        low_uids=_has_low_uids_alone(),
    )


def read_agents_run() -> AgentsRun:
    """How the agents of a hub run where this process is, as its unit or its container tells it."""
    known: tuple[AgentsRun, ...] = get_args(AgentsRun)
    return next((each for each in known if each == os.environ.get(AGENTS_VARIABLE)), "here")


def _has_low_uids_alone(table: Path = Path("/proc/self/uid_map")) -> bool:
    """Whether the kernel knows no users with the numbers that agents and builds get: it refuses them where root is
    another user outside, as in an unprivileged container of LXC."""
    try:
        rows = [[int(word) for word in line.split()] for line in table.read_text().splitlines()]
    except OSError:  # not Linux
        return False
    return not any(first <= FIRST_UID and first + count >= FIRST_UID + UIDS for first, _, count in rows)


def _name_user() -> str:
    # Not getpass, which believes LOGNAME and USER: agents get users of their own where the hub is root.
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:  # a uid without an entry, as in a container
        return str(os.geteuid())
