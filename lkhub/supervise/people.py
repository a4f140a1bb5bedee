"""The people in calls, of whom the running media process knows."""

from lkhub.errors import HubError, MachineError
from lkhub.host.http import httpx, local_client
from lkhub.host.keyfile import load_keys
from lkhub.host.processes import ProcessId
from lkhub.livekit.tokens import PROBE_ROOM_PREFIX, Grant, sign
from lkhub.plan.model import Ready
from lkhub.source.json_text import parse_json
from lkhub.supervise.ready import read_own

# The server answers in milliseconds. One that does not within this can't be asked now.
ANSWER_SECONDS = 3.0
TOKEN_SECONDS = 60


async def count_people(ready: Ready, process: ProcessId, keys: str) -> int | None:
    """Participants in all rooms, probes left out; None where the server can't be asked. `keys` is the path of its key
    file.

    The bundled engine tells on its control socket who is there now. A livekit-server of the user's has only
    its room list, whose numbers lag by up to five seconds (measured).
    """
    try:
        rooms = await (_ask_engine(ready.socket, process) if ready.socket else _ask_server(ready.url or "", keys))
    except (httpx.HTTPError, HubError, ValueError, LookupError, TypeError):
        return None
    return sum(count for name, count in rooms if not name.startswith(PROBE_ROOM_PREFIX))


async def resume_relayed(socket: str, relay_json: str) -> int:
    """Have whoever a relay with this configuration served connect again; how many. `socket` is the bundled engine's.

    Chromium gave up a relay that had been killed after 16 s; told to, it heard the call again after half a second
    (measured). MachineError where media can't be asked.
    """
    try:
        relay = parse_json(relay_json)
        async with local_client(ANSWER_SECONDS, socket=socket) as client:
            answer = await client.post("http://control/resume", json=relay)
        participants: int = answer.raise_for_status().json()["participants"]
    except (httpx.HTTPError, ValueError, LookupError, TypeError) as error:
        raise MachineError(f"media could not tell the relay's clients to connect again ({error})") from error
    return participants


async def _ask_engine(path: str, process: ProcessId) -> list[tuple[str, int]]:
    async with local_client(ANSWER_SECONDS, socket=path) as client:
        answer = read_own((await client.get("http://control/status")).raise_for_status(), process)
    return [(room["name"], room["participants"]) for room in answer["rooms"]]


async def _ask_server(url: str, keys: str) -> list[tuple[str, int]]:
    key, secret = next(iter(load_keys(keys).items()))
    token = sign(Grant("lkhub", {"roomList": True}, ttl_seconds=TOKEN_SECONDS), key, secret)
    headers = {"Authorization": f"Bearer {token}"}
    async with local_client(ANSWER_SECONDS, headers=headers) as client:
        answer = await client.post(f"{url.rstrip('/')}/twirp/livekit.RoomService/ListRooms", json={})
    return [(room["name"], room["num_participants"]) for room in answer.raise_for_status().json()["rooms"]]
