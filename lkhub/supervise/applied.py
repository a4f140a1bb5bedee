"""The record of what is in force: what commands need to know of a hub without asking its supervisor.

Light to import: most commands read it, and many need nothing else.
"""

import json
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from lkhub.host import files

if TYPE_CHECKING:
    from lkhub.plan.model import Plan
    from lkhub.plan.paths import StatePaths
    from lkhub.prepare import PreparedHub


def load_applied(paths: "StatePaths") -> dict[str, Any] | None:
    """What `write_applied` wrote last, None before the first `up`."""
    text = files.read_text(paths.applied)
    try:
        record = json.loads(text) if text else None
    except ValueError:
        return None
    # These were not written by the first version.
    since = {"tls": "", "at_home": {}, "ca": "", "certified": [], "auto_create": True, "ports": {}, "front": {}}
    since |= {"names": [], "told": [], "firewall": None, "turn_of_others": []}
    return since | record if isinstance(record, dict) else None


def write_applied(hub: "PreparedHub") -> None:
    """Note that this hub is in force from now on."""
    # Imported here: these bring the whole plan, and a command that only reads the record does without it.
    from pydantic import TypeAdapter

    from lkhub.plan.firewall import FirewallTable, firewall_table
    from lkhub.plan.front import describe_front, list_others, list_ports
    from lkhub.plan.leads import list_led_names

    plan = hub.plan
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
    """The names for which the edge asks a certificate of somebody, which takes a while the first time."""
    edge = plan.edge
    if edge is None or edge.tls.cert or edge.tls.mode not in ("acme", "tailscale", "external"):
        return []
    if edge.tls.mode == "external":
        return [edge.turn.host] if edge.turn else []
    return list(edge.names)
