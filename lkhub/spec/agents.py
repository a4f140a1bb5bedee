"""`agents`: the agents that run with the hub."""

import re
import shlex
from typing import Annotated, Any, Self, TypeAlias

from pydantic import Field, PlainValidator, WithJsonSchema, model_validator

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


# HOST:PORT/PATH:TAG@DIGEST, where all but the path may be missing (the grammar of distribution/reference).
_PART = r"[a-z0-9]+(?:(?:\.|_{1,2}|-+)[a-z0-9]+)*"
_NAMED = r"localhost|[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+|\[[0-9a-fA-F:]+\]"
_HOST = rf"(?:(?:{_NAMED})(?::[0-9]{{1,5}})?|[A-Za-z0-9-]+:[0-9]{{1,5}})"
_IMAGE = rf"^(?:{_HOST}/)?{_PART}(?:/{_PART})*(?::[A-Za-z0-9_][A-Za-z0-9._-]{{0,127}})?(?:@sha256:[0-9a-f]{{64}})?$"


def _parse_image(value: Any) -> str:
    if isinstance(value, str) and re.match(_IMAGE, value) and value.isprintable():
        return value
    raise ValueError(f"{shown(value)} is not the name of an image; write one such as registry.example.com/agent:1.2")


AgentName: TypeAlias = Annotated[str, PlainValidator(_parse_name), WithJsonSchema({"type": "string", "pattern": _NAME})]
VariableName: TypeAlias = Annotated[
    str, PlainValidator(_parse_variable), WithJsonSchema({"type": "string", "pattern": _VARIABLE})
]

Image: TypeAlias = Annotated[str, PlainValidator(_parse_image), WithJsonSchema({"type": "string", "minLength": 1})]


class Agent(Part):
    """A program that joins rooms as a participant: a worker of livekit-agents, or any other. It has a `project` or an
    `image`."""

    name: AgentName
    """Its name on this hub: lower-case letters, digits and dashes. Its process is `agent-NAME`. LiveKit's name of the
    agent, for a dispatch to it alone, is in the agent's own code (`agent_name`)."""

    project: Annotated[str, Field(min_length=1)] | None = Field(default=None, examples=["agent"])
    """The folder of its code; a relative path starts from the spec's folder. The hub runs a copy of it. A folder with
    a `pyproject.toml` is a project of uv: its dependencies are installed into an environment of its own, from uv.lock
    if there is one. Not in Kubernetes."""

    image: Image | None = Field(default=None, examples=["registry.example.com/agent:1.2"])
    """The image of a container that is the agent, for a hub in Docker (`lkhub render compose`) or in Kubernetes."""

    command: Command | None = Field(default=None, examples=["python agent.py start"])
    """What starts it, in the project's folder: a program and its arguments. By default `python agent.py start` or
    `python src/agent.py start`, the one that is there, with its health port on 127.0.0.1. For an `image` it takes the
    place of the image's own command."""

    replicas: Annotated[int, Field(ge=1, le=64)] = 1
    """How many workers of it run."""

    health: Port = 8081
    """TCP port on 127.0.0.1 of its health check; further replicas have the next ports. Without effect on an agent with
    a `command`, which listens where its own code says, and not for an `image`."""

    env: dict[VariableName, SecretValue] = Field(default_factory=dict)
    """Variables of its environment, which is otherwise empty but for `LIVEKIT_URL`, `LIVEKIT_API_KEY`,
    `LIVEKIT_API_SECRET` and what every program needs. Each is a value, `{file: PATH}` or `{env: NAME}`."""

    @model_validator(mode="after")
    def _require_one_kind(self) -> Self:
        problems = []
        if self.project and self.image:
            problems.append("a project and an image; leave one of them out")
        if not self.project and not self.image:
            problems.append("neither a project nor an image; write project: FOLDER, or image: NAME")
        if self.image and "health" in self.model_fields_set:
            problems.append("health beside an image, which listens where its own code says; leave it out")
        if problems:
            raise ValueError("; ".join(problems))
        return self
