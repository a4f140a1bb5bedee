"""`access`: callers of the token endpoint, and what each may ask for."""

from typing import Annotated, Literal, TypeAlias

from pydantic import Field

from lkhub.spec.duration import Duration
from lkhub.spec.part import Part
from lkhub.spec.rate import Rate, RateOrOff
from lkhub.spec.types import Glob, Lifetime, Origin, SecretValue, WebUrl

AccessMode: TypeAlias = Literal["open", "api-keys", "oidc"]
Source: TypeAlias = Literal["camera", "microphone", "screen", "screen-audio"]

PARTICIPANT = "participant"
"""The role that every hub has."""


class Role(Part):
    """What a token of this role allows."""

    publish: tuple[Source, ...] = Field(default=("camera", "microphone", "screen", "screen-audio"), strict=False)
    """What the participant may publish, of `camera`, `microphone`, `screen` and `screen-audio`; `[]` is nothing."""

    subscribe: bool = True
    """Whether the participant receives what others publish."""

    data: bool = True
    """Whether the participant may send data messages."""

    hidden: bool = False
    """Whether the participant is invisible to the others."""

    recorder: bool = False
    """Whether the participant is told to others as a recorder."""

    admin: bool = False
    """Whether the participant may mute and remove others in its room."""

    create: bool = False
    """Whether the token opens a room that does not exist, on a hub with `access.create: operator`."""

    own_metadata: bool = False
    """Whether the participant may change its own name, metadata and attributes."""

    metadata: Annotated[int, Field(ge=0, le=65536)] = 4096
    """How many bytes of metadata and attributes a caller may ask for, together."""

    rooms: tuple[Glob, ...] = Field(default=("*",), strict=False)
    """The rooms that the role leads into, by their names; `*` stands for any characters, `/` too."""

    agents: tuple[Glob, ...] = Field(default=(), strict=False)
    """The agents, by name, that a caller may have dispatched into its room."""

    ttl: Lifetime = Duration(6 * 3600)
    """How long a token can be used to join, such as `6h`. A call that has begun goes on."""


class Oidc(Part):
    """An OpenID provider that says who a caller is."""

    issuer: WebUrl
    """The provider's address, under which `/.well-known/openid-configuration` is."""

    client_id: Annotated[str, Field(min_length=1)]
    """The name that the provider knows the hub's web application by."""

    client_secret: SecretValue | None = Field(default=None, examples=["{file: /path/oidc.secret}"])
    """The secret of a confidential client. A public client, which proves itself by PKCE alone, has none."""

    audience: Annotated[str, Field(min_length=1)] | None = Field(default=None, examples=["lkhub"])
    """The audience that an application's bearer token must have; by default `client_id`."""

    role_claim: Annotated[str, Field(min_length=1)] | None = Field(default=None, examples=["groups"])
    """The claim that names a caller's roles: text, or a list of texts. Without it, or where it names no role of the
    spec, a caller has `access.default_role`."""


class Limits(Part):
    """How often tokens may be asked for: a number a second, minute or hour, or `off`."""

    caller: RateOrOff = Rate(100, 1)
    """By one API key, or one user of the OpenID provider."""

    address: RateOrOff = Rate(60, 60)
    """From one address, by callers other than API keys. An IPv6 network of 64 bits counts as one address."""

    room: RateOrOff = Rate(1000, 60)
    """For one room."""


class Access(Part):
    """Who may ask the hub for tokens."""

    modes: tuple[AccessMode, ...] | None = Field(default=None, strict=False, examples=["[api-keys]"])
    """How a caller proves its identity: `api-keys`, keys of applications; `oidc`, an OpenID provider; `open` asks for
    no proof. Several may be listed. By default `open` for `reach: local` without TLS, where only programs on this
    machine can ask, and else none."""

    create: Literal["joining", "operator"] = "joining"
    """Who opens rooms. `joining`: whoever has a token for a room. `operator`: a room exists once `lkhub rooms create`
    or a token of a role with `create: true` has opened it; its sub-rooms follow as seats in them are given."""

    open_to_anyone: bool = False
    """Whether mode `open` may be used beyond this machine: everyone who can reach the hub gets tokens."""

    oidc: Oidc | None = Field(default=None, examples=["{issuer: https://id.example.com, client_id: lkhub}"])
    """Mode oidc: the OpenID provider."""

    roles: dict[Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")], Role] = Field(
        default_factory=dict
    )
    """Roles by name. `participant` is there without being written: it may publish, subscribe and send data."""

    default_role: str = PARTICIPANT
    """The role of a caller that asks for none."""

    origins: tuple[Origin, ...] = Field(default=(), strict=False)
    """Web pages of other origins that may ask for tokens, such as `https://app.example.com`."""

    limits: Limits = Limits()
    """How often tokens may be asked for."""
