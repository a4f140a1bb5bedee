"""Where lkhub is installed on this machine."""

import getpass
import os
import sys

from lkhub.host.engine import bundled_engine
from lkhub.plan.installation import Installation


def find_installation(state: str, folder: str) -> Installation:
    """This machine's installation. `state` is the state directory, `folder` the spec's folder."""
    return Installation(
        engine=bundled_engine(),
        python=sys.executable,
        state=os.path.abspath(state),
        folder=folder,
        user=_name_user(),
    )


def _name_user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a uid without an entry, as in a container
        return str(os.getuid())
