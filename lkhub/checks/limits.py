"""How to raise the limit of open files, in what the hub is started by. Pure."""

import shlex

from lkhub.findings.finding import Fix
from lkhub.plan.host import RunsIn

# Enough for a thousand people in calls.
FILES = 65536

# It is not known what the hub runs in.
UNKNOWN = RunsIn()


def more_files(runs_in: RunsIn = UNKNOWN) -> tuple[Fix, ...]:
    """What lets the hub's processes open more files. They inherit the limit of what started the supervisor, so the
    supervisor has to be started anew too."""
    if runs_in.container:
        return (
            Fix(
                "the hub runs in a container, which sets the limit: start the container anew with "
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
        Fix(f"if a systemd unit starts it: LimitNOFILE={FILES}; if a container: --ulimit nofile={FILES}:{FILES}"),
    )
