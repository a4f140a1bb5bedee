"""What `lkhub run-agent` is told: one file for each process of an agent."""

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
