"""The part of LiveKit's RoomService that lkhub uses: opening, listing and deleting rooms.

The interface is twirp (livekit/protocol, protobufs/livekit_room.proto): a POST of JSON for each method, with a token
that grants it.
"""

import ssl
from urllib.parse import urlsplit

from msgspec import Struct

from lkhub.errors import MachineError
from lkhub.host.http import httpx, local_client, read_body
from lkhub.livekit.tokens import Grant, sign
from lkhub.secret import Secret
from lkhub.shown import quote
from lkhub.source.json_text import Json, parse_json
from lkhub.source.typed import unpack

# A server answers in milliseconds, but another operator's server may be far away.
ANSWER_SECONDS = 3.0
TOKEN_SECONDS = 60

# An answer lists the rooms that were asked for, with some hundred bytes each.
MAX_ANSWER_BYTES = 1024 * 1024


class RoomService:
    """The rooms of the LiveKit at `url` (ws, wss, http or https). Every method raises MachineError, with the server's
    reason, where the server refuses."""

    def __init__(self, url: str, key: str, secret: Secret) -> None:
        parts = urlsplit(url)
        self._base = parts._replace(scheme=parts.scheme.replace("ws", "http")).geturl().rstrip("/")
        self._key, self._secret = key, secret
        # Preparing for TLS costs 25 ms of CPU, and on loopback there is none. By itself httpx trusts certifi's roots
        # alone, and not what the system and SSL_CERT_FILE have.
        trusted = ssl.create_default_context() if self._base.startswith("https:") else False
        self._client = httpx.Client(timeout=ANSWER_SECONDS, trust_env=False, verify=trusted)

    def __enter__(self) -> "RoomService":
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def create(self, room: str, **settings: Json) -> int:
        """Open a room, or leave an open room as it is. Returns for how many seconds the room stays open without
        participants.

        `settings` are further fields of CreateRoomRequest.
        """
        answer = self._call("CreateRoom", "roomCreate", {"name": room, **settings})
        seconds = answer.get("empty_timeout")  # the JSON of protocol buffers may leave out a field that is zero
        return seconds if isinstance(seconds, int) else 0

    def exists(self, room: str) -> bool:
        """Whether the room is open."""
        return bool(self._call("ListRooms", "roomList", {"names": [room]}).get("rooms"))

    def delete(self, room: str) -> None:
        """Close a room, which makes all of its participants leave."""
        self._call("DeleteRoom", "roomCreate", {"room": room})

    def _call(self, method: str, grant: str, body: dict[str, Json]) -> dict[str, Json]:
        headers = _authorize(grant, self._key, self._secret)
        try:
            with self._client.stream("POST", _address(self._base, method), json=body, headers=headers) as answer:
                found = parse_json(read_body(answer, MAX_ANSWER_BYTES, ANSWER_SECONDS))
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            why = f"LiveKit does not answer at {self._base} ({type(error).__name__})"
            raise MachineError(why, hints=("`lkhub status` shows whether the hub runs",)) from error
        if answer.status_code != 200 or not isinstance(found, dict):
            reason = quote(str(found.get("msg", ""))) if isinstance(found, dict) else ""
            raise MachineError(f"LiveKit refuses {method}: {reason or f'status {answer.status_code}'}")
        return found


class _Room(Struct, frozen=True):
    """LiveKit's Room, as far as it is read."""

    name: str
    num_participants: int = 0


class _Rooms(Struct, frozen=True):
    """The answer of ListRooms."""

    rooms: tuple[_Room, ...]


async def list_rooms(url: str, key: str, secret: Secret, seconds: float) -> list[tuple[str, int]]:
    """All rooms of the LiveKit at `url` (http, on this machine), each with its number of participants. Raises
    httpx.HTTPError, or ValueError for an answer that can't be read."""
    async with local_client(seconds, headers=_authorize("roomList", key, secret)) as client:
        answer = await client.post(_address(url.rstrip("/"), "ListRooms"), json={})
    found = unpack(_Rooms, parse_json(answer.raise_for_status().content))
    return [(room.name, room.num_participants) for room in found.rooms]


def _address(base: str, method: str) -> str:
    return f"{base}/twirp/livekit.RoomService/{method}"


def _authorize(grant: str, key: str, secret: Secret) -> dict[str, str]:
    """The headers of a request that needs this grant."""
    return {"Authorization": f"Bearer {sign(Grant('lkhub', {grant: True}, ttl_seconds=TOKEN_SECONDS), key, secret)}"}
