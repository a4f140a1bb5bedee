"""Starts a process as its plan says."""

import os
import shutil
import subprocess

from lkhub.errors import MachineError
from lkhub.host import processes
from lkhub.host.engine import require_engine
from lkhub.host.environ import tool_environ
from lkhub.host.variables import resolve_variables
from lkhub.plan.process import Fingerprint, ProcessPlan
from lkhub.supervise.left import make_mark
from lkhub.supervise.shared import Shared


def require_program(plan: ProcessPlan) -> None:
    """Raise MachineError if the program of a process is missing."""
    if plan.engine:
        require_engine(plan.argv[0])
    elif shutil.which(plan.argv[0]) is None:
        raise MachineError(f"the program of {plan.name}, {plan.argv[0]}, is missing")


def spawn(plan: ProcessPlan, fingerprint: Fingerprint, shared: Shared, *, needs_log: bool) -> subprocess.Popen[bytes]:
    """Start a process. Raises MachineError if this machine refuses it, and with `needs_log` also if its log can't be
    written."""
    descriptors = shared.held.open(plan.listens)
    argv = [*plan.argv, *(word for number in descriptors for word in ("--listen-fd", str(number)))]
    control = shared.held.open_control(plan.health.socket) if plan.health.socket else None
    if control is not None:
        argv += ["--control-fd", str(control)]
        descriptors.append(control)
    try:
        variables = resolve_variables(plan.variables, shared.environ)
    except MachineError as error:
        raise MachineError(f"can't start {plan.name}: {error.message}") from error
    # A program of another user must not read the supervisor's environment.
    ours = tool_environ() if plan.user else processes.child_environ()
    environ = {**ours, **variables, **make_mark(shared.paths, plan, fingerprint)}
    to = {"folder": plan.folder, "user": plan.user}
    try:
        return processes.start(argv, shared.paths.log(plan.name), environ, descriptors, **to)
    except processes.UnwritableLogError as error:
        if needs_log:
            raise
        # A full or failing disk must not end the calls of a running hub.
        popen = processes.start(argv, os.devnull, environ, descriptors, **to)
        shared.say(f"{plan.name} runs without a log: {error.message}")
        return popen
