"""The record of what is in force: what commands need to know of a hub without asking its supervisor.

Light to import: most commands read it, and many need nothing else.
"""

import json
import time
from dataclasses import asdict
from types import NoneType
from typing import TYPE_CHECKING, Any

from lkhub.host import files
from lkhub.source.json_text import parse_json

if TYPE_CHECKING:
    from lkhub.plan.model import Plan
    from lkhub.plan.paths import StatePaths
    from lkhub.prepare.hub import PreparedHub

# What every version has written.
_ALWAYS: dict[str, type | tuple[type, ...]] = {
    "spec": (str, NoneType),
    "name": str,
    "at": (int, float),
    "urls": dict,
    "probes": list,
}
_URLS = ("livekit", "web", "local_media")

# What the first version has not.
_SINCE: dict[str, Any] = {
    "reach": "local",
    "tls": "",
    "ca": "",
    "auto_create": True,
    "drain": None,
    "at_home": {},
    "ports": {},
    "front": {},
    "certified": [],
    "names": [],
    "told": [],
    "firewall": None,
    "turn_of_others": [],
    "findings": [],
}
_SINCE_TYPES: dict[str, tuple[type, ...]] = {"drain": (int, NoneType), "firewall": (dict, NoneType)}


def load_applied(paths: "StatePaths") -> dict[str, Any] | None:
    """What `write_applied` wrote last, None before the first `up`."""
    try:
        text = files.read_text(paths.applied)
        record = parse_json(text) if text else None
    except (ValueError, files.NotTextError):
        return None
    if not isinstance(record, dict):
        return None
    complete = _SINCE | record
    return complete if _is_whole(complete) else None


def _is_whole(record: dict[str, Any]) -> bool:
    """Whether every key is there with a value of its type: else another program wrote the file."""
    always = all(isinstance(record.get(key), kinds) for key, kinds in _ALWAYS.items())
    since = all(isinstance(record[key], _SINCE_TYPES.get(key, type(default))) for key, default in _SINCE.items())
    return always and since and all(isinstance(record["urls"].get(key), str) for key in _URLS)


def write_applied(hub: "PreparedHub") -> None:
    """Note that this hub is in force from now on."""
    # Imported here: these bring the whole plan, and a command that only reads the record does without it.
    from pydantic import TypeAdapter

    from lkhub.findings.catalogue.choices import root_new
    from lkhub.firewall.table import FirewallTable, firewall_table
    from lkhub.plan.front import describe_front, list_others, list_ports
    from lkhub.plan.leads import list_led_names

    plan = hub.plan
    # Of a new root there is a record of its own, which ends.
    lasting = [finding for finding in plan.findings if finding.code != root_new.name]
    record = {
        "spec": hub.spec,
        "name": plan.name,
        "reach": plan.reach,
        "tls": plan.edge.tls.mode if plan.edge else "off",
        "at": time.time(),
        "urls": asdict(plan.urls),
        "probes": plan.probes,
        "at_home": plan.at_home,
        "ca": _authority_of(plan),
        "certified": list_certified(plan),
        "auto_create": _opens_by_joining(plan),
        "drain": int(plan.drain),
        "ports": list_ports(plan),
        "front": describe_front(plan),
        "turn_of_others": list_others(plan),
        "names": list_led_names(plan),
        "findings": [asdict(finding) for finding in lasting],
        "told": [[str(address.external), str(address.local)] for address in plan.media.addresses],
        "firewall": TypeAdapter(FirewallTable).dump_python(firewall_table(plan, hub.interfaces), mode="json"),
    }
    files.write_private(plan.paths.applied, json.dumps(record, indent=2) + "\n")


def _opens_by_joining(plan: "Plan") -> bool:
    """Whether joining opens a room that is not there: LiveKit's room.auto_create, which is on unless it is turned
    off."""
    room = plan.livekit.get("room")
    return not (isinstance(room, dict) and room.get("auto_create") is False)


def _authority_of(plan: "Plan") -> str:
    """The root certificate that the hub's own programs must trust besides the system's; "" where there is none."""
    return plan.paths.ca_root if plan.edge and plan.edge.tls.mode == "internal" else ""


def list_certified(plan: "Plan") -> list[str]:
    """The names for which the edge gets or makes a certificate. An authority takes seconds the first time, and the
    hub's own takes more than one where the machine is busy."""
    edge = plan.edge
    if edge is None or edge.tls.cert or edge.tls.mode == "off":
        return []
    if edge.tls.mode == "external":
        return [edge.turn.host] if edge.turn else []
    return list(edge.names)
