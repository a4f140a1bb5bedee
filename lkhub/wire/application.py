"""What `lkhub serve` knows of the spec for applications: access, rooms, webhooks, store. Part of serve.json.

Times are in seconds. Secrets stand in files of their own, which are named here.
"""

from typing import Literal, TypeAlias

from msgspec import Struct

Mode: TypeAlias = Literal["open", "api-keys", "oidc"]


LIVEKIT_WEBHOOKS = "/api/webhooks/livekit"
"""Where the service takes LiveKit's webhooks."""

DISCOVERY_PATH = "/.well-known/openid-configuration"
"""Where a provider's document is, under its issuer (OpenID Connect Discovery 1.0, section 4)."""

SQLITE = "sqlite:///"
"""How the URL of a file of SQLite begins. What follows is its path, nothing of which is escaped."""


class Role(Struct, frozen=True):
    """What a token of this role allows (`access.roles`). `publish` has LiveKit's names of sources (`screen_share`).
    `metadata` is how many bytes a caller may ask for. `rooms` and `agents` are globs."""

    publish: tuple[str, ...]
    subscribe: bool
    data: bool
    hidden: bool
    recorder: bool
    admin: bool
    create: bool
    own_metadata: bool
    metadata: int
    rooms: tuple[str, ...]
    agents: tuple[str, ...]
    ttl: int


class Oidc(Struct, frozen=True):
    """The OpenID provider. `client_secret` is a file, "" for a public client."""

    issuer: str
    client_id: str
    client_secret: str
    audience: str
    role_claim: str


class Rate(Struct, frozen=True):
    """`times` within `seconds`."""

    times: int
    seconds: int


class Limits(Struct, frozen=True):
    """How often tokens may be asked for; None is no limit."""

    caller: Rate | None = None
    address: Rate | None = None
    room: Rate | None = None


class Access(Struct, frozen=True):
    """Who may ask for what. `roles` has `participant` and `default_role` in any case."""

    modes: tuple[Mode, ...] = ()
    create: Literal["joining", "operator"] = "joining"
    roles: dict[str, Role] = {}
    default_role: str = ""
    origins: tuple[str, ...] = ()
    limits: Limits = Limits()
    oidc: Oidc | None = None


class Dispatch(Struct, frozen=True):
    """An agent that joins a room when it opens."""

    name: str
    metadata: str


class RoomPreset(Struct, frozen=True):
    """What rooms are like whose names fit the glob `match`. None is LiveKit's default, or no limit. Without `roles`
    every role may enter."""

    match: str
    capacity: int | None
    overflow: Literal["reject", "subrooms"]
    empty_timeout: int | None
    departure_timeout: int | None
    metadata: str
    agents: tuple[Dispatch, ...]
    roles: tuple[str, ...]


class Receiver(Struct, frozen=True):
    """An application that is told what happens. Without `events` it is told everything."""

    url: str
    events: tuple[str, ...]
    allow_private: bool


class Store(Struct, frozen=True):
    """The database. `url` is SQLAlchemy's, without a password; `password` is a file, or "". `hub` is the file with what
    the hub knows itself by, "" for a database that no other hub can reach."""

    url: str = ""
    password: str = ""
    hub: str = ""

    @property
    def file(self) -> str:
        """The file of SQLite; "" where the store is a database of PostgreSQL, or there is none."""
        return self.url.removeprefix(SQLITE) if self.url.startswith(SQLITE) else ""


class Application(Struct, frozen=True):
    """All of it. `used`: the spec asks for some of it, so the service opens the store when it starts. Otherwise the
    service opens the store when an invite is redeemed. The defaults stand for a hub that is configured by an lkhub
    which knows none of it."""

    used: bool = False
    access: Access = Access()
    rooms: tuple[RoomPreset, ...] = ()
    webhooks: tuple[Receiver, ...] = ()
    store: Store = Store()
