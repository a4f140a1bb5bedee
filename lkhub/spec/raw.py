"""The raw keys of livekit.yaml that a spec may not carry.

First, keys that the spec decides: set in both places, the plan and livekit-server would disagree about where media is.
Second, keys of features that the bundled engine is built without (docs/adr/0009-webrtc-copy.md): they would have no
effect. Third, an address that LiveKit's parser accepts although media can't run with it.
"""

import re
from collections.abc import Iterator
from typing import Any

from lkhub.findings.catalogue.spec import key_refused, value_wrong
from lkhub.findings.declare import Statement
from lkhub.source.path import Path, dotted

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


# Refused unless they are off.
_NOT_BUILT_IN: tuple[Path, ...] = (("rtc", "enable_warp"),)


_REDIS: Path = ("redis", "address")


def find_refused(livekit: Any, *, bundled: bool) -> Iterator[tuple[Path, Statement, str]]:
    """Path below `livekit`, problem and hint of every raw key that is not taken, by the `bundled` engine or another."""
    yield from _find_owned(livekit)
    address = _value(livekit, _REDIS)
    if isinstance(address, str) and "://" in address:
        scheme, _, rest = address.partition("://")
        # What stands before @ is a login, and what comes after ? may be one.
        before = re.split("[?#]", rest)[0]
        where = "" if "@" in rest[len(before) :] else before.rpartition("@")[2].partition("/")[0]
        where = where or "HOST"
        where += "" if where.rpartition(":")[2].isdigit() else ":6379"
        tls = ", and redis.tls: {enabled: true}" if scheme == "rediss" else ""
        yield _REDIS, value_wrong("Redis is found by HOST:PORT alone, without a scheme"), f"write address: {where}{tls}"
    for path in _NOT_BUILT_IN if bundled else ():
        if _value(livekit, path) not in (None, False):
            hint = "leave it out; LiveKit itself has it off by default"
            yield path, key_refused("this engine is built without it"), hint


def _find_owned(livekit: Any) -> Iterator[tuple[Path, Statement, str]]:
    if not isinstance(livekit, dict):
        return
    for path, instead in OWNED_LIVEKIT_KEYS.items():
        above = livekit
        for step in path[:-1]:
            above = above.get(step, {})
        if not isinstance(above, dict):
            problem = "a mapping is expected; as it is, it would throw away what the spec says"
            yield path[:-1], value_wrong(problem), ""
        elif path[-1] in above:
            yield path, key_refused(f"{dotted(path)} follows from the spec"), f"set {instead} instead"


def _value(data: Any, path: Path) -> Any:
    """The value at a path, None where there is none."""
    for step in path:
        data = data.get(step) if isinstance(data, dict) else None
    return data
