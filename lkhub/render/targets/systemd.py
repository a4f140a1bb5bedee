"""`lkhub render systemd`: the unit that `lkhub install` puts in place.

Keys are those of systemd 247 (Debian 11) and later; each was seen to work with 252.
"""

from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath

from lkhub.plan.installation import AGENTS_VARIABLE
from lkhub.plan.model import Plan
from lkhub.plan.service import INSTALLED, RESTART_SECONDS, SYSTEM, UNIT, Service, limit_stop, name_unit
from lkhub.render.files import RenderedFile
from lkhub.render.targets.agent_units import render_agent_units
from lkhub.render.targets.sandbox import NO_NEW_CODE, SANDBOX, SANDBOX_OF_USER
from lkhub.render.targets.site_units import render_site_units
from lkhub.render.targets.target import Given, Target
from lkhub.render.targets.unit_text import Sections, Setting, escape, quote, write_unit
from lkhub.wire.site_build import name_site_process

# A busy machine may leave a process without a core for seconds. Calls go on without a supervisor.
WATCHDOG_SECONDS = 30

# A supervisor that is stopped can't drain. It is killed, its processes run on, and the next supervisor adopts them.
ABORT_SECONDS = 5

# Every address and candidate is looked up on this machine; a slow disk or a name server may take a while.
START_SECONDS = 120


def render_systemd(plan: Plan, service: Service = SYSTEM) -> RenderedFile:
    """The unit of a service; `plan` is for its installation."""
    return RenderedFile(UNIT, write_unit(list_sections(plan, service)), 0o644)


def list_sections(plan: Plan, service: Service = SYSTEM) -> Sections:
    """The sections of the unit with their settings, in their order."""
    wanted_by = "default.target" if service.of_user else "multi-user.target"
    return (
        ("Unit", tuple(_unit(plan, service))),
        ("Service", tuple(_service(plan, service))),
        ("Install", (("WantedBy", wanted_by),)),
    )


def _unit(plan: Plan, service: Service) -> Iterator[Setting]:
    yield "Description", f"LiveKit hub {plan.name}"
    # Without its addresses a hub does not start, and is tried again. With them it need not start twice. A user's own
    # systemd knows nothing of the machine's units.
    waited_for = "network-online.target"
    if plan.edge and plan.edge.tls.mode == "tailscale":
        waited_for += " tailscaled.service"
    if not service.of_user:
        agents = (name for agent in plan.agents if agent.given for name, _ in agent.processes)
        sites = map(name_site_process, plan.sites_given_out)
        yield "Wants", " ".join((waited_for, *map(name_unit, (*agents, *sites))))
        yield "After", waited_for
    # A port that is taken, or a disk that is full, may be free a minute later.
    yield "StartLimitIntervalSec", 0


def _service(plan: Plan, service: Service) -> Iterator[Setting]:
    installation = plan.installation
    # -P: no module is taken from the working folder.
    program = f"{quote(installation.python)} -P -m lkhub"
    where = f"--spec {quote(service.spec)} --state {quote(installation.state)}"
    yield "Type", "notify"
    yield "NotifyAccess", "main"
    if not service.of_user:
        yield "User", installation.user
        yield "Group", installation.user
        yield "StateDirectory", PurePosixPath(installation.state).name
        yield "StateDirectoryMode", "0700"
    if installation.agents_apart:
        yield "Environment", f"{AGENTS_VARIABLE}={installation.agents}"
    yield "WorkingDirectory", escape(installation.folder)
    yield "ExecStart", f"{program} up {where}"
    yield "ExecReload", f"{program} reload {where}"
    # A supervisor that is killed leaves its processes and their calls running, and the next one adopts them.
    yield "KillMode", "process"
    # One that hangs can't end its processes when the service is stopped.
    down = f"exec {program} down --now --state {quote(installation.state)}"
    yield "ExecStopPost", f"/bin/sh -c 'test \"$$SERVICE_RESULT\" != timeout || {down}'"
    yield "Restart", "on-failure"
    # After any failure, a fault of the spec too: an address that is not there yet is one.
    yield "RestartSec", RESTART_SECONDS
    # By default systemd stops the whole unit where the kernel has ended one of its processes for memory.
    yield "OOMPolicy", "continue"
    yield "WatchdogSec", WATCHDOG_SECONDS
    yield "TimeoutStartSec", START_SECONDS
    yield "TimeoutStopSec", limit_stop(plan.drain)
    yield "TimeoutAbortSec", ABORT_SECONDS
    # A hub of a user reads the user's files itself, and then each time anew.
    for name, file in plan.credentials.items() if not service.of_user else ():
        yield "LoadCredential", escape(f"{name}:{file}")
    if any(secret.variable for secret in plan.secrets):
        yield "EnvironmentFile", escape(service.environment)
    if not service.of_user:
        # For ports below 1024. Also where the spec has none: a supervisor without it could not see the processes of one
        # with it, which it has to adopt (ProtectProc).
        yield "AmbientCapabilities", "CAP_NET_BIND_SERVICE"
        yield "CapabilityBoundingSet", "CAP_NET_BIND_SERVICE"
    sandbox = SANDBOX_OF_USER if service.of_user else SANDBOX
    yield from (setting for setting in sandbox if not (setting[0] == NO_NEW_CODE and _runs_other_code(plan)))


def _runs_other_code(plan: Plan) -> bool:
    """Whether agents or builds of web sites run in this unit. What Node runs is compiled in memory."""
    return any(agent.in_hub for agent in plan.agents) or any(
        site.build and not site.build.given for site in (plan.edge.sites if plan.edge else ())
    )


def render_environment(values: Mapping[str, str]) -> str:
    """The text of an EnvironmentFile (systemd.exec(5))."""
    quoted = {name: value.replace("\\", "\\\\").replace('"', '\\"') for name, value in sorted(values.items())}
    return "".join(f'{name}="{value}"\n' for name, value in quoted.items())


def _render(plan: Plan, _: Given, __: str | None) -> tuple[RenderedFile, ...]:
    return (render_systemd(plan), *render_agent_units(plan), *render_site_units(plan))


SYSTEMD = Target(
    "systemd",
    "the units of a hub that starts with the machine, of its agents and of the builds of its sites, as `lkhub install` "
    "puts them in place.",
    _render,
    installation=INSTALLED,
    starts=True,
)
