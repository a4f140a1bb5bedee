"""The raw keys of livekit.yaml that a spec may not carry, because it decides them itself.

Set in both places, the plan and the server would disagree about where media is.
"""

from collections.abc import Iterator
from typing import Any

from lkhub.spec.document import Path, dotted

OWNED_LIVEKIT_KEYS: dict[Path, str] = {
    ("port",): "media.signal",
    ("bind_addresses",): "reach",
    ("keys",): "keys.source",
    ("key_file",): "keys.source",
    ("turn",): "turn",
    ("rtc", "node_ip"): "media.advertise",
    ("rtc", "use_external_ip"): "media.advertise",
    ("rtc", "udp_port"): "media.udp",
    ("rtc", "port_range_start"): "media.udp",
    ("rtc", "port_range_end"): "media.udp",
    ("rtc", "tcp_port"): "media.tcp",
    ("rtc", "turn_servers"): "turn",
    ("rtc", "stun_servers"): "stun",
}


def find_owned(livekit: Any) -> Iterator[tuple[Path, str, str]]:
    """Path below `livekit`, problem and hint of every raw key that the spec decides."""
    if not isinstance(livekit, dict):
        return
    for path, instead in OWNED_LIVEKIT_KEYS.items():
        above = livekit
        for step in path[:-1]:
            above = above.get(step, {})
        if not isinstance(above, dict):
            yield path[:-1], "a mapping is expected; as it is, it would throw away what the spec says", ""
        elif path[-1] in above:
            yield path, f"{dotted(path)} follows from the spec", f"set {instead} instead"
