"""The units beside the hub's own, of agents and of builds of web sites: what `lkhub install` does with them."""

import contextlib
import os
from collections.abc import Collection
from fnmatch import fnmatch
from pwd import getpwnam

from lkhub.host.acting import acting_as_owner
from lkhub.host.files import DIR_MODE, FIXED_PLACE, explain_os_errors
from lkhub.host.given import ensure_given_dir
from lkhub.host.systemd import Systemd
from lkhub.hub.progress import Progress
from lkhub.hub.unit import is_older, list_other_units, remove_unit
from lkhub.plan.model import Plan
from lkhub.plan.service import AGENT_UNITS, Service


def make_folders(plan: Plan) -> None:
    """Make the folders that agents and builds get, as the hub's user. A unit does not start where its folder is
    missing, and at the first start of the hub the other units start before it. Raises MachineError."""
    root = plan.paths.root
    with explain_os_errors(root, "create", FIXED_PLACE):
        if not os.path.isdir(root):
            known = getpwnam(plan.installation.user)
            os.mkdir(root, DIR_MODE)
            os.chown(root, known.pw_uid, known.pw_gid)
    with acting_as_owner(root):
        for folder in _list_folders(plan):
            ensure_given_dir(folder)


def remove_folders(plan: Plan) -> None:
    """Remove the empty folders of agents and builds that the plan has not, as the hub's user. Their units have to be
    gone: one that has its folder mounted would not see another one of that name."""
    kept = set(_list_folders(plan))
    with acting_as_owner(plan.paths.root):
        for above in (plan.paths.for_agents, plan.paths.for_sites):
            for name in os.listdir(above) if os.path.isdir(above) else ():
                if (folder := f"{above}/{name}") not in kept:
                    with contextlib.suppress(OSError):  # what is not empty stays
                        os.rmdir(folder)


def _list_folders(plan: Plan) -> list[str]:
    agents = [agent.given for agent in plan.agents if agent.given]
    return [*agents, *map(plan.paths.for_site, plan.sites_given_out)]


def start_others(service: Service, systemd: Systemd, units: Collection[str], progress: Progress) -> None:
    """Start the units beside the hub's own that don't run, and start those anew that have been written since they were
    started. None of this is waited for: an agent that is in a call finishes it. Raises MachineError."""
    place = os.path.dirname(service.unit_file)
    if units:
        progress.tell(f"starting {', '.join(units)}")
    for unit in units:
        outdated = is_older(systemd.find_start(unit), [f"{place}/{unit}"])
        how = "restart" if outdated and systemd.is_active(unit) else "start"
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
