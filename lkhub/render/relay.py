"""relay.json, read by `lkhub-engine relay` (its keys are in engine/relay_config.go)."""

import json

from lkhub.plan.model import Plan, RelayPlan, in_url
from lkhub.render.files import RenderedFile

# A participant makes about 12 allocations (one per TURN URL, peer connection and network interface);
# twice that leaves room for a reconnect before the old ones expire.
ALLOCATIONS_PER_PARTICIPANT = 24


def render_relay(plan: Plan, relay: RelayPlan) -> RenderedFile:
    """The relay's configuration: it reaches media's UDP ports and nothing else."""
    media = plan.media
    config = {
        "listen": [f"{in_url(address)}:{relay.udp}" for address in relay.listen],
        "realm": plan.name,
        "secret_file": plan.paths.relay_secret,
        "relay_address": str(media.advertise[0]),
        "relay_ports": {"min": relay.relay.start, "max": relay.relay.end},
        "peers": [
            {"address": str(address), "min": media.udp.start, "max": media.udp.end} for address in media.advertise
        ],
        "quota": ALLOCATIONS_PER_PARTICIPANT,
    }
    return RenderedFile("relay.json", json.dumps(config, indent=2) + "\n")
