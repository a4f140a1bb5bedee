"""The typed spec. Field docstrings are the reference page and what an editor shows.

A field that is None was not given; its default depends on `reach` and is decided in `lkhub.plan.build`.
"""

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, PlainValidator, WithJsonSchema

from lkhub.spec.keys import KeySource, parse_key_source
from lkhub.spec.shown import shown
from lkhub.spec.types import Addresses, Port, PortOrOff, PortRange, Ports, Stun

_SECRET_SCHEMA: dict[str, Any] = {
    "anyOf": [
        {"type": "string", "minLength": 32},
        {"type": "object", "properties": {"file": {"type": "string"}}, "required": ["file"]},
        {"type": "object", "properties": {"env": {"type": "string"}}, "required": ["env"]},
    ]
}
_KEYS_SCHEMA: dict[str, Any] = {
    "anyOf": [
        {"const": "managed"},
        {
            "type": "object",
            "properties": {"key": {"type": "string"}, "secret": _SECRET_SCHEMA},
            "required": ["key", "secret"],
        },
        {"type": "object", "properties": {"file": {"type": "string"}}, "required": ["file"]},
        {
            "type": "object",
            "properties": {"env": {"type": "array", "items": {"type": "string"}, "minItems": 2, "maxItems": 2}},
            "required": ["env"],
        },
    ]
}


def _parse_version(value: Any) -> int:
    if value is True or value != 1 or not isinstance(value, int):
        raise ValueError(f"{shown(value)} is not a version of this format; write the number 1")
    return 1


def _parse_livekit(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError("a mapping of livekit.yaml keys is expected")
    return value


Source: TypeAlias = Annotated[
    KeySource,
    PlainValidator(parse_key_source),
    PlainSerializer(lambda source: source if source == "managed" else type(source).__name__),
    WithJsonSchema(_KEYS_SCHEMA),
]
RawLiveKit: TypeAlias = Annotated[dict[str, Any], PlainValidator(_parse_livekit), WithJsonSchema({"type": "object"})]


def _without_null(schema: dict[str, Any]) -> None:
    """Take null out of a part's schema: None is what was not given, and in a file an empty key is a fault."""
    for key in schema["properties"].values():
        choices = [choice for choice in key.get("anyOf", ()) if choice != {"type": "null"}]
        if len(choices) < len(key.get("anyOf", ())):
            del key["anyOf"], key["default"]
            key |= choices[0] if len(choices) == 1 else {"anyOf": choices}


class Part(BaseModel):
    """Base of every part of the spec: unknown keys are faults, nothing can be changed after loading."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        use_attribute_docstrings=True,
        arbitrary_types_allowed=True,
        hide_input_in_errors=True,
        json_schema_extra=_without_null,
    )


class Media(Part):
    """The SFU: where it listens, and the address that it tells clients."""

    advertise: Addresses = "auto"
    """The address that clients send media to: `auto`, an IP, or `[v4, v6]`. `auto` is 127.0.0.1 for
    `reach: local`, and this machine's address on the LAN for `reach: lan`."""

    udp: Annotated[Ports, Field(json_schema_extra={"default": 7882})] = PortRange(7882, 7882)
    """UDP port of media: one port, or a range such as `50000-60000`."""

    tcp: PortOrOff | None = Field(default=None, examples=[7881])
    """Port of ICE/TCP, for clients whose UDP is blocked, or `off`. LiveKit binds it on every interface,
    so it is `off` by default for `reach: local`; else 7881."""

    signal: Port = 7880
    """TCP port of signalling (HTTP and WebSocket): the port of `LIVEKIT_URL`."""

    interfaces: tuple[str, ...] = Field(default=(), strict=False)
    """Network interfaces that media may use, by name. Empty: the one that carries the advertised address.
    For `reach: lan` they also decide which address is advertised."""


class Turn(Part):
    """The hub's own relay, for clients that reach nothing else. It relays to the hub's media alone."""

    enabled: bool = True
    """Whether the relay runs."""

    udp: PortOrOff = 3478
    """UDP port of TURN and STUN, or `off`."""

    relay: Annotated[Ports, Field(json_schema_extra={"default": "30000-39999"})] = PortRange(30000, 39999)
    """Ports of the relay towards the SFU on this machine. They are never opened from outside."""


class Keys(Part):
    """The API key that applications sign their tokens with."""

    source: Source = "managed"
    """`managed`: generated once and kept in the state directory. Or `{key: NAME, secret: SECRET}`, where
    the secret may be `{file: PATH}` or `{env: NAME}`; `{file: PATH}`, a YAML file of `NAME: SECRET`; or
    `{env: [KEY_VARIABLE, SECRET_VARIABLE]}`."""


class Spec(Part):
    """One hub."""

    version: Annotated[int, PlainValidator(_parse_version), WithJsonSchema({"const": 1})] = 1
    """Version of this format."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")] = "hub"
    """Name of the hub: lower-case letters, digits and dashes."""

    reach: Literal["local", "lan"] = "local"
    """Who can reach the hub: `local`, this machine only; `lan`, this network, without TLS yet."""

    media: Media = Media()
    turn: Turn = Turn()

    stun: Stun = "own"
    """STUN servers that clients are told: `own`, the hub's relay, or a list of `host:port`. With `own`
    nobody outside hears of a call."""

    web: Port = 8080
    """TCP port of the web application and the token endpoint."""

    keys: Keys = Keys()

    engine: str = "bundled"
    """`bundled`, or the path of a livekit-server program to run instead; a relative one starts from the
    spec's folder."""

    livekit: RawLiveKit = Field(default_factory=dict)
    """Raw keys of livekit.yaml, merged last and checked by LiveKit's own strict parser."""
