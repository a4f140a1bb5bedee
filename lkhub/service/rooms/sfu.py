"""The hub's own media, asked about rooms."""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from lkhub.errors import MachineError
from lkhub.host.http import httpx, local_client
from lkhub.livekit.room_calls import (
    Call,
    create_dispatch,
    create_room,
    list_dispatches,
    list_participants,
    list_rooms,
    read_answer,
    update_metadata,
)
from lkhub.livekit.room_info import Room
from lkhub.livekit.twirp import address, authorize
from lkhub.secret import Secret
from lkhub.service.presets import room_config
from lkhub.wire.application import RoomPreset

T = TypeVar("T")

# Media answers in milliseconds. It waits up to 3 s for a room on another node.
ANSWER_SECONDS = 5.0


class Media:
    """The LiveKit at `url` (http, on this machine). `keys` returns the name and the secret of the current API key."""

    def __init__(self, url: str, keys: Callable[[], tuple[str, Secret]]) -> None:
        self._base, self._keys = url.rstrip("/"), keys
        self._client = local_client(ANSWER_SECONDS)

    async def list_rooms(self, *names: str) -> Sequence[Room]:
        """The open rooms of these names; every open room without a name. Raises MachineError."""
        return (await self.ask(list_rooms(*names))).rooms

    async def list_participants(self, room: str) -> Mapping[str, str]:
        """The SID of each identity in a room, of those that LiveKit counts. Raises MachineError."""
        found = await self.ask(list_participants(room))
        return {each.identity: each.sid for each in found.participants if each.is_counted}

    async def apply(self, room: Room, preset: RoomPreset) -> None:
        """Give an open room the metadata and the agents of its preset, as far as it has none. LiveKit lets nothing else
        be changed. Raises MachineError."""
        if preset.metadata and not room.metadata:
            await self.ask(update_metadata(room.name, preset.metadata))
        if preset.agents:
            called = await self.ask(list_dispatches(room.name))
            present = {dispatch.agent_name for dispatch in called.agent_dispatches}
            for agent in room_config(preset).agents:
                if agent.agent_name not in present:
                    await self.ask(create_dispatch(room.name, agent))

    async def open(self, room: str, preset: RoomPreset) -> None:
        """Open a room with the settings of its preset. Raises MachineError."""
        await self.ask(create_room(room, room_config(preset).as_request()))

    async def close(self) -> None:
        await self._client.aclose()

    async def ask(self, call: Call[T]) -> T:
        """The answer to a call. Raises MachineError."""
        url = address(self._base, call.method, call.service)
        try:
            answer = await self._client.post(url, json=call.body, headers=authorize(call.video, *self._keys()))
        except httpx.HTTPError as error:
            raise MachineError(f"LiveKit does not answer at {self._base} ({type(error).__name__})") from error
        return read_answer(call, self._base, answer.status_code, answer.content)
