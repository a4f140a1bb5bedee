"""The typed spec. Field docstrings are the reference page and what an editor shows.

A field that is None was not given; its default depends on `reach` and is decided in `lkhub.plan.build`.
"""

from ipaddress import IPv4Network, IPv6Network
from typing import Annotated, Any, TypeAlias

from pydantic import Field, PlainSerializer, PlainValidator, WithJsonSchema

from lkhub.secret import describe_schema
from lkhub.shown import shown
from lkhub.spec.access import Access
from lkhub.spec.account import Account
from lkhub.spec.address import Addresses, Networks, Stun
from lkhub.spec.agents import Agent
from lkhub.spec.domain import Domain
from lkhub.spec.duration import DEFAULT_DRAIN
from lkhub.spec.issuer import Issuer
from lkhub.spec.keys import MIN_SECRET_LENGTH, KeySource, parse_key_source
from lkhub.spec.part import Part
from lkhub.spec.ports import Port, PortOrOff, PortRange, Ports, PortsOfMedia, TcpOfMedia
from lkhub.spec.redis import RedisServer
from lkhub.spec.rooms import RoomPreset
from lkhub.spec.sites import Site
from lkhub.spec.store import SqliteStore, Store
from lkhub.spec.turn import External
from lkhub.spec.types import Drain, Email, FilePath, Reach, TlsMode
from lkhub.spec.webhooks import Webhook

_KEYS_SCHEMA: dict[str, object] = {
    "anyOf": [
        {"enum": ["managed", "dev"]},
        {
            "type": "object",
            "properties": {"key": {"type": "string"}, "secret": describe_schema(MIN_SECRET_LENGTH)},
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


LiveKitKeys: TypeAlias = dict[str, Any]  # keys of livekit.yaml, which LiveKit's own parser judges


def _parse_livekit(value: Any) -> LiveKitKeys:
    if not isinstance(value, dict):
        raise ValueError("a mapping of livekit.yaml keys is expected")
    return value


Source: TypeAlias = Annotated[
    KeySource,
    PlainValidator(parse_key_source),
    PlainSerializer(lambda source: source if isinstance(source, str) else type(source).__name__),
    WithJsonSchema(_KEYS_SCHEMA),
]
RawLiveKit: TypeAlias = Annotated[LiveKitKeys, PlainValidator(_parse_livekit), WithJsonSchema({"type": "object"})]


class Tls(Part):
    """Certificate and HTTPS port of the hub: who makes the certificate, and where clients connect."""

    mode: TlsMode | None = Field(default=None, examples=["internal"])
    """Where the certificate comes from. `internal`: the hub's own authority, whose root each device has to trust once
    (`lkhub trust`); the default for `reach: lan`. `acme`: a public authority such as Let's Encrypt; the default for
    `reach: public`. `files`: `cert` and `key`. `tailscale`: Tailscale, for the name of this machine in a tailnet.
    `external`: a proxy in front of the hub ends TLS. `off`: none; browsers then refuse camera and microphone everywhere
    but on this machine; the default for `reach: local`."""

    email: Email | None = Field(default=None, examples=["ops@example.com"])
    """Mode acme: the address to which the authority writes if something is wrong with the certificate. ZeroSSL needs
    it."""

    issuer: Issuer = "auto"
    """Mode acme: `letsencrypt`, `zerossl`, `google`, or the URL of an ACME directory. `auto` is ZeroSSL if an
    `email` is given and port 80 is open, because native applications accept its certificates for TURN over TLS and
    refuse those of Let's Encrypt; otherwise Let's Encrypt."""

    account: Account | None = Field(default=None, examples=["{key_id: ID, mac_key: {file: /path/mac.key}}"])
    """Mode acme: an account that the issuer has given out before, by external account binding: `{key_id: ID, mac_key:
    SECRET}`, where the secret may be `{file: PATH}` or `{env: NAME}`. `google` needs one
    (`gcloud publicca external-account-keys create`), as do many directories; `zerossl` takes one in place of `email`,
    and `letsencrypt` has none."""

    cert: FilePath | None = Field(default=None, examples=["/path/fullchain.pem"])
    """Mode files: the certificate with its chain, PEM. A relative path starts from the spec's folder. Mode external:
    the proxy's certificate, for TURN over TLS at `turn.listen`; without it, and with a `turn.domain` on port 443, the
    hub gets a certificate as in mode acme."""

    key: FilePath | None = Field(default=None, examples=["/path/privkey.pem"])
    """Mode files: the certificate's key, PEM."""

    listen: Port | None = Field(default=None, examples=[443])
    """TCP port of the hub: the web application, signalling and TURN over TLS share it; by default 443. In mode
    external, the port on which the proxy reaches the hub, without TLS; by default 7883."""

    http: PortOrOff | None = Field(default=None, examples=[80])
    """Port on which the hub redirects browsers to HTTPS, answers ACME's HTTP challenge and serves the root of mode
    internal; or `off`. By default 80 if `listen` is 443, otherwise off."""

    trusted_proxies: Annotated[Networks, Field(json_schema_extra={"default": ["127.0.0.0/8", "::1/128"]})] = (
        IPv4Network("127.0.0.0/8"),
        IPv6Network("::1/128"),
    )
    """Mode external: the networks that the proxy connects from. The hub takes the
    address of a client only from a proxy there."""


class Media(Part):
    """The SFU: where it listens, and the address that it tells clients."""

    advertise: Addresses = "auto"
    """The address that clients send media to: `auto`, an IP, a list of them, or `{stun: host:port}`, which asks
    only that server. `auto` is 127.0.0.1 for `reach: local`; this machine's address on each LAN for
    `reach: lan`; for `reach: public` its public address, or what `domain` resolves to where it is behind a NAT."""

    udp: Annotated[PortsOfMedia, Field(json_schema_extra={"default": 7882})] = (PortRange(7882, 7882),)
    """UDP port of media: one port, or a range such as `50000-60000`. A list of two, such as `[7882, 7892]`, is for two
    media processes: with `redis`, a change of media starts a new process on the other port, and the old one keeps its
    rooms until they end. Clients need both ports."""

    tcp: TcpOfMedia | None = Field(default=None, examples=[7881])
    """Port of ICE/TCP, for clients whose UDP is blocked, or `off`. LiveKit binds it on every interface,
    so it is `off` by default for `reach: local`; else 7881. With two ports in `udp`, two of them too, such as
    `[7881, 7891]`."""

    signal: Port = 7880
    """TCP port of signalling (HTTP and WebSocket). With TLS only this machine can connect to it, and clients
    use the hub's HTTPS port."""

    interfaces: tuple[str, ...] = Field(default=(), strict=False)
    """Network interfaces that media may use, by name. Empty: those that carry an advertised address.
    For `reach: lan` they also decide which addresses are advertised."""


class Turn(Part):
    """The hub's own relay, for clients that can't reach media directly. It relays only to the hub's media."""

    enabled: bool = True
    """Whether the relay runs."""

    udp: PortOrOff = 3478
    """UDP port of TURN and STUN, or `off`."""

    domain: Domain | None = Field(default=None, examples=["turn.example.com"])
    """Name of TURN over TLS. By default the hub's own, on the same port; another one needs a certificate too."""

    tls: bool = True
    """Whether TURN over TLS is offered, on the hub's HTTPS port: for clients that reach nothing but 443/tcp."""

    listen: Port | None = Field(default=None, examples=[5349])
    """Mode external: TCP port on which the hub takes TURN over TLS, from clients or from a proxy that splits
    connections by server name (`lkhub render proxy`). By default TURN over TLS is not offered in this mode, since an
    HTTP proxy can't carry it."""

    port: Port | None = Field(default=None, examples=[443])
    """Mode external: port that clients are told for TURN over TLS, if it is not `listen`: 443 with a proxy that splits
    connections by server name, which also needs `domain`."""

    relay: Annotated[Ports, Field(json_schema_extra={"default": "30000-39999"})] = PortRange(30000, 39999)
    """Ports from which the relay sends to the SFU on this machine. No firewall has to open them. If TURN runs over UDP
    and over TLS, UDP has the lower half of the ports and TLS the upper half."""

    external: tuple[External, ...] = Field(default=(), strict=False)
    """Further TURN servers that clients may use, such as coturn: `{url: turns:HOST:PORT, secret: SECRET}`
    with its `static-auth-secret`, or `{url: …, username: NAME, credential: SECRET}`. A secret may be `{file: PATH}`
    or `{env: NAME}`."""


class Keys(Part):
    """The API key that applications sign their tokens with."""

    source: Source = "managed"
    """`managed`: generated once and kept in the state directory. `dev`: the key `devkey` with the secret `secret`, as
    of `livekit-server --dev`, for a hub that is not on the internet. Or `{key: NAME, secret: SECRET}`, where
    the secret may be `{file: PATH}` or `{env: NAME}`; `{file: PATH}`, a YAML file of `NAME: SECRET`; or
    `{env: [KEY_VARIABLE, SECRET_VARIABLE]}`."""


class Spec(Part):
    """One hub."""

    version: Annotated[int, PlainValidator(_parse_version), WithJsonSchema({"const": 1})] = 1
    """Version of this format."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")] = "hub"
    """Name of the hub: lower-case letters, digits and dashes."""

    reach: Reach = "local"
    """Who can reach the hub: `local`, this machine only; `lan`, this network; `public`, the internet."""

    domain: Domain | None = Field(default=None, examples=["rtc.example.com"])
    """Name of the hub in the DNS. `reach: public` needs one; mode tailscale has one of its own."""

    tls: Tls = Tls()
    media: Media = Media()
    turn: Turn = Turn()

    stun: Stun = "own"
    """STUN servers that clients are told: `own`, the hub's relay, or a list of `host:port`. With `own`
    no third party learns of a call."""

    web: Port = 8080
    """TCP port of the web application and the token endpoint. With TLS clients use the hub's HTTPS port, and only this
    machine can connect to this one."""

    keys: Keys = Keys()

    access: Access = Access()

    rooms: tuple[RoomPreset, ...] = Field(default=(), strict=False)
    """Presets of rooms, each for the names that its `match` fits. The first that fits a name is taken."""

    webhooks: tuple[Webhook, ...] = Field(default=(), strict=False)
    """Applications that are told what happens in rooms, as LiveKit tells it."""

    agents: tuple[Agent, ...] = Field(default=(), strict=False)
    """Agents that run with the hub. Each is started with the hub's URL and API key, is started again when it ends, and
    is asked for again in a room that has lost it."""

    sites: tuple[Site, ...] = Field(default=(), strict=False)
    """Web sites that the hub serves over TLS, each from a folder of files, which it can build."""

    store: Annotated[Store, Field(json_schema_extra={"default": "sqlite"})] = SqliteStore()
    """Where API keys, invites, seats, the audit log and undelivered webhooks are kept. `sqlite`: a file in the state
    directory. Or `postgresql://USER@HOST/DATABASE`, or `{url: …, password: SECRET}`, where the secret may be
    `{file: PATH}` or `{env: NAME}`. Another store begins empty: every application needs a new API key, and what waits
    for receivers stays in the earlier store."""

    redis: RedisServer | None = Field(default=None, examples=["redis://127.0.0.1:6379"])
    """A Redis server through which media processes share their rooms: `redis://HOST:PORT/DATABASE`, `rediss://` with
    TLS, or `{url: …, username: NAME, password: SECRET}`, where the secret may be `{file: PATH}` or `{env: NAME}`. With
    it and two ports in `media.udp`, a change of media waits for no call and interrupts none. Each hub needs a Redis
    server of its own: LiveKit's keys have no prefix, and its messages reach the hubs of all databases of a server.
    Media doesn't start without this server."""

    drain: Annotated[Drain, Field(json_schema_extra={"default": "30s"})] = DEFAULT_DRAIN
    """How long a stop (`lkhub down`, Ctrl-C, SIGTERM) waits for people to leave their calls before it cuts them off: a
    number and a unit, such as `90s` or `10m`, up to `7d`; `0s` does not wait. A program that stops the hub
    (`docker stop -t`, a service manager) has to wait 30 seconds longer than this, or it ends the calls itself."""

    engine: str = "bundled"
    """`bundled`, or the path of a livekit-server program to run instead; a relative one starts from the
    spec's folder."""

    livekit: RawLiveKit = Field(default_factory=dict)
    """Raw keys of livekit.yaml, merged last and checked by LiveKit's own strict parser."""
