"""Keeps the rooms open that the operator has opened, on a hub where a join opens none (`access.create: operator`).

Media forgets its rooms when it ends. Where joins open rooms, the people of a call open theirs again by coming back.
"""

import contextlib
from collections.abc import Sequence
from typing import TypeVar

import anyio

from lkhub.errors import MachineError
from lkhub.host.files import read_text
from lkhub.host.http import httpx, local_client
from lkhub.host.keyfile import load_keys
from lkhub.host.processes import ProcessId
from lkhub.livekit.room_calls import Call, create_room, list_rooms, read_answer
from lkhub.livekit.room_info import Room
from lkhub.livekit.tokens import is_probe_room
from lkhub.livekit.twirp import address, authorize
from lkhub.shown import printable
from lkhub.supervise.supervisor import Supervisor
from lkhub.wire.application import Application
from lkhub.wire.serve_config import parse_serve

T = TypeVar("T")

# Twirp's code for a room that this media does not take, such as one whose name is longer than a limit that is new.
_NEVER = "invalid_argument"


class OpenRooms:
    """The rooms that were open when media was last asked, and which media that was."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor
        self._rooms: Sequence[Room] = ()
        self._process: ProcessId | None = None
        # Which of the rooms are done, while they are opened in another media.
        self._opening: ProcessId | None = None
        self._done: set[str] = set()
        self._looking = anyio.Lock()

    async def look(self) -> None:
        """Open the rooms again if media is another one, then see which are open. Raises MachineError."""
        async with self._looking:  # of two answers the later one counts
            await self._look()

    async def look_last(self) -> None:
        """`look` before media is replaced. A room that was closed a moment ago stays closed: perhaps it was closed so
        that a change is made which waited for the end of its call."""
        with contextlib.suppress(MachineError):  # as if media had died
            await self.look()

    async def _look(self) -> None:
        url = self._find_closed()
        if url is None:
            self._rooms, self._process = (), None
            return
        children = self._supervisor.children.values()
        media = [each for each in children if each.plan.knows_participants and each.state == "running"]
        if not media or media[0].process is None:
            return
        process = media[0].process
        if process != self._process:
            await self._open_again(url, process)
            self._process = process
        found = (await self._ask(url, list_rooms())).rooms
        if process == media[0].process and media[0].state == "running":
            self._rooms = [room for room in found if not is_probe_room(room.name)]

    def _find_closed(self) -> str | None:
        """Where media answers, None unless the hub in force is one where a join opens no room."""
        if hub := self._supervisor.in_force.hub:
            return hub.plan.urls.local_media if is_closed(hub.plan.serve.application) else None
        # What was taken over has the service's earlier configuration, until the first change is made.
        try:
            served = parse_serve(read_text(self._supervisor.paths.render("serve.json")) or "")
        except (MachineError, ValueError, TypeError):
            return None
        return served.media_url if is_closed(served.application) else None

    async def _open_again(self, url: str, process: ProcessId) -> None:
        if process != self._opening:
            self._opening, self._done = process, set()
        refused = 0
        for room in self._rooms:
            if room.name in self._done:  # it may have been changed or closed since
                continue
            try:
                await self._ask(url, create_room(room.name, _describe(room)))
            except MachineError as error:
                if error.code != _NEVER:
                    raise
                refused += 1
                self._supervisor.say(f"the room {printable(room.name)} is not open again: {error.message}")
            self._done.add(room.name)
        if number := len(self._rooms) - refused:
            self._supervisor.say(f"media is another one; rooms that were open are open again: {number}")

    async def _ask(self, url: str, call: Call[T]) -> T:
        key, secret = next(iter(load_keys(self._supervisor.paths.keys).items()))
        headers = authorize(call.video, key, secret)
        try:
            async with local_client(self._supervisor.shared.timings.participants, headers=headers) as client:
                answer = await client.post(address(url.rstrip("/"), call.method, call.service), json=call.body)
        except httpx.HTTPError as error:
            raise MachineError(f"LiveKit does not answer at {url} ({type(error).__name__})") from error
        return read_answer(call, url, answer.status_code, answer.content)


def is_closed(application: Application) -> bool:
    """Whether a join opens no room."""
    return application.access.create == "operator"


def _describe(room: Room) -> dict[str, str | int]:
    """The room as CreateRoomRequest has it."""
    given: dict[str, str | int] = {
        "empty_timeout": room.empty_timeout,
        "departure_timeout": room.departure_timeout,
        "max_participants": room.max_participants,
        "metadata": room.metadata,
    }
    return {name: value for name, value in given.items() if value}
