"""`lkhub render launchd`: a daemon of macOS that runs a hub, with the paths of the machine where this is typed.

Keys are those of launchd.plist(5). It was never loaded on a Mac.
"""

import plistlib

from lkhub.errors import InputError
from lkhub.plan.model import Plan
from lkhub.plan.service import DAEMON, RESTART_SECONDS, limit_stop
from lkhub.render.files import RenderedFile
from lkhub.render.targets.target import Given, Target

_COMMENT = "<!-- Written by lkhub, and never loaded on a Mac by its authors. -->"


def render_launchd(plan: Plan) -> RenderedFile:
    """The daemon of a hub of this installation. InputError where it could not start."""
    installation = plan.installation
    if not installation.spec:
        raise InputError("there is no spec that a daemon could read", hints=("`lkhub init` writes a hub.yaml",))
    if named := [str(secret.variable) for secret in plan.secrets if secret.variable]:
        raise InputError(
            f"the spec refers to the environment ({', '.join(named)}), and every user may read a daemon's variables",
            hints=("write {file: PATH} for that secret",),
        )
    log = plan.paths.log("hub")
    command = (installation.python, "-P", "-m", "lkhub", "up", "--spec", installation.spec)
    job = {
        "Label": "lkhub",
        "UserName": installation.user,
        "ProgramArguments": [*command, "--state", installation.state],
        "WorkingDirectory": installation.folder,
        # At boot, and after every failure; `lkhub down` is none.
        "KeepAlive": {"SuccessfulExit": False},
        "ThrottleInterval": RESTART_SECONDS,
        # Then launchd kills the supervisor.
        "ExitTimeOut": limit_stop(plan.drain),
        # A supervisor that is killed leaves its processes and their calls running, and the next one adopts them.
        "AbandonProcessGroup": True,
        # Otherwise macOS slows down what it takes for work in the background.
        "ProcessType": "Interactive",
        "Umask": 0o077,
        "StandardOutPath": log,
        "StandardErrorPath": log,
    }
    head, rest = plistlib.dumps(job, sort_keys=False).decode().split("\n", 1)
    return RenderedFile(DAEMON, f"{head}\n{_COMMENT}\n{rest}", 0o644)


def _render(plan: Plan, _: Given, __: str | None) -> tuple[RenderedFile, ...]:
    return (render_launchd(plan),)


LAUNCHD = Target(
    "launchd",
    "the daemon of macOS that runs the lkhub which is typed, with its paths; it was never loaded on a Mac.",
    _render,
    starts=True,
)
