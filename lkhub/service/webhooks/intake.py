"""LiveKit's webhooks arrive: each is checked, and stored before it is answered."""

import logging
import time
from collections.abc import Callable, Sequence
from typing import TypeAlias

from starlette.requests import Request
from starlette.responses import Response

from lkhub.host.keyfile import Keys
from lkhub.livekit.claims import SignatureError
from lkhub.livekit.webhooks import WebhookEvent, dump_event, read_event, verify_body, verify_token
from lkhub.service.errors import ApiError
from lkhub.service.storage import Storage
from lkhub.service.webhooks.presence import note_event
from lkhub.store.events import NewEvent, add_events
from lkhub.wire.application import Receiver

Listener: TypeAlias = Callable[[WebhookEvent], None]
"""Is called after an event was stored, once for each event. It must not wait."""

# A room's metadata and all of a participant's attributes are below 600 KB in LiveKit's default limits.
MAX_BODY_BYTES = 2 * 1024 * 1024

# How often the log says that a webhook was refused: anyone may send one.
_TOLD_EVERY_SECONDS = 60.0

log = logging.getLogger("lkhub.webhooks")


class Intake:
    """Where events come in. `read_keys` gives the hub's keys, any of which may have signed."""

    def __init__(self, storage: Storage, read_keys: Callable[[], Keys], receivers: Sequence[Receiver]) -> None:
        self._storage, self._read_keys, self._receivers = storage, read_keys, tuple(receivers)
        self.listeners: list[Listener] = []
        self.gaps: list[Callable[[], None]] = []
        """Are called when an event could not be stored, or may not have been followed."""
        self._told = -_TOLD_EVERY_SECONDS

    async def receive(self, request: Request) -> Response:
        """The endpoint. LiveKit sends what is not answered with a success again, for 15 s."""
        try:
            body = await self._read(request)
            event, data = read_event(body)
        except SignatureError as error:
            self._tell(error)
            raise ApiError(401, str(error), "LiveKit signs its webhooks with a key of the hub") from None
        except ValueError:
            raise ApiError(400, "the body is no event of LiveKit's") from None
        if not event.is_of_a_probe:
            came, went = note_event(event, data)
            kept = NewEvent(
                *(event.id, event.room_name, event.event, dump_event(data), time.time()),
                *(self.choose_receivers(event), came, went),
            )
            followed = False
            try:
                # One that was stored before got no answer then, and whether it was followed is not known.
                followed = await self.keep(kept, event)
            finally:
                if not followed:
                    for note_gap in self.gaps:
                        note_gap()
        return Response()

    async def keep(self, kept: NewEvent, event: WebhookEvent) -> bool:
        """Store an event and tell the listeners. False where it was stored before. Raises ApiError."""
        if not await self._storage.write(add_events, kept):
            return False
        for listener in self.listeners:
            try:
                listener(event)
            except Exception as error:
                log.error("a listener of events failed by a bug: %s", type(error).__name__)
        return True

    def choose_receivers(self, event: WebhookEvent) -> tuple[str, ...]:
        """The URLs that get an event."""
        wanting = (each.url for each in self._receivers if not each.events or event.event in each.events)
        return tuple(dict.fromkeys(wanting))

    async def _read(self, request: Request) -> bytes:
        """The body, once it is known that the sender has a key."""
        digest = verify_token(request.headers.get("authorization", ""), self._read_keys(), time.time())
        body = bytearray()
        async for chunk in request.stream():
            body += chunk
            if len(body) > MAX_BODY_BYTES:
                raise ApiError(413, f"the body is over {MAX_BODY_BYTES:,} bytes")
        verify_body(bytes(body), digest)
        return bytes(body)

    def _tell(self, error: SignatureError) -> None:
        now = time.monotonic()
        if now - self._told >= _TOLD_EVERY_SECONDS:
            self._told = now
            log.warning("a webhook was refused: %s", error)
