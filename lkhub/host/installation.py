"""Where lkhub is installed on this machine."""

import os
import pwd
import sys

from lkhub.host.engine import bundled_engine
from lkhub.plan.installation import AGENTS_VARIABLE, APART, Installation


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
        agents_apart=os.environ.get(AGENTS_VARIABLE) == APART,
    )


def _name_user() -> str:
    # Not getpass, which believes LOGNAME and USER: agents get users of their own where the hub is root.
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:  # a uid without an entry, as in a container
        return str(os.geteuid())
