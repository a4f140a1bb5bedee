"""How many people are in a call, asked of the running media process."""

from dataclasses import dataclass

import httpx

from lkhub.errors import HubError
from lkhub.host.http import local_client
from lkhub.host.keyfile import load_keys
from lkhub.plan.model import Ready
from lkhub.tokens import PROBE_ROOM_PREFIX, Grant, sign

# The server answers in milliseconds. One that does not within this can't be asked now.
ANSWER_SECONDS = 3.0
TOKEN_SECONDS = 60


@dataclass(frozen=True)
class RoomServer:
    """Where the room API of a running media process is. `url` is http(s), `keys` the path of its key file."""

    url: str
    keys: str


async def count_people(ready: Ready, server: RoomServer) -> int | None:
    """Participants in all rooms, probes left out; None where the server can't be asked.

    The bundled engine tells on its control socket who is there now. A livekit-server of the user's has only
    its room list, whose numbers lag by up to five seconds (measured).
    """
    try:
        rooms = await (_ask_engine(ready.socket) if ready.socket else _ask_server(server))
    except (httpx.HTTPError, HubError, ValueError, LookupError, TypeError):
        return None
    return sum(count for name, count in rooms if not name.startswith(PROBE_ROOM_PREFIX))


async def _ask_engine(path: str) -> list[tuple[str, int]]:
    async with local_client(ANSWER_SECONDS, socket=path) as client:
        answer = (await client.get("http://control/status")).raise_for_status().json()
    return [(room["name"], room["participants"]) for room in answer["rooms"]]


async def _ask_server(server: RoomServer) -> list[tuple[str, int]]:
    key, secret = next(iter(load_keys(server.keys).items()))
    token = sign(Grant("lkhub", {"roomList": True}, ttl_seconds=TOKEN_SECONDS), key, secret)
    headers = {"Authorization": f"Bearer {token}"}
    async with local_client(ANSWER_SECONDS, headers=headers) as client:
        answer = await client.post(f"{server.url}/twirp/livekit.RoomService/ListRooms", json={})
    return [(room["name"], room["num_participants"]) for room in answer.raise_for_status().json()["rooms"]]
