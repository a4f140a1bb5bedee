"""Tokens for voice rooms, made as on LiveKit Cloud: by the server SDK, with the key of the environment."""

import os
from datetime import timedelta

from livekit import api


def join_room(user: str, room: str) -> dict[str, str]:
    """Where a browser connects, and the token with which it does: one room, one user, ten minutes to join."""
    grants = api.VideoGrants(room_join=True, room=room, can_publish=True, can_subscribe=True)
    token = api.AccessToken(os.environ["LIVEKIT_API_KEY"], os.environ["LIVEKIT_API_SECRET"])
    token = token.with_identity(user).with_name(user).with_grants(grants).with_ttl(timedelta(minutes=10))
    return {"url": os.environ["LIVEKIT_URL"], "token": token.to_jwt()}
