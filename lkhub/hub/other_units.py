"""The units beside the hub's own, of agents and of builds of web sites: what `lkhub install` does with them."""

import os
from collections.abc import Collection
from fnmatch import fnmatch
from pwd import getpwnam

from lkhub.host.acting import acting_as_owner
from lkhub.host.files import DIR_MODE, explain_os_errors
from lkhub.host.given import ensure_given_dir
from lkhub.host.systemd import Systemd
from lkhub.hub.progress import Progress
from lkhub.hub.unit import list_other_units, remove_unit
from lkhub.plan.model import Plan
from lkhub.plan.service import AGENT_UNITS, Service


def make_folders(plan: Plan) -> None:
    """Make the folders that agents and builds get, as the hub's user. A unit does not start where its folder is
    missing, and at the first start of the hub the other units start before it. Raises MachineError."""
    root = plan.paths.root
    with explain_os_errors(root, "create"):
        if not os.path.isdir(root):
            known = getpwnam(plan.installation.user)
            os.mkdir(root, DIR_MODE)
            os.chown(root, known.pw_uid, known.pw_gid)
    agents = (agent.given for agent in plan.agents if agent.given)
    with acting_as_owner(root):
        for folder in (*agents, *map(plan.paths.for_site, plan.sites_given_out)):
            ensure_given_dir(folder)


def start_others(systemd: Systemd, units: Collection[str], outdated: Collection[str], progress: Progress) -> None:
    """Start the units beside the hub's own that don't run, and start those `outdated` anew that run by another unit.
    The hub runs, and none of this is waited for: an agent that is in a call finishes it. Raises MachineError."""
    if units:
        progress.tell(f"starting {', '.join(units)}")
    for unit in units:
        how = "restart" if unit in outdated and systemd.is_active(unit) else "start"
        systemd.run(how, "--no-block", unit)


def remove_others(
    service: Service, systemd: Systemd, progress: Progress, kept: Collection[str], *, now: bool = False
) -> None:
    """Stop and remove the units of agents and of builds whose names are not in `kept`. Without `now` an agent that is
    in a call may finish it. Raises MachineError."""
    for path in list_other_units(service):
        name = os.path.basename(path)
        if name in kept:
            continue
        if now:
            systemd.ask("kill", "--signal=SIGKILL", name)
        elif fnmatch(name, AGENT_UNITS) and systemd.is_active(name):
            progress.tell(f"stopping {name}, which may finish its calls (`lkhub install --now` does not wait)")
        systemd.ask("stop", name)
        remove_unit(path, service.units)
        systemd.ask("reset-failed", name)
