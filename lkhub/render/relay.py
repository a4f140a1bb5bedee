"""The relay's configuration: relay.json for TURN over UDP, and a part of caddy.json for TURN over TLS, which the edge
serves. The keys are in engine/internal/relay/config.go."""

import json

from lkhub.plan.model import Plan, RelayPlan, in_url
from lkhub.render.files import RenderedFile
from lkhub.source.json_text import Json
from lkhub.spec.ports import PortRange

# A participant makes about 6 allocations for each TURN URL (one per peer connection and network interface); twice that
# leaves room for a reconnect before the old ones end.
ALLOCATIONS_PER_URL = 12


def render_relay(plan: Plan, relay: RelayPlan) -> RenderedFile:
    """relay.json: TURN over UDP, which has a URL for each address of the hub."""
    listen = [f"{in_url(address)}:{relay.udp}" for address in relay.bind]
    config = {"listen": listen, **_describe(plan, relay.udp_relay, len(plan.media.addresses))}
    return RenderedFile("relay.json", json.dumps(config, indent=2) + "\n")


def describe_tls_relay(plan: Plan, relay: RelayPlan) -> dict[str, Json]:
    """TURN over TLS, which has one URL."""
    return _describe(plan, relay.tls_relay, 1)


def _describe(plan: Plan, ports: PortRange, urls: int) -> dict[str, Json]:
    """What both have in common: the relay reaches media's UDP ports and nothing else."""
    media = plan.media
    config: dict[str, Json] = {
        "realm": plan.name,
        "secret_file": plan.paths.relay_secret,
        "relay_address": str(media.local[0]),
        "relay_ports": {"min": ports.start, "max": ports.end},
        "peers": [
            {"address": str(address), "min": each.udp.start, "max": each.udp.end}
            for each in media.ports
            for address in media.advertise
        ],
        "quota": ALLOCATIONS_PER_URL * urls,
    }
    media_processes = [process for process in (*plan.processes, *plan.spare) if process.knows_participants]
    if controls := [process.health.socket for process in media_processes if process.health.socket]:
        config["media_control"] = controls  # a livekit-server of the user's doesn't say which clients are in a call
    if media.is_translated:
        config["translate"] = [
            {"advertised": str(address.external), "local": str(address.local)}
            for address in media.addresses
            if address.external != address.local
        ]
    return config
