"""`GET /api/events`: the events as they come, for a program that would rather listen than be called.

Server-sent events (HTML Living Standard, section 9.2). A library for them would keep a task for each client, and its
queue; here each client is at its own place in the store.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from functools import partial

from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from lkhub.service.access.caller import Authenticator, Caller
from lkhub.service.errors import ApiError
from lkhub.service.presets import Presets, match_globs
from lkhub.service.roles import Roles
from lkhub.service.storage import Storage
from lkhub.store.events import StoredEvent, find_last, is_kept, list_after

# How many are read at once, and how many clients there may be: each looks into the store now and then. One API key gets
# another stream if it has fewer than are still free, so that there is always one for another key.
EVENTS_AT_ONCE = 100
MOST_STREAMS = 100

# How soon the events of another service on the same store are seen, and how soon the end of an API key.
POLL_SECONDS = 2.0

# Proxies and clients end connections on which nothing comes for a minute or so.
QUIET_SECONDS = 15.0

# How soon a client comes again that lost its connection, in milliseconds.
_RETRY = 3000

LOST = "lost"
"""The name of the event that tells a client that the store no longer has its place, so that it may have missed
events."""


class Events:
    """The endpoint. `presets` say which sub-rooms belong to a room, and with `roles` who may enter it."""

    def __init__(self, storage: Storage, authenticator: Authenticator, presets: Presets, roles: Roles) -> None:
        self._storage, self._authenticator, self._presets, self._roles = storage, authenticator, presets, roles
        self._news = asyncio.Event()
        self._streams = Counter[str]()  # by caller
        self._ended = False

    def tell(self) -> None:
        """There is a new event."""
        self._news.set()
        self._news = asyncio.Event()

    def end(self) -> None:
        """End every stream, and begin none."""
        self._ended = True
        self.tell()

    async def receive(self, request: Request) -> StreamingResponse:
        """Events of the rooms that the API key may enter, from the one after `Last-Event-ID` on, or from now on."""
        caller = await self._identify(request)
        given = request.headers.get("last-event-id")
        if given is not None and not (given.isascii() and given.isdigit() and len(given) < 19):
            raise ApiError(400, "Last-Event-ID is not an ID of this stream", "send the last `id:` that came, or 0")
        if self._ended:
            raise ApiError(503, "the hub is stopping", "ask again in a while", {"retry-after": "5"})
        place = await self._storage.read(find_last) if given is None else int(given)
        lost = bool(place) and given is not None and not await self._is_kept(place)
        headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
        content = self._stream(request, 0 if lost else place, lost=lost)
        # Nothing is awaited between this and the response, which gives the place back.
        self._enter(caller)
        return _Stream(content, headers, partial(self._leave, caller))

    def _enter(self, caller: Caller) -> None:
        free, held = MOST_STREAMS - self._streams.total(), self._streams[caller.text]
        if free <= 0:
            raise ApiError(503, f"{MOST_STREAMS} clients listen already", "ask again later", {"retry-after": "60"})
        if held >= free:
            problem = f"this API key has {held} of these streams, and others may need the rest"
            raise ApiError(429, problem, "one stream has the events of all rooms: share it", {"retry-after": "60"})
        self._streams[caller.text] += 1

    def _leave(self, caller: Caller) -> None:
        self._streams[caller.text] -= 1
        if not self._streams[caller.text]:
            del self._streams[caller.text]

    async def _stream(self, request: Request, place: int, *, lost: bool) -> AsyncIterator[str]:
        try:
            yield f"retry: {_RETRY}\n\n"
            if lost:
                yield f"event: {LOST}\ndata: {{}}\n\n"
            quiet = 0.0
            while not self._ended:
                news = self._news
                events = await self._storage.read(partial(list_after, sequence=place, limit=EVENTS_AT_ONCE))
                caller = await self._identify(request)  # after the reading, during which the key may end
                for event in events:
                    if self._may_hear(caller, event):
                        yield f"id: {event.sequence}\nevent: {event.name}\ndata: {event.body}\n\n"
                        quiet = 0.0
                if events:
                    place = events[-1].sequence
                    continue
                try:
                    async with asyncio.timeout(POLL_SECONDS):
                        await news.wait()
                except TimeoutError:
                    quiet += POLL_SECONDS
                if quiet >= QUIET_SECONDS:
                    # An ID without data moves the client's place past events of other rooms.
                    yield f": still here\nid: {place}\n\n"
                    quiet = 0.0
        except (ApiError, asyncio.CancelledError):
            return  # the key has ended, or the store or the service: the client comes again, and is told why

    async def _identify(self, request: Request) -> Caller:
        caller = await self._authenticator.identify(request)
        if caller.kind == "api-key":
            return caller
        problem, hint = "events are for API keys", "send Authorization: Bearer KEY, with a key of `lkhub access create`"
        if caller.kind == "open":  # who has proven nothing may still do so
            raise ApiError(401, problem, hint, {"www-authenticate": "Bearer"})
        raise ApiError(403, problem, hint)

    async def _is_kept(self, place: int) -> bool:
        return await self._storage.read(partial(is_kept, sequence=place))

    def _may_hear(self, caller: Caller, event: StoredEvent) -> bool:
        """Whether the caller would get a token for the room of the event."""
        location = self._presets.locate(event.room)
        roles = caller.roles or (self._roles.default,)
        return match_globs(caller.rooms)(location.family) and any(
            self._roles.leads_into(role, location.family) and location.is_for(role) for role in roles
        )


class _Stream(StreamingResponse):
    """A stream of events. `leave` is called once it is over, also where it never began."""

    def __init__(self, content: AsyncIterator[str], headers: Mapping[str, str], leave: Callable[[], None]) -> None:
        super().__init__(content, headers=headers, media_type="text/event-stream")
        self._leave = leave

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._leave()
