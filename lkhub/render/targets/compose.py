"""`lkhub render compose`: an image, and a compose file that runs it on the host's network."""

from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import TypeAlias

from lkhub import __version__
from lkhub.plan.container import (
    AGENT_FOLDER,
    CONTAINED,
    PROGRAMS,
    SITE_FOLDER,
    SITE_SCRATCH,
    UID,
    choose_agent_uid,
    choose_site_uid,
    name_agent_state,
)
from lkhub.plan.installation import AGENTS_VARIABLE
from lkhub.plan.model import AgentPlan, Plan
from lkhub.plan.service import limit_stop
from lkhub.render.files import RenderedFile
from lkhub.render.targets.image import render_image
from lkhub.render.targets.target import Given, Target
from lkhub.render.yaml_text import dump_yaml
from lkhub.source.json_text import Json
from lkhub.wire.site_build import name_site_process

Service: TypeAlias = dict[str, Json]

HUB = "hub"

HEADER = f"""\
# Written by `lkhub render compose`. The folder of this file is the spec's folder: hub.yaml is beside it, and files that
# the spec names by a relative path. The hub runs as the user {UID}, which needs the right to read them.
"""

# `lkhub` in the image gives all of these up but the first, when it becomes the hub's user.
CAPABILITIES = ("NET_BIND_SERVICE", "SETGID", "SETPCAP", "SETUID")

VARIABLES = """\
# The variables of the agent {name}, with the hub's key, which the running hub prints:
#   docker compose exec -T hub lkhub agents env {name} >agent-{name}.env
#   docker compose up --detach
"""

TAILSCALED = "/var/run/tailscale"
"""The folder of tailscaled's socket. A mounted socket would be gone after the daemon's restart."""


def render_compose(plan: Plan) -> RenderedFile:
    """The compose file of a hub of this installation."""
    services = {HUB: _describe_hub(plan)}
    for agent in plan.agents:
        for process, _ in agent.processes:
            services[process] = _describe_image(plan, agent) if agent.image else _describe_agent(plan, agent, process)
    for site in plan.sites_given_out:
        services[name_site_process(site)] = _describe_builder(plan, site)
    agents = (volume for agent in _list_projects(plan) for volume in (_name_given(agent), _name_kept(agent)))
    sites = (volume for site in plan.sites_given_out for volume in (_name_offer(site), _name_scratch(site)))
    volumes = ["state", *agents, *sites]
    secrets = {name: {"file": _find_source(file)} for name, file in plan.credentials.items()}
    data: dict[str, Json] = {
        "services": {name: _escape(service) for name, service in services.items()},
        "volumes": dict.fromkeys(volumes),
        **({"secrets": _escape(secrets)} if secrets else {}),
    }
    return RenderedFile("compose.yaml", HEADER + dump_yaml(data), 0o644)


def _describe_hub(plan: Plan) -> Service:
    variables = sorted({secret.variable for secret in plan.secrets if secret.variable})
    service: Service = {
        "build": _describe_build(plan),
        "image": f"lkhub:{__version__}",
        # Participants send to the addresses of this machine, and a call has ports that no list could name.
        "network_mode": "host",
        "read_only": True,
        "tmpfs": ["/tmp"],  # noqa: S108
        "cap_drop": ["ALL"],
        "cap_add": [*CAPABILITIES],
        "security_opt": ["no-new-privileges:true"],
        "restart": "unless-stopped",
        "stop_grace_period": f"{limit_stop(plan.drain)}s",
        "environment": [f"{AGENTS_VARIABLE}={CONTAINED.agents}", *variables],
        "volumes": [
            f"state:{CONTAINED.state}",
            *(f"{_name_given(agent)}:{agent.given}" for agent in _list_projects(plan)),
            *(f"{_name_offer(site)}:{plan.paths.for_site(site)}" for site in plan.sites_given_out),
            f".:{CONTAINED.folder}:ro",
            *map(_mount, _list_outside(plan)),
        ],
    }
    if plan.credentials:
        service["secrets"] = [*plan.credentials]
    return service


def _describe_agent(plan: Plan, agent: AgentPlan, process: str) -> Service:
    """An agent has a container of its own, with nothing of the hub's but what the hub gives this agent."""
    state = name_agent_state(agent.name)
    return {
        **_describe_apart(
            plan, choose_agent_uid(agent.name), "keep-agent", "--given", AGENT_FOLDER, "--process", process
        ),
        # A worker that is told to end finishes its calls, and ends at once where media is gone.
        "stop_grace_period": f"{limit_stop(plan.drain)}s",
        "environment": [f"STATE_DIRECTORY={state}"],
        "volumes": [f"{_name_given(agent)}:{AGENT_FOLDER}:ro", f"{_name_kept(agent)}:{state}"],
    }


def _describe_builder(plan: Plan, site: str) -> Service:
    """What builds a site has a container of its own, with nothing of the hub's but the socket for it. It ends after
    each build, and with it all that the build has started."""
    return {
        **_describe_apart(plan, choose_site_uid(site), "run-build", "--given", SITE_FOLDER, "--scratch", SITE_SCRATCH),
        # Calls go first.
        "cpu_shares": 2,
        "volumes": [f"{_name_offer(site)}:{SITE_FOLDER}:ro", f"{_name_scratch(site)}:{SITE_SCRATCH}"],
    }


def _describe_apart(plan: Plan, uid: int, *command: str) -> Service:
    """A container with the hub's image, for other people's code."""
    return {
        "build": _describe_build(plan),
        "image": f"lkhub:{__version__}",
        "command": [*command],
        # A health check of the image asks for a hub.
        "healthcheck": {"disable": True},
        "user": f"{uid}:{uid}",
        # Media is called at 127.0.0.1, and sends to the addresses of this machine. A build may fetch what is there.
        "network_mode": "host",
        "read_only": True,
        "tmpfs": ["/tmp"],  # noqa: S108
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
        "restart": "unless-stopped",
    }


def _describe_image(plan: Plan, agent: AgentPlan) -> Service:
    """An image of the operator's. Which user it has, where it writes and how it is seen to be well is its own."""
    command: Service = {"command": [*agent.command]} if agent.command else {}
    return {
        "image": agent.image,
        **command,
        "network_mode": "host",
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
        "restart": "unless-stopped",
        # Nothing in it sees that media is gone, so it waits for its calls as long as the hub does.
        "stop_grace_period": f"{limit_stop(plan.drain)}s",
        # With the hub's key in it, which is in no rendered file.
        "env_file": [_name_variables(agent)],
    }


def _render_variables(agent: AgentPlan) -> RenderedFile:
    """The file with the variables of an agent of an image, without them. compose reads it before any hub runs."""
    return RenderedFile(_name_variables(agent), VARIABLES.format(name=agent.name), 0o600, kept=True)


def _name_variables(agent: AgentPlan) -> str:
    return f"agent-{agent.name}.env"


def _list_projects(plan: Plan) -> list[AgentPlan]:
    """The agents that have the hub's image, with their code in a folder."""
    return [agent for agent in plan.agents if not agent.image]


def _describe_build(plan: Plan) -> Json:
    args = {}
    if projects := _list_projects(plan):
        agents = " ".join(f"{agent.name}:{choose_agent_uid(agent.name)}" for agent in projects)
        args = {"EXTRAS": "[agents]", "AGENTS": agents}
    if plan.sites_given_out:
        args["SITES"] = " ".join(plan.sites_given_out)
    return {"context": ".", "args": args} if args else "."


def _name_given(agent: AgentPlan) -> str:
    """The volume that the hub writes and the agent reads."""
    return f"for-{agent.name}"


def _name_offer(site: str) -> str:
    """The volume with the socket at which the hub gives the builds of a site out."""
    return f"build-{site}"


def _name_scratch(site: str) -> str:
    """The volume in which a site is built. Without a name, each container would leave one behind."""
    return f"scratch-{site}"


def _name_kept(agent: AgentPlan) -> str:
    """The volume with what the agent keeps."""
    return f"agent-{agent.name}"


def _list_outside(plan: Plan) -> Iterator[str]:
    """What the hub needs of this machine besides the spec's folder and its secrets: absolute paths."""
    tls = plan.edge.tls if plan.edge else None
    if tls and tls.mode == "tailscale":
        yield TAILSCALED
    if tls and tls.cert:
        # A certificate is replaced while the hub runs, and a mounted file would stay the old one.
        folders = {_find_folder(path) for path in (tls.cert, tls.key)}
        yield from sorted(folder for folder in folders if not _is_beside(folder))
    projects = (agent.project for agent in _list_projects(plan))
    yield from sorted({folder for folder in (*_list_sites(plan), *projects) if not _is_beside(folder)})
    for program in sorted({process.argv[0] for process in plan.processes}):
        if not program.startswith(f"{PROGRAMS}/") and not _is_beside(program):
            yield program


def _list_sites(plan: Plan) -> Iterator[str]:
    """The folders that the hub reads its web sites from. What a build makes is in the volume of the state."""
    for site in plan.edge.sites if plan.edge else ():
        yield site.build.project if site.build else site.root


def _find_folder(path: str) -> str:
    """The folder to mount for a certificate. certbot's `live/NAME` has links to `archive/NAME`."""
    folder = PurePosixPath(path).parent
    return str(folder.parent.parent if folder.parent.name == "live" else folder)


def _is_beside(path: str) -> bool:
    return PurePosixPath(path).is_relative_to(CONTAINED.folder)


def _mount(path: str) -> str:
    return f"{path}:{path}:ro"


def _find_source(file: str) -> str:
    """Where a file of the container is on this machine."""
    return f"./{PurePosixPath(file).relative_to(CONTAINED.folder)}" if _is_beside(file) else file


def _escape(data: Json) -> Json:
    """The data with `$`, which begins a variable in a compose file, doubled."""
    match data:
        case str():
            return data.replace("$", "$$")
        case list():
            return [_escape(item) for item in data]
        case dict():
            return {name: _escape(value) for name, value in data.items()}
    return data


def _render(plan: Plan, _: Given, __: str | None) -> tuple[RenderedFile, ...]:
    variables = (_render_variables(agent) for agent in plan.agents if agent.image)
    return (render_compose(plan), *render_image(), *variables)


COMPOSE = Target(
    "compose",
    "a compose file and a Dockerfile, for a hub in a container on the host's network.",
    _render,
    installation=CONTAINED,
    starts=True,
    beside_spec=True,
)
