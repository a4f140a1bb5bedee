"""`sites`: web sites that the edge serves, and how each is built."""

import re
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Literal, TypeAlias, get_args

from pydantic import Field, PlainSerializer, PlainValidator, WithJsonSchema

from lkhub.shown import shown
from lkhub.spec.domain import Domain
from lkhub.spec.duration import Duration, parse_lifetime
from lkhub.spec.part import Part
from lkhub.spec.ports import Port
from lkhub.spec.types import FilePath

# A process and its log are named after the site.
MAX_NAME = 24


def _parse_policy(value: Any) -> str:
    """A Content-Security-Policy."""
    if isinstance(value, str) and value.strip() and value.isprintable() and value.isascii() and "{" not in value:
        return value
    raise ValueError(f"{shown(value)} is not a Content-Security-Policy, such as \"default-src 'self'\"")


UrlName: TypeAlias = Literal["livekit", "web", "api"]


@dataclass(frozen=True)
class BuiltToken:
    """A token that is made for a build. `role` "": all that a plain participant may. `ttl` None: that of the role, or
    30 days."""

    room: str
    identity: str
    name: str = ""
    role: str = ""
    ttl: Duration | None = None


@dataclass(frozen=True)
class HubUrl:
    """An address of the hub, by its name in `lkhub status --json`."""

    url: UrlName


_FORMS = "a text, {token: {room: ROOM, identity: NAME}} or {url: livekit}"
_TOKEN_KEYS = ("room", "identity", "name", "role", "ttl")


def _parse_variable(value: Any) -> str | BuiltToken | HubUrl:
    """The value of a variable of a build."""
    if isinstance(value, str):
        if "\0" in value:
            raise ValueError("it has a zero byte, which no variable can have")
        return value
    if isinstance(value, bool | int | float):
        raise ValueError(f"{shown(value)} is not text; write it in quotes")
    if isinstance(value, dict) and set(value) == {"token"}:
        return _parse_token(value["token"])
    if isinstance(value, dict) and set(value) == {"url"}:
        if value["url"] not in get_args(UrlName):
            raise ValueError(f"{shown(value['url'])} is not one of: {', '.join(get_args(UrlName))}")
        return HubUrl(value["url"])
    raise ValueError(f"not a value of a variable; write {_FORMS}")


def _parse_token(value: Any) -> BuiltToken:
    if not isinstance(value, dict):
        raise ValueError("token is not a mapping; write {token: {room: ROOM, identity: NAME}}")
    if unknown := [key for key in value if key not in _TOKEN_KEYS]:
        raise ValueError(f"token has no key {shown(unknown[0])}; known here: {', '.join(_TOKEN_KEYS)}")
    for key in ("room", "identity"):
        if not value.get(key):
            raise ValueError(f"token has no {key}; write {{token: {{room: ROOM, identity: NAME}}}}")
    texts = {key: value[key] for key in value if key != "ttl"}
    for key, text in texts.items():
        if not isinstance(text, str) or not text.isprintable() or len(text.encode()) > _MAX_NAME_BYTES:
            raise ValueError(f"token.{key}: {shown(text)} is not a text of at most {_MAX_NAME_BYTES} bytes")
    return BuiltToken(**texts, ttl=parse_lifetime(value["ttl"]) if "ttl" in value else None)


# LiveKit's own limit for names of rooms and participants (limit.max_room_name_length and its neighbours).
_MAX_NAME_BYTES = 256


def _parse_variable_name(value: Any) -> str:
    if isinstance(value, str) and re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", value):
        return value
    raise ValueError(f"{shown(value)} is not the name of a variable")


def _parse_command(value: Any) -> str:
    if isinstance(value, str) and value.strip() and "\0" not in value:
        return value
    raise ValueError(f"{shown(value)} is not a command line, such as npm run build")


def _dump_variable(value: str | BuiltToken | HubUrl) -> object:
    return value if isinstance(value, str) else asdict(value)


VariableName: TypeAlias = Annotated[str, PlainValidator(_parse_variable_name), WithJsonSchema({"type": "string"})]
VariableValue: TypeAlias = Annotated[
    str | BuiltToken | HubUrl,
    PlainValidator(_parse_variable),
    PlainSerializer(_dump_variable),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string"},
                {
                    "type": "object",
                    "properties": {
                        "token": {
                            "type": "object",
                            "properties": {key: {"type": "string"} for key in _TOKEN_KEYS},
                            "required": ["room", "identity"],
                            "additionalProperties": False,
                        }
                    },
                    "required": ["token"],
                    "additionalProperties": False,
                },
                {
                    "type": "object",
                    "properties": {"url": {"enum": list(get_args(UrlName))}},
                    "required": ["url"],
                    "additionalProperties": False,
                },
            ]
        }
    ),
]
Command: TypeAlias = Annotated[str, PlainValidator(_parse_command), WithJsonSchema({"type": "string", "minLength": 1})]
Policy: TypeAlias = Annotated[str, PlainValidator(_parse_policy), WithJsonSchema({"type": "string", "minLength": 1})]


class Site(Part):
    """A web site: the files of a folder, over TLS. It needs a `port`, a `domain`, or both."""

    name: Annotated[str, Field(pattern=rf"^[a-z0-9]([a-z0-9-]{{0,{MAX_NAME - 2}}}[a-z0-9])?$")]
    """Name of the site: lower-case letters, digits and dashes, at most 24."""

    root: FilePath
    """The folder with the site's files; a relative path starts from the spec's folder. Files and folders whose name
    begins with a dot are not served, except `.well-known`."""

    port: Port | None = Field(default=None, examples=[3001])
    """TCP port of the site at the hub's own names and addresses, with the hub's certificate."""

    domain: Domain | None = Field(default=None, examples=["bmo.example.com"])
    """Name of the site in the DNS, on the hub's HTTPS port. It leads to this machine, or in mode external to the proxy.
    In modes acme and internal the hub gets a certificate for it too."""

    build: Command | None = Field(default=None, examples=["npm ci && npm run build"])
    """The command line that makes `root`, for `sh`. It runs at `lkhub up` when the project, `env` or the key of its
    tokens has changed, or a token is about to end: in a copy of the project, never as root, for at most 15 minutes.
    Visitors get the files of the last build that succeeded."""

    project: FilePath | None = Field(default=None, examples=["frontend"])
    """The folder in which `build` runs; by default the folder that `root` is in."""

    env: dict[VariableName, VariableValue] = Field(
        default={}, examples=["{VITE_LIVEKIT_URL: {url: livekit}, VITE_TITLE: bmo}"]
    )
    """Variables for `build`, which gets no others besides PATH, HOME and the language. A value is a text; `{url:
    livekit}`, `{url: web}` or `{url: api}`, an address of this hub; or `{token: {room: ROOM, identity: NAME}}`, a token
    made for the build, with `name`, `role` and `ttl` (30d) if you want. Whoever opens the site can read a token that is
    built into it."""

    csp: Policy | None = Field(default=None, examples=["\"default-src 'self'; connect-src *\""])
    """The site's Content-Security-Policy. By default pages load what is on the site itself, and connect to the site and
    to this hub."""
