"""livekit.yaml. Sole owner of LiveKit's keys; what they do is in LiveKit's pkg/config/config.go (1.13.11)."""

from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType

from lkhub.plan.model import REDIS_PASSWORD, MediaPorts, Plan, RedisPlan, RelayPlan, as_host, in_url
from lkhub.plan.processes import SECOND_LIVEKIT
from lkhub.render.files import HEADER, RenderedFile
from lkhub.render.yaml_text import dump_yaml
from lkhub.secret import Secret
from lkhub.source.json_text import Json
from lkhub.source.path import Path
from lkhub.spec.address import Address
from lkhub.wire.application import LIVEKIT_WEBHOOKS

# The placeholder for a credential in a file that is only for people to read.
_HIDDEN = Secret("***")


# For each message this many lines a second, and of further lines every thousandth. LiveKit logs every request to its
# API, also without a token: unbounded, one connection makes 6 MB of log a second, and nothing else is left in it. The
# names with `item` are those that LiveKit reads (livekit/protocol 1.50, logger/logger.go, FromZapLogger).
_LINES, _EACH = 50, 1000
_SAMPLING = {
    "sample": True,
    **{f"{kind}_initial": _LINES for kind in ("sample", "item_sample")},
    **{f"{kind}_interval": _EACH for kind in ("sample", "item_sample")},
}


# LiveKit tries to deliver an event five times within 15 s. It throws away events that have waited for longer than
# `max_age`, and those of a room for which more than `max_depth` wait (livekit/protocol 1.53, webhook/
# resource_url_notifier.go): 30 s and 200, unless these are set. After a restart of the service more of them get
# through this way.
_PATIENCE: dict[str, Json] = {"max_age": "5m", "max_depth": 2000}


# With Redis, what clients and LiveKit tell each other goes through it, also within one process. A message that has
# not arrived after this long ends the client's connection, and it can't connect again without Redis. LiveKit's own
# 7.5 s would end all calls soon after Redis; for much longer, LiveKit would have to keep too many messages.
_OUTAGE = "60s"


def render_livekit(
    plan: Plan, secrets: Mapping[Path, Secret] = MappingProxyType({}), key: str = _HIDDEN.reveal()
) -> RenderedFile:
    """livekit.yaml of a plan. `key` is the name of the key with which a LiveKit of the operator's own signs webhooks.

    The secrets are in files that livekit.yaml names, but for the credentials of other people's TURN servers that take a
    login: those are among the `secrets` of the spec, by their place there. LiveKit could read a login from a file
    (`credentials_file`, of name and password together); this file is as private.
    """
    return _render("livekit.yaml", plan, plan.media.ports[0], secrets, key)


def render_second_livekit(
    plan: Plan, secrets: Mapping[Path, Secret] = MappingProxyType({}), key: str = _HIDDEN.reveal()
) -> RenderedFile:
    """livekit-2.yaml: the same with the second ports."""
    return _render(SECOND_LIVEKIT, plan, plan.media.ports[1], secrets, key)


def _render(name: str, plan: Plan, ports: MediaPorts, secrets: Mapping[Path, Secret], key: str) -> RenderedFile:
    config: dict[str, Json] = {
        "port": plan.media.signal,
        "bind_addresses": [str(address) for address in plan.media.bind],
        "key_file": plan.paths.keys,
        "rtc": _render_rtc(plan, ports, secrets),
        **(
            {"redis": _render_redis(plan.redis, secrets), "signal_relay": {"retry_timeout": _OUTAGE}}
            if plan.redis
            else {}
        ),
        # LiveKit's embedded TURN relays TCP to anywhere; the hub's own relay replaces it.
        "turn": {"enabled": False},
        **({"room": {"auto_create": False}} if plan.serve.application.access.create == "operator" else {}),
        "logging": {"json": True, "level": "info", **_SAMPLING},
    }
    merged = merge(config, plan.livekit)
    if plan.serve.application.used:
        merged["webhook"] = _render_webhook(plan, merged.get("webhook"), key)
    return RenderedFile(name, f"# {HEADER}\n{dump_yaml(merged)}")


def _render_webhook(plan: Plan, raw: Json, key: str) -> Json:
    """The service is told of every event. The raw keys of a spec may add other receivers."""
    others = raw if isinstance(raw, Mapping) else {}
    urls = others.get("urls")
    own: dict[str, Json] = {"resource_url_notifier": _PATIENCE}
    if not any(process.engine == "media" for process in plan.processes):
        # The hub's own media takes the current key, which may change while it runs (engine/internal/sfu/keys.go).
        own["api_key"] = key
    listed = urls if isinstance(urls, list | tuple) else ()
    return {**merge(own, others), "urls": [*listed, f"{plan.urls.local_serve}{LIVEKIT_WEBHOOKS}"]}


def _render_redis(redis: RedisPlan, secrets: Mapping[Path, Secret]) -> Json:
    told: dict[str, Json] = {"address": redis.address}
    if redis.username:
        told["username"] = redis.username
    if redis.has_password:
        # LiveKit reads it from no file.
        told["password"] = secrets.get(REDIS_PASSWORD, _HIDDEN).reveal()
    if redis.database:
        told["db"] = redis.database
    if redis.tls:
        told["tls"] = {"enabled": True}
    return told


def _render_rtc(plan: Plan, ports: MediaPorts, secrets: Mapping[Path, Secret]) -> dict[str, Json]:
    media = plan.media
    rtc: dict[str, Json] = {
        "node_ip": ",".join(str(address) for address in _one_of_each_family(media.advertise)),
        "use_external_ip": False,
        "tcp_port": ports.tcp or 0,
        "interfaces": {"includes": list(media.interfaces)},
    }
    if ports.udp.start == ports.udp.end:
        rtc["udp_port"] = ports.udp.start
    else:
        rtc["port_range_start"], rtc["port_range_end"] = ports.udp
    if media.loopback:
        rtc["enable_loopback_candidate"] = True
    else:
        # An interface may carry more addresses than the one that clients are told.
        rtc["ips"] = {"includes": [f"{address}/{address.max_prefixlen}" for address in media.local]}
    if plan.stun:
        rtc["stun_servers"] = list(plan.stun)
    # Any entry here also keeps LiveKit from adding public STUN servers for its clients.
    turn = [*(_render_turn(plan, plan.relay) if plan.relay else ()), *_render_others_turn(plan, secrets)]
    if turn:
        rtc["turn_servers"] = turn
    return rtc


def _render_turn(plan: Plan, relay: RelayPlan) -> Iterator[dict[str, Json]]:
    common: dict[str, Json] = {"secret_file": plan.paths.relay_secret}
    if relay.udp:
        for address in plan.media.addresses:
            yield {"host": in_url(address.external), "port": relay.udp, "protocol": "udp", **common}
    if relay.tls:
        host, port = relay.tls
        told = [str(address) for address in plan.media.advertise]
        # A name works everywhere; clients on another LAN can't reach this LAN's address.
        for each in told if host in told else [host]:
            yield {"host": as_host(each), "port": port, "protocol": "tls", **common}


def _render_others_turn(plan: Plan, secrets: Mapping[Path, Secret]) -> Iterator[dict[str, Json]]:
    for index, server in enumerate(plan.turn_servers):
        common: dict[str, Json] = {"host": server.host, "port": server.port, "protocol": server.protocol}
        if server.secret_file:
            yield {**common, "secret_file": server.secret_file}
        else:
            credential = secrets.get(("turn", "external", index, "credential"), _HIDDEN).reveal()
            yield {**common, "username": server.username, "credential": credential}


def _one_of_each_family(addresses: Iterable[Address]) -> list[Address]:
    """What node_ip takes. If there are more addresses, the engine is told all of them by --advertise."""
    firsts: dict[int, Address] = {}
    for address in addresses:
        firsts.setdefault(address.version, address)
    return list(firsts.values())


def merge(base: Mapping[str, Json], over: Mapping[str, Json]) -> dict[str, Json]:
    """`base` with `over` on top: mappings are merged, everything else is replaced."""
    merged = dict(base)
    for key, value in over.items():
        below = merged.get(key)
        merged[key] = merge(below, value) if isinstance(below, Mapping) and isinstance(value, Mapping) else value
    return merged
