"""Asks a process for the participants in calls, and lets it resume clients."""

from msgspec import Struct

from lkhub.errors import HubError, MachineError
from lkhub.host.http import httpx, local_client
from lkhub.host.keyfile import load_keys
from lkhub.host.processes import ProcessId
from lkhub.livekit.tokens import is_probe_room
from lkhub.livekit.twirp import address, authorize
from lkhub.plan.process import Health
from lkhub.source.json_text import parse_finite_json, parse_json
from lkhub.source.typed import unpack
from lkhub.supervise.ready import read_own
from lkhub.wire.engine import MediaStatus, ResumeAnswer
from lkhub.wire.message import VERSION, parse_message, unpack_message


async def count_participants(health: Health, process: ProcessId, keys: str, seconds: float) -> int | None:
    """Participants in all rooms, without probes; None if the process does not answer within `seconds`. `keys` is the
    path of its key file.

    The bundled engine gives the current rooms on its control socket. The user's own livekit-server has only its room
    list, whose numbers lag by up to five seconds (measured).
    """
    try:
        if health.socket:
            rooms = await _ask_engine(health.socket, process, seconds)
        else:
            rooms = await _ask_server(health.url or "", keys, seconds)
    except (httpx.HTTPError, HubError, ValueError, LookupError, TypeError):
        return None
    return sum(count for name, count in rooms if not is_probe_room(name))


async def resume_clients(socket: str, config: str, seconds: float) -> int:
    """Ask the process at the control socket `socket` to make the clients of another process, whose configuration is
    `config`, connect again. Returns how many.

    Chromium gave up a killed relay after 16 s; when it was told to reconnect, it heard the call again after half a
    second (measured). Raises MachineError if the process can't be asked.
    """
    try:
        request = {"version": VERSION, **parse_finite_json(config)}
        async with local_client(seconds, socket=socket) as client:
            answer = await client.post("http://control/resume", json=request)
        participants = parse_message(ResumeAnswer, answer.raise_for_status().content).participants
    except (httpx.HTTPError, ValueError, LookupError, TypeError) as error:
        raise MachineError(str(error)) from error
    return participants


async def _ask_engine(path: str, process: ProcessId, seconds: float) -> list[tuple[str, int]]:
    async with local_client(seconds, socket=path) as client:
        answer = read_own((await client.get("http://control/status")).raise_for_status(), process)
    rooms = unpack_message(MediaStatus, answer).rooms
    if rooms is None:  # an absent list does not mean that there are no rooms
        raise ValueError("no rooms in the answer")
    return [(room.name, room.participants) for room in rooms]


class _Room(Struct, frozen=True):
    """LiveKit's Room, as far as it is read here. The supervisor runs as long as the hub, and does without all that
    lkhub.livekit.rooms loads."""

    name: str
    num_participants: int = 0


class _Rooms(Struct, frozen=True):
    """The answer of ListRooms."""

    rooms: tuple[_Room, ...]


async def _ask_server(url: str, keys: str, seconds: float) -> list[tuple[str, int]]:
    key, secret = next(iter(load_keys(keys).items()))
    async with local_client(seconds, headers=authorize({"roomList": True}, key, secret)) as client:
        answer = await client.post(address(url.rstrip("/"), "ListRooms"), json={})
    found = unpack(_Rooms, parse_json(answer.raise_for_status().content))
    return [(room.name, room.num_participants) for room in found.rooms]
