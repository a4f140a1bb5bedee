"""Join links of a hub, and the root that devices trust."""

import json
from pathlib import Path

from lkhub.host.keyfile import load_keys
from lkhub.livekit.tokens import Grant, join_grant, sign
from tests.kit.hub import Hub


def root_of(hub: Hub) -> Path:
    """The root of a hub that certifies itself, as `lkhub trust` prints it."""
    return hub.state / "ca" / "root.crt"


def links_of(hub: Hub, room: str) -> list[str]:
    """Links for two participants to one room, as `lkhub token --link` makes them."""
    key, secret = next(iter(load_keys(str(hub.state / "keys.yaml")).items()))
    web = json.loads((hub.state / "applied.json").read_text())["urls"]["web"]
    grants = (Grant(identity, join_grant(room)) for identity in ("ann", "bob"))
    return [f"{web}/join/{room}#{sign(grant, key, secret)}" for grant in grants]
