"""Which hub a command is about, and what is in force there. Light to import: most commands need no more."""

import os
from pathlib import Path
from typing import Any

from lkhub.cli.options import find_paths
from lkhub.errors import InputError, MachineError
from lkhub.plan.paths import StatePaths
from lkhub.supervise.applied import load_applied
from lkhub.supervise.control import is_served


def find_hub(spec: Path | None, state: Path | None) -> StatePaths:
    """The hub's state directory. InputError where a spec is given, and the hub runs by another."""
    paths = find_paths(state)
    applied = load_applied(paths)
    if spec is None or applied is None or applied["spec"] == str(spec.absolute()):
        return paths
    running = applied["spec"] or "no spec"
    raise InputError(
        f"the hub in {paths.root} runs by {running}, not by {spec}",
        hints=(f"`lkhub up --spec {spec}` makes it run by that", "--state names the directory of another hub"),
    )


def require_applied(paths: StatePaths) -> dict[str, Any]:
    """The record of what is in force. MachineError before the first `up`, and where the record of a hub that runs is
    lost."""
    applied = load_applied(paths)
    if applied is None and is_served(paths.control):
        raise MachineError(
            f"a hub runs here, and {paths.applied} does not say which: its addresses and keys are not known",
            hints=("`lkhub up` writes it as soon as nobody is in a call, and `lkhub up --now` at once",),
        )
    if applied is None:
        raise MachineError(f"this hub has not been up yet: {describe_unknown(paths)}", hints=(START, ANOTHER))
    return applied


START = "`lkhub up` starts it"
ANOTHER = "if another hub is meant, name its state directory: --state DIR, or LKHUB_STATE"


def describe_unknown(paths: StatePaths) -> str:
    """How it is seen that no hub is known in a state directory."""
    if not os.path.lexists(paths.root):
        return f"{paths.root} does not exist"
    return f"{paths.root} has no record of a hub that can be read"
