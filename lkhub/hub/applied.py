"""The applied record of a hub, for commands that need one. Light to import: most commands need no more."""

import os

from lkhub.errors import ANOTHER, START, MachineError
from lkhub.host.control import is_served
from lkhub.plan.paths import StatePaths
from lkhub.state.applied import AppliedRecord, load_applied


def require_applied(paths: StatePaths) -> AppliedRecord:
    """The applied record. MachineError before the first `up`, and where a hub runs whose record is lost."""
    applied = load_applied(paths)
    if applied is None and is_served(paths.control):
        raise MachineError(
            f"a hub runs here, and {paths.applied} does not say which: its addresses and keys are not known",
            hints=("`lkhub up` writes it as soon as nobody is in a call, and `lkhub up --now` at once",),
        )
    if applied is None:
        raise MachineError(f"this hub has not been up yet: {describe_unknown(paths)}", hints=(START, ANOTHER))
    return applied


def describe_unknown(paths: StatePaths) -> str:
    """What shows that this state directory has no known hub."""
    if not os.path.lexists(paths.root):
        return f"{paths.root} does not exist"
    return f"{paths.root} has no record of a hub that can be read"
