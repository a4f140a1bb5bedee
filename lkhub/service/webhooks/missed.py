"""Finding what was missed: LiveKit gives an event up after some seconds, so the hub asks what is there."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence

from lkhub.errors import MachineError
from lkhub.livekit.room_calls import list_participants, list_rooms
from lkhub.livekit.room_info import Participant, Room
from lkhub.livekit.tokens import is_probe_room
from lkhub.service.errors import ApiError
from lkhub.service.rooms.sfu import Media
from lkhub.service.storage import Storage
from lkhub.service.webhooks.intake import Intake
from lkhub.service.webhooks.presence import Missed, find_missed, make_event
from lkhub.store.events import list_present

# LiveKit tries to deliver an event for 15 s. What differs for longer was missed.
SURE_SECONDS = 25.0

# How often it is asked where nothing was missed.
QUIET_SECONDS = 300.0

Listing = Sequence[tuple[Room, Sequence[Participant]]]

log = logging.getLogger("lkhub.webhooks")


async def list_all(media: Media) -> Listing:
    """Every room with its participants, but for the rooms of the hub's own verification. Raises MachineError."""
    rooms = (await media.ask(list_rooms())).rooms
    return [
        (room, (await media.ask(list_participants(room.name))).participants)
        for room in rooms
        if not is_probe_room(room.name)
    ]


class Search:
    """Asks LiveKit after the start, after each gap, and now and then. `ask` raises MachineError."""

    def __init__(
        self,
        storage: Storage,
        intake: Intake,
        ask: Callable[[], Awaitable[Listing]],
        sure: float = SURE_SECONDS,
        quiet: float = QUIET_SECONDS,
    ) -> None:
        self._storage, self._intake, self._ask = storage, intake, ask
        self._sure, self._quiet = sure, quiet
        self._gap = asyncio.Event()
        self._before: frozenset[tuple[str, str]] = frozenset()

    def note_gap(self) -> None:
        """An event may have been missed."""
        self._gap.set()

    async def run(self) -> None:
        """Search until cancelled."""
        unsure = True
        while True:
            await asyncio.sleep(self._sure)
            if not unsure:
                try:
                    async with asyncio.timeout(self._quiet):
                        await self._gap.wait()
                    await asyncio.sleep(self._sure)
                except TimeoutError:
                    pass
            self._gap.clear()
            try:
                unsure = await self.look()
            except (MachineError, ApiError):
                unsure = True

    async def look(self) -> bool:
        """Ask once, and keep the events that were missed: those that the last look missed too. Returns whether anything
        is not sure yet. Raises MachineError and ApiError."""
        listed = await self._ask()
        missed = {(each.name, each.sid): each for each in find_missed(listed, await self._storage.read(list_present))}
        sure = [each for key, each in missed.items() if key in self._before]
        found = sum([await self._keep(each) for each in sure])
        self._before = frozenset(missed) - {(each.name, each.sid) for each in sure}
        if found:
            log.warning("%d events of LiveKit's did not arrive, and were found", found)
        return bool(self._before)

    async def _keep(self, missed: Missed) -> bool:
        now = time.time()
        _, event = make_event(missed, (), now)
        kept, event = make_event(missed, self._intake.choose_receivers(event), now)
        return await self._intake.keep(kept, event)
