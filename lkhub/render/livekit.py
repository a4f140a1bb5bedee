"""livekit.yaml. Sole owner of LiveKit's keys; what they do is in LiveKit's pkg/config/config.go (1.13.5)."""

import io
from collections.abc import Mapping
from typing import Any

from ruamel.yaml import YAML

from lkhub.plan.model import Plan, in_url
from lkhub.render.files import HEADER, RenderedFile


def render_livekit(plan: Plan) -> RenderedFile:
    """livekit.yaml of a plan. It holds no secret: those are in files that it names."""
    config: dict[str, Any] = {
        "port": plan.media.signal,
        "bind_addresses": [str(address) for address in plan.media.bind],
        "key_file": plan.paths.keys,
        "rtc": _render_rtc(plan),
        # LiveKit's embedded TURN relays TCP to anywhere; the hub's own relay replaces it.
        "turn": {"enabled": False},
        "logging": {"json": True, "level": "info"},
    }
    return RenderedFile("livekit.yaml", f"# {HEADER}\n{_dump(merge(config, plan.livekit))}")


def _render_rtc(plan: Plan) -> dict[str, Any]:
    media = plan.media
    rtc: dict[str, Any] = {
        "node_ip": ",".join(str(address) for address in media.advertise),
        "use_external_ip": False,
        "tcp_port": media.tcp or 0,
        "interfaces": {"includes": list(media.interfaces)},
    }
    if media.udp.start == media.udp.end:
        rtc["udp_port"] = media.udp.start
    else:
        rtc["port_range_start"], rtc["port_range_end"] = media.udp.start, media.udp.end
    if media.loopback:
        rtc["enable_loopback_candidate"] = True
    else:
        # An interface may carry more addresses than the one that clients are told.
        rtc["ips"] = {"includes": [f"{address}/{address.max_prefixlen}" for address in media.advertise]}
    if plan.stun:
        rtc["stun_servers"] = list(plan.stun)
    if plan.relay:
        # Any entry here also keeps LiveKit from adding public STUN servers for its clients.
        rtc["turn_servers"] = [
            {"host": in_url(address), "port": plan.relay.udp, "protocol": "udp", "secret_file": plan.paths.relay_secret}
            for address in plan.relay.listen
        ]
    return rtc


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with `over` on top: mappings are merged, everything else is replaced."""
    merged = dict(base)
    for key, value in over.items():
        below = merged.get(key)
        merged[key] = merge(below, value) if isinstance(below, Mapping) and isinstance(value, Mapping) else value
    return merged


def _dump(config: Mapping[str, Any]) -> str:
    yaml = YAML()
    yaml.default_flow_style = False
    yaml.indent(mapping=2, sequence=4, offset=2)
    text = io.StringIO()
    yaml.dump(dict(config), text)
    return text.getvalue()
