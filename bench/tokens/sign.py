"""A token by LiveKit's server SDK for Python."""

import os
from datetime import timedelta

from livekit import api


def sign(room: str, identity: str) -> str:
    grants = api.VideoGrants(room_join=True, room=room, can_publish=True, can_subscribe=True)
    token = api.AccessToken(os.environ["LIVEKIT_API_KEY"], os.environ["LIVEKIT_API_SECRET"])
    return token.with_identity(identity).with_grants(grants).with_ttl(timedelta(hours=6)).to_jwt()
