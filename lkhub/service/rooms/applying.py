"""Giving open rooms what their presets have."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

from lkhub.livekit.room_info import Room
from lkhub.store.lead import Lead
from lkhub.store.threads import run_to_end
from lkhub.wire.application import RoomPreset


class Applies(Protocol):
    """What changes an open room. Raises MachineError where LiveKit does not answer or refuses."""

    async def apply(self, room: Room, preset: RoomPreset) -> None:
        """Give an open room what its preset has and LiveKit lets be changed."""


class Applying:
    """Applies presets in one process of all that share a store, and to one room after another. LiveKit would call an
    agent twice for two that have both seen that it is not there."""

    def __init__(self, sfu: Applies, make_lead: Callable[[], Awaitable[Lead]]) -> None:
        self._sfu, self._make_lead = sfu, make_lead
        self._lead: Lead | None = None
        self._lock = asyncio.Lock()
        self.leads = False
        """Whether this process was the one when that was last asked."""

    async def take_lead(self) -> bool:
        """Whether this process is the one from now on. Raises ApiError where the store can't be used."""
        self._lead = self._lead or await self._make_lead()
        self.leads = await run_to_end(self._lead.take)
        return self.leads

    async def apply(self, room: Room, preset: RoomPreset) -> None:
        """Apply a preset, if this process is the one. Raises MachineError."""
        async with self._lock:
            if self.leads:
                await self._sfu.apply(room, preset)

    def release(self) -> None:
        """Let another process be the one."""
        self.leads = False
        if self._lead is not None:
            self._lead.release()
            self._lead = None
