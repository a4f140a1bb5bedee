"""Whose identities are in the rooms, whoever signed their tokens."""

import asyncio
import time

from lkhub.livekit.webhooks import WebhookEvent
from lkhub.service.errors import ApiError
from lkhub.service.looks import find_looks
from lkhub.service.presets import Presets
from lkhub.service.storage import Storage
from lkhub.store.issued import Presence, note_presence

# A participant of which nothing was heard for so long has left, and the event was lost.
GONE_SECONDS = 86400.0

_JOINED = {"participant_joined": True, "participant_left": False}


class Joined:
    """Hears of LiveKit's events, on a hub where strangers choose identities."""

    def __init__(self, storage: Storage, presets: Presets) -> None:
        self._storage, self._presets = storage, presets
        self._tasks = set[asyncio.Task[None]]()

    def hear(self, event: WebhookEvent) -> None:
        """Note who came or left, soon."""
        joined, identity = _JOINED.get(event.event), event.participant.identity
        if joined is None or not identity:
            return
        family, until = self._presets.locate(event.room_name).family, time.time() + GONE_SECONDS
        task = asyncio.ensure_future(self._note(Presence(family, identity, find_looks(identity), joined, until)))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _note(self, presence: Presence) -> None:
        try:
            await self._storage.write(note_presence, presence)
        except ApiError:
            return  # the store can't be used, and nobody gets a token meanwhile
