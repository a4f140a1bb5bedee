"""What `lkhub run-agent` is told: one file for each process of an agent that the hub runs, and one for each agent that
a unit or a container of its own runs."""

from msgspec import Struct

from lkhub.wire.message import dump_message, parse_message


class AgentConfig(Struct, frozen=True):
    """As `lkhub.plan.agents.AgentPlan`, for one of its processes. `variables` are the variables of the
    agent's environment: the name there → the name under which `lkhub run-agent` is given it."""

    name: str
    project: str
    command: tuple[str, ...]
    home: str
    uid: int | None
    port: int
    variables: dict[str, str]
    inputs: str
    uv: str
    entry: str


def dump_agent(config: AgentConfig) -> str:
    return dump_message(config, indent=2)


def parse_agent(text: str) -> AgentConfig:
    """Raises ValueError for another text."""
    return parse_message(AgentConfig, text)


class GivenAgent(Struct, frozen=True):
    """What the hub gives an agent that it does not run itself. `project` is the name of the folder beside this file
    with a copy of the project; `ports` are the health ports by the name of the process; `variables` have their values.
    The rest is as in AgentConfig."""

    name: str
    project: str
    command: tuple[str, ...]
    inputs: str
    uv: str
    entry: str
    ports: dict[str, int]
    variables: dict[str, str]


GIVEN_FILE = "agent.json"
"""Its name in the agent's folder."""

RESTART_FILE = "restart"
"""Beside it: written anew, it asks for a new worker."""

ENDED_FILE = "ended"
"""Beside it, from the orderly end of the hub to its next start."""


def dump_given(agent: GivenAgent) -> str:
    return dump_message(agent, indent=2)


def parse_given(text: str) -> GivenAgent:
    """Raises ValueError for another text."""
    return parse_message(GivenAgent, text)
