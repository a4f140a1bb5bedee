"""Raising the limit of open files, where the hub gets it from. Pure."""

import shlex

from lkhub.findings.finding import Fix
from lkhub.plan.host import RunsIn

# Room for a thousand people in calls.
FILES = 65536

SOMEHOW = RunsIn()


def more_files(runs_in: RunsIn = SOMEHOW) -> tuple[Fix, ...]:
    """What lets the hub's processes open more files. They have the limit of what started the supervisor, so that it has
    to be started anew."""
    if runs_in.container:
        return (
            Fix(
                "the hub runs in a container, which has the limit: start that anew with "
                f"--ulimit nofile={FILES}:{FILES} (docker run, podman run), or in a compose file with "
                f"`ulimits: {{nofile: {FILES}}}`"
            ),
        )
    if runs_in.unit:
        user, sudo = ("--user ", "") if runs_in.user_unit else ("", "sudo ")
        unit = shlex.quote(runs_in.unit)
        return (
            Fix(
                f"write LimitNOFILE={FILES} below [Service] of the unit that the hub runs in",
                f"{sudo}systemctl {user}edit {unit}",
            ),
            Fix("and start that unit anew", f"{sudo}systemctl {user}restart {unit}"),
        )
    # Only root may raise a hard limit.
    raise_it = f"ulimit -Hn {FILES}" if runs_in.is_root else f"sudo prlimit --pid $$ --nofile={FILES}"
    return (
        Fix("raise the limit in the shell that the hub is started from", raise_it),
        Fix("and start the hub anew from that shell", "lkhub down && lkhub up --detach"),
        Fix(f"in a systemd unit it is LimitNOFILE={FILES}, in a container --ulimit nofile={FILES}:{FILES}"),
    )
