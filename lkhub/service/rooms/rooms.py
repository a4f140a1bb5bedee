"""All that a service does for rooms with presets."""

import asyncio
from functools import partial

from lkhub.host.machine_clock import MachineClock
from lkhub.livekit.webhooks import WebhookEvent
from lkhub.service.presets import Presets
from lkhub.service.rooms.applying import Applying
from lkhub.service.rooms.ledger import Ledger
from lkhub.service.rooms.opening import Opening
from lkhub.service.rooms.reconcile import Reconciliation
from lkhub.service.rooms.seats import Seats
from lkhub.service.rooms.sfu import Media
from lkhub.service.rooms.sightings import Sightings
from lkhub.service.storage import Storage
from lkhub.wire.application import Application


class Rooms:
    """The rooms of one hub. `run` must run for seats to follow what happens."""

    def __init__(self, application: Application, storage: Storage, media: Media) -> None:
        presets = Presets(application.rooms)
        ledger = Ledger(storage, presets, MachineClock())
        self.seats = Seats(ledger, presets)
        self.opening = Opening(presets, media) if application.access.create == "operator" else None
        self._media = media
        self._applying = Applying(media, partial(storage.make_lead, "presets"))
        self._reconciliation = Reconciliation(ledger, presets, media, self._applying)
        self._sightings = Sightings(ledger, presets, media, self._applying, self._reconciliation)

    def note(self, event: WebhookEvent) -> None:
        """A webhook of LiveKit's has arrived. This does not wait."""
        self._sightings.note(event)

    def note_gap(self) -> None:
        """Webhooks may have been lost."""
        self._reconciliation.note_gap()

    async def run(self) -> None:
        """Follow until cancelled."""
        try:
            await asyncio.gather(self._sightings.run(), self._reconciliation.run())
        finally:
            self._applying.release()
            await self._media.close()
