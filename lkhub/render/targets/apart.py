"""What the units have in common that run other people's code beside the hub's own unit."""

from collections.abc import Iterator

from lkhub.plan.installation import Installation
from lkhub.render.targets.sandbox import AGENT_SANDBOX
from lkhub.render.targets.unit_text import Setting, escape, quote


def list_apart(installation: Installation, user: str, given: str, mounted: str, command: str) -> Iterator[Setting]:
    """The service settings of a unit that runs the command `command` of lkhub as a user without an account, in a
    sandbox. Of the hub's files it sees the folder `given`, at `mounted`."""
    yield "Type", "notify"
    yield "NotifyAccess", "main"
    yield "DynamicUser", "yes"
    yield "User", user
    yield "BindReadOnlyPaths", f"{escape(given)}:{mounted}"
    yield "InaccessiblePaths", f"-{escape(installation.state)} -{escape(installation.folder)}"
    yield "ExecStart", f"{quote(installation.python)} -P -m lkhub {command}"
    # An lkhub that does not know the command, since an earlier version was installed over this one.
    yield "RestartPreventExitStatus", 2
    yield "OOMPolicy", "continue"
    yield from AGENT_SANDBOX
