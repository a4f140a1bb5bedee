"""`agents`: the agents that run with the hub."""

import re
import shlex
from typing import Annotated, Any, TypeAlias

from pydantic import Field, PlainValidator, WithJsonSchema

from lkhub.shown import shown
from lkhub.spec.part import Part
from lkhub.spec.ports import Port
from lkhub.spec.types import SecretValue


def _parse_command(value: Any) -> str:
    if not isinstance(value, str) or not value.strip() or not value.isprintable():
        raise ValueError(f"{shown(value)} is not a command; write a line such as python agent.py start")
    try:
        words = shlex.split(value)
    except ValueError:
        raise ValueError("has a quotation mark without its partner; write a command as in a shell") from None
    if any(word in ("&&", "||", "|", ";", "&", ">", "<") for word in words):
        raise ValueError('is for a shell; write `sh -c "…"`, or one program with its arguments')
    return value


Command: TypeAlias = Annotated[str, PlainValidator(_parse_command), WithJsonSchema({"type": "string", "minLength": 1})]

_NAME = r"^[a-z0-9]([a-z0-9-]{0,18}[a-z0-9])?$"
_VARIABLE = r"^[A-Za-z_][A-Za-z0-9_]*$"


def _parse_name(value: Any) -> str:
    if isinstance(value, str) and re.match(_NAME, value) and value.isprintable():
        return value
    raise ValueError(f"{shown(value)} is not a name; use up to 20 lower-case letters, digits and dashes")


def _parse_variable(value: Any) -> str:
    if isinstance(value, str) and re.match(_VARIABLE, value) and value.isprintable():
        return value
    raise ValueError("is not the name of a variable; use letters, digits and underscores, and begin with no digit")


AgentName: TypeAlias = Annotated[str, PlainValidator(_parse_name), WithJsonSchema({"type": "string", "pattern": _NAME})]
VariableName: TypeAlias = Annotated[
    str, PlainValidator(_parse_variable), WithJsonSchema({"type": "string", "pattern": _VARIABLE})
]


class Agent(Part):
    """A program that joins rooms as a participant: a worker of livekit-agents, or any other."""

    name: AgentName
    """Its name on this hub: lower-case letters, digits and dashes. Its process is `agent-NAME`. LiveKit's name of the
    agent, for a dispatch to it alone, is in the agent's own code (`agent_name`)."""

    project: Annotated[str, Field(min_length=1)]
    """The folder of its code; a relative path starts from the spec's folder. The hub runs a copy of it. A folder with
    a `pyproject.toml` is a project of uv: its dependencies are installed into an environment of its own, from uv.lock
    if there is one."""

    command: Command | None = Field(default=None, examples=["python agent.py start"])
    """What starts it, in the project's folder: a program and its arguments. By default `python agent.py start` or
    `python src/agent.py start`, the one that is there, with its health port on 127.0.0.1."""

    replicas: Annotated[int, Field(ge=1, le=64)] = 1
    """How many workers of it run."""

    health: Port = 8081
    """TCP port on 127.0.0.1 of its health check; further replicas have the next ports. Without effect on an agent with
    a `command`, which listens where its own code says."""

    env: dict[VariableName, SecretValue] = Field(default_factory=dict)
    """Variables of its environment, which is otherwise empty but for `LIVEKIT_URL`, `LIVEKIT_API_KEY`,
    `LIVEKIT_API_SECRET` and what every program needs. Each is a value, `{file: PATH}` or `{env: NAME}`."""
