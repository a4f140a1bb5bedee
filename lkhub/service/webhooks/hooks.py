"""Webhooks of one service: its endpoint, and what it does by itself for as long as it runs."""

import asyncio
import logging
import time
from collections.abc import Sequence
from contextlib import suppress
from functools import partial

from starlette.routing import Route

from lkhub.livekit.webhooks import WebhookEvent, shorten_url
from lkhub.service.contract import WEBHOOK
from lkhub.service.errors import ApiError
from lkhub.service.ring import Ring
from lkhub.service.rooms.sfu import Media
from lkhub.service.storage import Storage
from lkhub.service.told import Told
from lkhub.service.webhooks.delivery import Receiving
from lkhub.service.webhooks.intake import Intake
from lkhub.service.webhooks.missed import Search, list_all
from lkhub.service.webhooks.receiver_keys import ReceiverKeys
from lkhub.service.webhooks.sender import Sender
from lkhub.state.webhooks import ReceiverRecord, WebhooksRecord, write_webhooks
from lkhub.store.deliveries import Count, bury_unknown, count_deliveries
from lkhub.store.events import forget_events
from lkhub.store.lead import Lead
from lkhub.store.receivers import list_known_keys, note_known_keys
from lkhub.store.threads import run_to_end
from lkhub.wire.serve_config import ServeConfig

# Events are kept for a week, but no more of them than this (some 300 MB), for replays and for streams that were cut.
KEPT_SECONDS = 7 * 24 * 3600
MOST_EVENTS = 200_000
_TIDY_EVERY_SECONDS = 600.0
_FORGOTTEN_AT_ONCE = 500

# How soon another process's events are seen: a replay of the command line's, another service on the same store.
POLL_SECONDS = 2.0

_REPORT_EVERY_SECONDS = 10.0

# After an error that is a bug.
_AGAIN_SECONDS = 5.0

# A change of the spec that another process refuses is taken back within less (supervise/timings.py, ready), and the
# service from before has its receivers again.
KEPT_FOR_UNKNOWN_SECONDS = 60.0

NOT_IN_SPEC = "the spec has no such receiver any more"

log = logging.getLogger("lkhub.webhooks")


class Webhooks:
    """The webhooks of a hub."""

    def __init__(self, config: ServeConfig, storage: Storage) -> None:
        application = config.application
        self._storage = storage
        self._receivers = {each.url: each for each in application.webhooks}
        self._ring = Ring(config.keys)
        self.intake = Intake(storage, self._ring.keys, application.webhooks)
        self._media = Media(config.media_url, self._ring.current)
        self.search = Search(storage, self.intake, lambda: list_all(self._media))
        self.intake.gaps.append(self.search.note_gap)
        self.intake.listeners.append(self._tell)
        self._receiving: list[Receiving] = []
        self._record = config.webhooks
        self._told = Told(config.webhooks, write_webhooks, "what receivers take")

    def routes(self) -> list[Route]:
        return [WEBHOOK.route(self.intake.receive)]

    async def run(self) -> None:
        """Deliver, search and tidy until cancelled, while this process leads."""
        while True:
            try:
                lead = await self._storage.make_lead("webhooks")
                try:
                    if await run_to_end(lead.take):
                        await self._lead(lead)
                finally:
                    lead.release()
            except ApiError:
                pass  # the storage has told it
            except Exception as error:
                log.error("webhooks stopped by a bug, and go on: %s", type(error).__name__)
                await asyncio.sleep(_AGAIN_SECONDS)
            await asyncio.sleep(POLL_SECONDS)

    async def _lead(self, lead: Lead) -> None:
        keys = ReceiverKeys(self._ring.keys, await self._storage.read(list_known_keys))
        senders = [Sender(receiver, keys) for receiver in self._receivers.values()]
        self._receiving = [
            Receiving(self._storage, url, partial(self._send, sender, keys))
            for url, sender in zip(self._receivers, senders, strict=True)
        ]
        own = (self.search.run(), self._tidy(), self._report(), self._bury())
        jobs = [*(each.run() for each in self._receiving), *own]
        tasks = [asyncio.ensure_future(job) for job in jobs]
        try:
            while await run_to_end(lead.take):
                for each in self._receiving:
                    await each.load()
                done, _ = await asyncio.wait(tasks, timeout=POLL_SECONDS, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()  # none returns
        finally:
            self._receiving = []
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for sender in senders:
                await sender.close()

    async def _send(self, sender: Sender, keys: ReceiverKeys, body: str) -> str:
        """As Sender.send. Keeps which key the receiver knows, if that is new, for the next process that leads."""
        problem = await sender.send(body)
        if new := keys.take_new():
            with suppress(ApiError):  # the next process finds it out again
                await self._storage.write(note_known_keys, new)
        return problem

    async def _report(self) -> None:
        """Let `lkhub status` know what receivers take."""
        while self._record:
            try:
                self._note(await self._storage.read(partial(count_deliveries, receivers=list(self._receivers))))
            except ApiError:
                pass
            await asyncio.sleep(_REPORT_EVERY_SECONDS)
        await asyncio.Event().wait()

    def _note(self, counts: Sequence[Count]) -> None:
        numbers = {(each.receiver, each.state): each.number for each in counts}
        found = []
        for each in self._receiving:
            since, problem = each.failing or (None, "")
            waiting, dead = numbers.get((each.url, "pending"), 0), numbers.get((each.url, "dead"), 0)
            found.append(ReceiverRecord(shorten_url(each.url), waiting, dead, since, problem))
        self._told.tell(WebhooksRecord(tuple(found)))

    async def _tidy(self) -> None:
        while True:
            try:
                forget = partial(
                    forget_events, before=time.time() - KEPT_SECONDS, most=MOST_EVENTS, limit=_FORGOTTEN_AT_ONCE
                )
                while await self._storage.run(forget):
                    pass
            except ApiError:
                pass
            await asyncio.sleep(_TIDY_EVERY_SECONDS)

    async def _bury(self) -> None:
        """Give up what waits for receivers that the spec no longer has."""
        while True:
            await asyncio.sleep(KEPT_FOR_UNKNOWN_SECONDS)
            with suppress(ApiError):
                await self._storage.run(
                    partial(bury_unknown, receivers=list(self._receivers), problem=NOT_IN_SPEC, now=time.time())
                )

    def _tell(self, event: WebhookEvent) -> None:
        urls = self.intake.choose_receivers(event)
        for each in self._receiving:
            if each.url in urls:
                each.tell([event.room_name])
