"""How many people are in a call, asked of the running media process."""

from dataclasses import dataclass

import httpx

from lkhub.errors import HubError
from lkhub.host.secrets import load_keys
from lkhub.tokens import PROBE_ROOM_PREFIX, Grant, sign

# The server answers in milliseconds. One that does not within this can't be asked now.
ANSWER_SECONDS = 3.0
TOKEN_SECONDS = 60


@dataclass(frozen=True)
class RoomServer:
    """Where the room API of a running media process is. `url` is http(s), `keys` the path of its key file."""

    url: str
    keys: str


async def count_people(server: RoomServer) -> int | None:
    """Participants in all rooms, probes left out; None where the server can't be asked."""
    try:
        key, secret = next(iter(load_keys(server.keys).items()))
        token = sign(Grant("lkhub", {"roomList": True}, ttl_seconds=TOKEN_SECONDS), key, secret)
        async with httpx.AsyncClient(timeout=ANSWER_SECONDS, trust_env=False) as client:
            answer = await client.post(
                f"{server.url}/twirp/livekit.RoomService/ListRooms",
                json={},
                headers={"Authorization": f"Bearer {token}"},
            )
            rooms = answer.raise_for_status().json().get("rooms", [])
    except (httpx.HTTPError, HubError, ValueError):
        return None
    return sum(
        int(room.get("num_participants", room.get("numParticipants", 0)))
        for room in rooms
        if not room["name"].startswith(PROBE_ROOM_PREFIX)
    )
