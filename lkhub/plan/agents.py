"""The agents of a hub: what runs, where, with which variables and as which user."""

import shlex
from collections.abc import Iterable, Iterator
from dataclasses import replace

from lkhub.findings.catalogue.agents import agents_not_apart
from lkhub.findings.catalogue.spec import value_wrong
from lkhub.findings.finding import Finding, Fix
from lkhub.plan.installation import Installation
from lkhub.plan.model import AgentPlan, Listener, Urls
from lkhub.plan.network import LOOPBACK
from lkhub.plan.process import ProcessPlan, Variable
from lkhub.plan.users import choose_uid
from lkhub.secret import FromEnv
from lkhub.spec.agents import Agent
from lkhub.spec.load import LoadedSpec
from lkhub.spec.ports import PortRange

RUN_AGENT = "run-agent"
"""The command of lkhub that installs an agent and becomes it."""

# Set for every agent; the spec can't replace them.
OWN_VARIABLES = ("LIVEKIT_URL", "LIVEKIT_API_KEY", "LIVEKIT_API_SECRET")


def name_held(variable: str) -> str:
    """The name of a variable of an agent until the agent starts. lkhub starts it, maybe as root, and neither its Python
    nor the dynamic loader may obey PYTHONPATH, LD_PRELOAD or PATH of other people's code."""
    return f"LKHUB_AGENT_{variable}"


# As long as a worker itself waits for its calls (drain_timeout of livekit-agents). It keeps nothing else waiting.
RETIRING_SECONDS = 3600


DIGEST_LETTERS = 16

IMAGE_REFUSED = "an agent that is an image needs a hub in containers"
IMAGE_FIX = (
    "run the hub in containers too (`lkhub render compose` or `lkhub render kubernetes`), or write the `project` that "
    "the image was made from"
)
_START_AS_ROOT = Fix("start the hub as root, and each agent has a user of its own")

PROJECT_REFUSED = "in Kubernetes an agent is an image, and this one is a folder of code"
PROJECT_FIX = "build an image of it, push it to a registry, and write image: NAME in place of project"
"""What is said where agents of one of the two kinds can't run."""


def name_copy(inputs: str) -> str:
    """The name of the folder for the version of a project that has this digest."""
    return inputs[:DIGEST_LETTERS]


def plan_agents(loaded: LoadedSpec, installation: Installation, urls: Urls) -> tuple[AgentPlan, ...]:
    """The agents of a spec. Faults are added to `loaded`."""
    _judge_names(loaded)
    return tuple(
        _plan_agent(loaded, index, agent, installation, urls) for index, agent in enumerate(loaded.spec.agents)
    )


def _judge_names(loaded: LoadedSpec) -> None:
    names = {agent.name for agent in loaded.spec.agents}
    seen: set[str] = set()
    for index, agent in enumerate(loaded.spec.agents):
        before, _, number = agent.name.rpartition("-")
        what = ""
        if agent.name in seen:
            what = "another agent has this name too"
        elif number.isdigit() and before in names:
            what = f"agent-{agent.name} would be the name of a replica of {before}"
        if what:
            loaded.add(("agents", index, "name"), value_wrong(what), "give each agent a name of its own")
        seen.add(agent.name)


def _name_processes(agent: Agent) -> list[str]:
    others = [f"agent-{agent.name}-{number}" for number in range(2, agent.replicas + 1)]
    return [f"agent-{agent.name}", *others]


def _plan_agent(loaded: LoadedSpec, index: int, agent: Agent, installation: Installation, urls: Urls) -> AgentPlan:
    if agent.health + agent.replicas - 1 > 65535:
        loaded.add(
            ("agents", index, "health"), value_wrong("leaves no ports for the other replicas"), "write a lower one"
        )
    for name in agent.env:
        if name in OWN_VARIABLES:
            why = f"{name} is the hub's own, and every agent gets it"
            loaded.add(("agents", index, "env", name), value_wrong(why), "leave it out")
    paths = installation.paths
    apart = installation.user == "root" and not installation.agents_apart
    home = paths.agent_home(agent.name, apart=apart)
    ports = range(agent.health, agent.health + agent.replicas)
    return AgentPlan(
        name=agent.name,
        project=installation.beside_spec(agent.project) if agent.project else "",
        command=tuple(shlex.split(agent.command)) if agent.command else (),
        home=home,
        uid=choose_uid(home, low=installation.low_uids) if apart else None,
        given=paths.for_agent(agent.name) if installation.agents_apart and not agent.image else "",
        image=agent.image or "",
        processes=tuple(zip(_name_processes(agent), ports, strict=True)),
        variables=(
            Variable("LIVEKIT_URL", value=_choose_url(installation, urls)),
            Variable("LIVEKIT_API_KEY", file=paths.agent_key),
            Variable("LIVEKIT_API_SECRET", file=paths.agent_secret),
            *(
                Variable(name, env=source.name)
                if isinstance(source, FromEnv)
                else Variable(name, file=paths.secret(("agents", agent.name, "env", name)))
                for name, source in agent.env.items()
                if name not in OWN_VARIABLES
            ),
        ),
    )


def _choose_url(installation: Installation, urls: Urls) -> str:
    """A pod has a network of its own, and finds the hub as clients do."""
    return urls.livekit if installation.agents == "pods" else urls.local_media.replace("http", "ws", 1)


def plan_agent_processes(agents: tuple[AgentPlan, ...], installation: Installation) -> tuple[ProcessPlan, ...]:
    """The processes of agents that the hub runs. Their health checks show no readiness: they say 200 before the worker
    has registered."""
    return tuple(
        ProcessPlan(
            name=name,
            argv=(
                installation.python,
                "-P",
                "-m",
                "lkhub",
                RUN_AGENT,
                "--config",
                installation.paths.render(f"{name}.json"),
            ),
            files=(installation.paths.render(f"{name}.json"),),
            variables=tuple(replace(variable, name=name_held(variable.name)) for variable in agent.variables),
            # A worker that is told to end takes no more rooms, and its agents finish their calls.
            retires=RETIRING_SECONDS,
            registers=True,
            # Media waits for the calls first, and agents are in them.
            stop_order=2,
        )
        for agent in agents
        if agent.in_hub
        for name, _ in agent.processes
    )


def list_agent_listeners(agents: tuple[AgentPlan, ...]) -> tuple[Listener, ...]:
    """The health checks of those agents whose port the hub decides."""
    return tuple(
        Listener(
            name, "tcp", LOOPBACK, PortRange(port, port), f"health of agent {agent.name}", ("agents", index, "health")
        )
        for index, agent in enumerate(agents)
        if not agent.command and not agent.image
        for name, port in agent.processes
    )


def warn_of_agents(agents: Iterable[AgentPlan]) -> Iterator[Finding]:
    """A warning for agents that are not kept from the hub's own files."""
    if together := [agent.name for agent in agents if agent.in_hub and agent.uid is None]:
        yield agents_not_apart(together).about("agents", fix=(_START_AS_ROOT,))
