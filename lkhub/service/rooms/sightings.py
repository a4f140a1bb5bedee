"""What LiveKit's webhooks say about seats and presets."""

import asyncio
import logging

from lkhub.errors import MachineError
from lkhub.livekit.webhooks import WebhookEvent
from lkhub.service.errors import ApiError
from lkhub.service.presets import Location, Presets
from lkhub.service.rooms.applying import Applying
from lkhub.service.rooms.family import Family
from lkhub.service.rooms.ledger import Ledger
from lkhub.service.rooms.reconcile import Reconciliation, Sfu

log = logging.getLogger(__name__)

# More than that wait only while the store can't be used. Then LiveKit is asked afterwards.
MOST_WAITING = 10_000

# Participants that were sent away don't come back by themselves (livekit/protocol, DisconnectReason).
_ENDED = frozenset(("PARTICIPANT_REMOVED", "ROOM_DELETED", "ROOM_CLOSED"))


class Sightings:
    """Follows events as they come. Those that the hub found out by asking are left to the reconciliation, which asks
    sooner."""

    def __init__(
        self, ledger: Ledger, presets: Presets, sfu: Sfu, applying: Applying, reconciliation: Reconciliation
    ) -> None:
        self._ledger, self._presets, self._sfu = ledger, presets, sfu
        self._applying, self._reconciliation = applying, reconciliation
        self._waiting: list[WebhookEvent] = []
        self._wake = asyncio.Event()

    def note(self, event: WebhookEvent) -> None:
        """Take an event, and follow it later."""
        if event.found or event.is_of_a_probe:
            return
        if len(self._waiting) >= MOST_WAITING:
            self._waiting.clear()
            self._reconciliation.note_gap()
        self._waiting.append(event)
        self._wake.set()

    async def run(self) -> None:
        """Follow events until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            events, self._waiting = self._waiting, []
            # All at once, and so in few transactions. They are written in their order.
            results = await asyncio.gather(*map(self._follow, events), return_exceptions=True)
            for result in results:
                if isinstance(result, (MachineError, ApiError)):
                    self._reconciliation.note_gap()
                elif isinstance(result, Exception):
                    log.error("a webhook was not followed", exc_info=result)
                    self._reconciliation.note_gap()

    async def _follow(self, event: WebhookEvent) -> None:
        location = self._presets.locate(event.room_name)
        participant = event.participant
        if location.preset is None:
            return
        if event.event == "room_started":
            await self._apply(event.room_name, location)
        elif location.capacity is None or not participant.is_counted:
            return
        elif event.event == "participant_joined":

            def join(family: Family, now: float) -> None:
                family.join(location.number, participant.identity, participant.sid)

            await self._ledger.visit(location.family, join)
        elif event.event in ("participant_left", "participant_connection_aborted"):
            returns = participant.disconnect_reason not in _ENDED

            def leave(family: Family, now: float) -> None:
                family.leave(location.number, participant.identity, participant.sid, now, returns=returns)

            await self._ledger.visit(location.family, leave)

    async def _apply(self, name: str, location: Location) -> None:
        """Give a room that was just opened what its preset has. Nothing has to be asked if the preset has nothing that
        LiveKit lets be changed. Where another process does that, its next look finds the room."""
        preset = location.preset
        if self._applying.leads and preset and (preset.metadata or preset.agents):
            for room in await self._sfu.list_rooms(name):
                await self._applying.apply(room, preset)
