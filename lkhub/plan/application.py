"""What applications need around LiveKit: who may ask for tokens, rooms, webhooks, the store. All of it is for the
service, so it is decided as the message that the service gets."""

from collections.abc import Mapping
from ipaddress import ip_address
from typing import Literal
from urllib.parse import urlsplit

from lkhub.findings.catalogue.spec import value_wrong
from lkhub.findings.finding import Edit
from lkhub.plan.paths import StatePaths
from lkhub.receiver_addresses import find_refused
from lkhub.secret import SecretSource
from lkhub.shown import printable
from lkhub.source.json_text import Json
from lkhub.spec.access import PARTICIPANT
from lkhub.spec.access import Oidc as OidcSpec
from lkhub.spec.access import Role as RoleSpec
from lkhub.spec.globs import glob_covers
from lkhub.spec.load import LoadedSpec, suggest
from lkhub.spec.model import Spec
from lkhub.spec.rate import Rate as RateSpec
from lkhub.spec.rooms import RoomPreset as RoomPresetSpec
from lkhub.spec.store import PostgresStore
from lkhub.wire.application import (
    DISCOVERY_PATH,
    SQLITE,
    Access,
    Application,
    Dispatch,
    Limits,
    Mode,
    Oidc,
    Rate,
    Receiver,
    Role,
    RoomPreset,
    Store,
)

# LiveKit's names (livekit/protocol, auth/grants.go).
_SOURCES = {
    "camera": "camera",
    "microphone": "microphone",
    "screen": "screen_share",
    "screen-audio": "screen_share_audio",
}


def plan_application(loaded: LoadedSpec, paths: StatePaths, *, has_edge: bool) -> Application:
    """Decide who may ask, and where it is kept. What contradicts itself is a fault."""
    spec = loaded.spec
    here = spec.reach == "local" and not has_edge
    modes: tuple[Mode, ...] = spec.access.modes if spec.access.modes is not None else ("open",) if here else ()
    roles = {PARTICIPANT: RoleSpec(), **spec.access.roles}
    _check_access(loaded, modes, roles, here=here)
    _check_rooms(loaded, roles)
    _check_webhooks(loaded)
    return Application(
        used=_is_used(spec, modes),
        access=_plan_access(spec, modes, roles, paths),
        rooms=tuple(map(_plan_preset, spec.rooms)),
        webhooks=tuple(Receiver(each.url, each.events, each.allow_private) for each in spec.webhooks),
        store=_plan_store(spec, paths),
    )


def _is_used(spec: Spec, modes: tuple[Mode, ...]) -> bool:
    """Whether the spec asks for anything that needs the store. Mode `open` with the plain role does not. Whether a
    database of PostgreSQL has an invite shows only in there, and not by a file."""
    access = spec.access
    proven = {"api-keys", "oidc"} & set(modes)
    asked = access.roles or access.open_to_anyone or access.origins or "limits" in access.model_fields_set
    return bool(proven or asked or spec.rooms or spec.webhooks or isinstance(spec.store, PostgresStore))


def _plan_access(spec: Spec, modes: tuple[Mode, ...], roles: dict[str, RoleSpec], paths: StatePaths) -> Access:
    access, limits = spec.access, spec.access.limits
    return Access(
        modes=modes,
        create="operator" if access.create == "operator" or _opens_no_room(spec.livekit) else "joining",
        roles={name: _plan_role(role) for name, role in roles.items()},
        default_role=access.default_role,
        origins=access.origins,
        limits=Limits(*map(_plan_rate, (limits.caller, limits.address, limits.room))),
        oidc=_plan_oidc(access.oidc, paths) if access.oidc and "oidc" in modes else None,
    )


def _opens_no_room(livekit: Mapping[str, Json]) -> bool:
    """Whether a raw key says what `create: operator` says: specs could say it no other way once."""
    room = livekit.get("room")
    return isinstance(room, dict) and room.get("auto_create") is False


def _plan_role(role: RoleSpec) -> Role:
    return Role(
        publish=tuple(_SOURCES[source] for source in role.publish),
        subscribe=role.subscribe,
        data=role.data,
        hidden=role.hidden,
        recorder=role.recorder,
        admin=role.admin,
        create=role.create,
        own_metadata=role.own_metadata,
        metadata=role.metadata,
        rooms=role.rooms,
        agents=role.agents,
        ttl=int(role.ttl),
    )


def _plan_oidc(oidc: OidcSpec, paths: StatePaths) -> Oidc:
    return Oidc(
        issuer=oidc.issuer,
        client_id=oidc.client_id,
        client_secret=_file(oidc.client_secret, paths.secret(("access", "oidc", "client_secret"))),
        audience=oidc.audience or oidc.client_id,
        role_claim=oidc.role_claim or "",
    )


def _plan_rate(given: RateSpec | Literal["off"]) -> Rate | None:
    return None if given == "off" else Rate(given.times, given.seconds)


def _plan_preset(preset: RoomPresetSpec) -> RoomPreset:
    return RoomPreset(
        match=preset.match,
        capacity=preset.capacity,
        overflow=preset.overflow,
        empty_timeout=_seconds(preset.empty_timeout),
        departure_timeout=_seconds(preset.departure_timeout),
        metadata=preset.metadata,
        agents=tuple(Dispatch(agent.name, agent.metadata) for agent in preset.agents),
        roles=preset.roles,
    )


def _seconds(given: int | None) -> int | None:
    return None if given is None else int(given)


def _plan_store(spec: Spec, paths: StatePaths) -> Store:
    if isinstance(spec.store, PostgresStore):
        url = spec.store.url.replace("postgresql:", "postgresql+psycopg:", 1)
        return Store(url, _file(spec.store.password, paths.secret(("store", "password"))), paths.identity)
    return Store(f"{SQLITE}{paths.store}", "")


def _file(source: SecretSource | None, file: str) -> str:
    return file if source is not None else ""


def _check_access(loaded: LoadedSpec, modes: tuple[Mode, ...], roles: dict[str, RoleSpec], *, here: bool) -> None:
    access = loaded.spec.access
    if "open" in modes and not here and not access.open_to_anyone:
        hint = "take `open` out, or write access.open_to_anyone: true"
        loaded.add(("access", "modes"), value_wrong("`open` gives tokens to everyone who can reach the hub"), hint)
    if "oidc" in modes and access.oidc is None and not loaded.is_broken(("access", "oidc")):
        hint = "write access.oidc: {issuer: https://…, client_id: …}"
        loaded.add(("access", "modes"), value_wrong("`oidc` needs a provider, and access.oidc names none"), hint)
    if access.oidc is not None and not _is_private(access.oidc.issuer):
        problem = "the provider's tokens and the client's secret would go over the network in clear"
        loaded.add(("access", "oidc", "issuer"), value_wrong(problem), "write its https address")
    if access.oidc is not None and (issuer := access.oidc.issuer.rstrip("/")).endswith(DISCOVERY_PATH):
        issuer = issuer.removesuffix(DISCOVERY_PATH)
        problem = "the address of the provider's document, and not of the provider, under which lkhub looks for it"
        edit = Edit("access.oidc.issuer", issuer)
        loaded.add(("access", "oidc", "issuer"), value_wrong(problem), f"write issuer: {issuer}", edit)
    if access.oidc is not None and "oidc" not in modes:
        loaded.add(("access", "oidc"), value_wrong("not used: `oidc` is not among access.modes"), "add it there")
    room = loaded.spec.livekit.get("room")
    if access.create == "operator" and isinstance(room, dict) and room.get("auto_create") not in (None, False):
        contradicts = value_wrong("access.create: operator says that joining opens no room")
        loaded.add(("livekit", "room", "auto_create"), contradicts, "leave it out here")
    if access.default_role not in roles and not loaded.is_broken(("access", "roles")):
        problem = f"there is no role {access.default_role}"
        loaded.add(("access", "default_role"), value_wrong(problem), suggest(access.default_role, list(roles)))


def _is_private(url: str) -> bool:
    """Whether nobody on the way can read what goes to `url`."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    try:
        here = ip_address(host).is_loopback
    except ValueError:
        here = host == "localhost"
    return parts.scheme == "https" or here


def _check_rooms(loaded: LoadedSpec, roles: dict[str, RoleSpec]) -> None:
    for index, preset in enumerate(loaded.spec.rooms):
        earlier = [each.match for each in loaded.spec.rooms[:index]]
        if covering := next((each for each in earlier if glob_covers(each, preset.match)), None):
            name = printable(covering)
            unused = value_wrong(
                f"no room gets this preset: {name} before it fits all these names, and the first counts"
            )
            hint = "keep one of them" if covering == preset.match else f"move it above {name}"
            loaded.add(("rooms", index, "match"), unused, hint)
        for role in preset.roles:
            if role not in roles and not loaded.is_broken(("access", "roles")):
                problem = value_wrong(f"there is no role {role}")
                loaded.add(("rooms", index, "roles"), problem, suggest(role, list(roles)))
        if preset.overflow == "subrooms" and preset.capacity is None:
            problem = value_wrong("sub-rooms need a capacity: a room without one is never full")
            loaded.add(("rooms", index, "overflow"), problem, "write capacity: NUMBER beside it")


def _check_webhooks(loaded: LoadedSpec) -> None:
    known: set[str] = set()
    for index, receiver in enumerate(loaded.spec.webhooks):
        if receiver.url in known:
            loaded.add(("webhooks", index, "url"), value_wrong("another receiver has this URL too"), "keep one of them")
        known.add(receiver.url)
        if not _find_refused(receiver.url, allow_private=receiver.allow_private):
            continue
        if _find_refused(receiver.url, allow_private=True):
            problem = value_wrong("nothing is sent to link-local, multicast or reserved addresses")
            loaded.add(("webhooks", index, "url"), problem, "write the address at which other machines reach it")
        else:
            problem = value_wrong("the receiver is on this machine or in a private network, and would get nothing")
            loaded.add(("webhooks", index, "url"), problem, "write allow_private: true beside it")


def _find_refused(url: str, *, allow_private: bool) -> str:
    """Why nothing would be delivered to an address; "" for a name, since what it leads to is checked for each
    delivery."""
    host = urlsplit(url).hostname or ""
    if host == "localhost" or host.endswith(".localhost"):
        host = "127.0.0.1"
    try:
        return find_refused([host], allow_private=allow_private)
    except ValueError:
        return ""
