"""The units in which web sites are built: one for each site, beside the hub's own. Each is a user without an account,
in a sandbox, and gets what the hub gives out at a socket."""

from collections.abc import Iterator

from lkhub.plan.container import SITE_FOLDER, SITE_SCRATCH
from lkhub.plan.model import Plan
from lkhub.plan.service import UNIT, name_unit
from lkhub.render.files import RenderedFile
from lkhub.render.targets.apart import list_apart
from lkhub.render.targets.unit_text import Sections, Setting, write_unit
from lkhub.wire.site_build import name_site_process

# It ends after each build, and an operator may type `lkhub install` again at once.
_RESTART_SECONDS = 2

# As long as it may take to copy a project.
_WATCHDOG_SECONDS = 180

# A build that is stopped is made anew, so nothing waits for it.
_STOP_SECONDS = 10


def render_site_units(plan: Plan) -> tuple[RenderedFile, ...]:
    """A unit for each site whose build the hub gives out."""
    return tuple(
        RenderedFile(name_unit(name_site_process(name)), write_unit(list_site_sections(plan, name)), 0o644)
        for name in plan.sites_given_out
    )


def list_site_sections(plan: Plan, site: str) -> Sections:
    """The sections of the unit for the builds of a site."""
    return (("Unit", tuple(_unit(site))), ("Service", tuple(_service(plan, site))))


def _unit(site: str) -> Iterator[Setting]:
    yield "Description", f"Builds the web site {site} of the LiveKit hub"
    yield "PartOf", UNIT
    # The hub's folder for it may not be there yet.
    yield "StartLimitIntervalSec", 0


def _service(plan: Plan, site: str) -> Iterator[Setting]:
    given, command = plan.paths.for_site(site), f"run-build --given {SITE_FOLDER} --scratch {SITE_SCRATCH}"
    # systemd takes no name with more than 31 letters.
    yield from list_apart(plan.installation, f"lksite-{site}", given, SITE_FOLDER, command)
    # It ends after each build, and with it all that the build has started.
    yield "Restart", "always"
    yield "RestartSec", _RESTART_SECONDS
    yield "SuccessExitStatus", "SIGTERM 143"
    # A build can stop it by a signal, and would go on for ever.
    yield "WatchdogSec", _WATCHDOG_SECONDS
    yield "TimeoutStopSec", _STOP_SECONDS
    # Calls go first. The kernel divides its time between units before it looks at what is in them.
    yield "CPUWeight", 1
    yield "IOWeight", 1
