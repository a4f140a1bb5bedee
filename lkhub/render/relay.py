"""relay.json, read by `lkhub-engine relay` (its keys are in engine/relay_config.go)."""

import json
from typing import Any

from lkhub.plan.model import Plan, RelayPlan, in_url
from lkhub.render.files import RenderedFile

# A participant makes about 6 allocations for each TURN URL (one per peer connection and network interface); twice that
# leaves room for a reconnect before the old ones expire.
ALLOCATIONS_PER_URL = 12


def render_relay(plan: Plan, relay: RelayPlan) -> RenderedFile:
    """The relay's configuration: it reaches media's UDP ports and nothing else."""
    media = plan.media
    config: dict[str, Any] = {
        "listen": [f"{in_url(address)}:{relay.udp}" for address in relay.listen if relay.udp],
        "realm": plan.name,
        "secret_file": plan.paths.relay_secret,
        "relay_address": str(media.local[0]),
        "relay_ports": {"min": relay.relay.start, "max": relay.relay.end},
        "peers": [
            {"address": str(address), "min": media.udp.start, "max": media.udp.end} for address in media.advertise
        ],
        "quota": ALLOCATIONS_PER_URL * max(2, _count_urls(plan, relay)),
    }
    if relay.tls:
        config["tls_socket"] = plan.paths.socket("relay-tls")
    if media.is_translated:
        config["translate"] = [
            {"advertised": str(address.external), "local": str(address.local)}
            for address in media.addresses
            if address.external != address.local
        ]
    return RenderedFile("relay.json", json.dumps(config, indent=2) + "\n")


def _count_urls(plan: Plan, relay: RelayPlan) -> int:
    addresses = len(plan.media.addresses)
    return (addresses if relay.udp else 0) + (addresses if relay.tls else 0)
