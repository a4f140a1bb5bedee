"""The units of agents: one for each process, beside the hub's own. Each is a user without an account, in a sandbox."""

from collections.abc import Iterator

from lkhub.plan.container import AGENT_FOLDER
from lkhub.plan.model import Plan
from lkhub.plan.service import AGENTS_STATE, RESTART_SECONDS, UNIT, limit_stop, name_unit
from lkhub.render.files import RenderedFile
from lkhub.render.targets.apart import list_apart
from lkhub.render.targets.unit_text import Sections, Setting, write_unit


def render_agent_units(plan: Plan) -> tuple[RenderedFile, ...]:
    """A unit for each process of an agent that the hub does not run itself."""
    return tuple(
        RenderedFile(name_unit(process), write_unit(list_agent_sections(plan, agent.name, process)), 0o644)
        for agent in plan.agents
        if agent.given
        for process, _ in agent.processes
    )


def list_agent_sections(plan: Plan, agent: str, process: str) -> Sections:
    """The sections of the unit of a process of an agent."""
    return (
        ("Unit", tuple(_agent_unit(agent))),
        ("Service", tuple(_agent_service(plan, agent, process))),
    )


def _agent_unit(agent: str) -> Iterator[Setting]:
    yield "Description", f"Agent {agent} of the LiveKit hub"
    # At a shutdown units stop in the other order: the hub waits for calls, with the agents that are in them. No PartOf:
    # it would restart them with a supervisor that was killed. The hub itself tells them that it has ended.
    yield "Before", UNIT
    # The hub's folder for it may not be there yet.
    yield "StartLimitIntervalSec", 0


def _agent_service(plan: Plan, agent: str, process: str) -> Iterator[Setting]:
    given, command = plan.paths.for_agent(agent), f"keep-agent --given {AGENT_FOLDER} --process {process}"
    # Processes of one agent are one user, with one folder.
    yield from list_apart(plan.installation, f"lk-agent-{agent}", given, AGENT_FOLDER, command)
    yield "StateDirectory", f"{AGENTS_STATE}/{agent}"
    yield "StateDirectoryMode", "0700"
    yield "ExecReload", "/bin/kill -HUP $MAINPID"
    # Its first process tells the workers, and waits for them.
    yield "KillMode", "mixed"
    # It ends by itself when the hub has ended.
    yield "Restart", "on-failure"
    yield "RestartSec", RESTART_SECONDS
    yield "TimeoutStopSec", limit_stop(plan.drain)
