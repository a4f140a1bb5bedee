"""The events as they come, over HTTP."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Route
from starlette.types import Message

from lkhub.service.access.caller import Authenticator, Caller
from lkhub.service.errors import ApiError
from lkhub.service.presets import Presets
from lkhub.service.refusals import answer_api_error
from lkhub.service.roles import Roles
from lkhub.service.webhooks import stream as module
from lkhub.service.webhooks.stream import Events
from lkhub.store.events import forget_events
from lkhub.wire.application import RoomPreset
from tests.service.conftest import ACCESS
from tests.service.webhooks.conftest import GONE, Kept, event
from tests.waiting import until

pytestmark = pytest.mark.anyio

PRESETS = Presets(
    [
        RoomPreset("voice-*", 2, "subrooms", None, None, "", (), ()),
        RoomPreset("board*", None, "reject", None, None, "", (), ("speaker", "admin")),
    ]
)


@dataclass
class Door:
    """Who asks; None is a stranger."""

    caller: Caller | None = field(default_factory=lambda: Caller("api-key", "k"))

    async def identify(self, request: Request) -> Caller | None:
        return self.caller


@dataclass
class Listener:
    """A client of the stream. `text` is what came."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    text: str = ""
    ended: bool = False

    @property
    def events(self) -> list[tuple[str, str]]:
        """ID and name of each event that came."""
        blocks = (dict(line.split(": ", 1) for line in block.splitlines()) for block in self.text.split("\n\n"))
        return [(block.get("id", ""), block["event"]) for block in blocks if "event" in block]


def refuse() -> ApiError:
    return ApiError(401, "who asks?")


@pytest.fixture
def door() -> Door:
    return Door()


@pytest.fixture
def events(kept: Kept, door: Door) -> Events:
    return Events(kept, Authenticator([door], refuse), PRESETS, Roles(ACCESS))


@asynccontextmanager
async def listening(events: Events, last: str | None = None) -> AsyncIterator[Listener]:
    async def fail(request: Request, error: Exception) -> object:
        return await answer_api_error(request, error)

    app = Starlette(
        routes=[Route("/api/events", events.receive)],
        exception_handlers={ApiError: fail},  # type: ignore[dict-item]
    )
    listener, leave = Listener(), asyncio.Event()

    async def receive() -> Message:
        await leave.wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            listener.status = message["status"]
            listener.headers = {name.decode(): value.decode() for name, value in message["headers"]}
        else:
            listener.text += message["body"].decode()
            listener.ended = not message.get("more_body", False)

    headers = [(b"last-event-id", last.encode("latin-1"))] if last is not None else []
    scope = {"type": "http", "method": "GET", "path": "/api/events", "headers": headers, "query_string": b""}
    task = asyncio.ensure_future(app(scope, receive, send))
    try:
        await until(lambda: listener.status and (listener.text or listener.ended))
        yield listener
    finally:
        leave.set()
        await asyncio.wait_for(task, 30)


def put(kept: Kept, events: Events, *numbers: int, room: str = "lobby") -> None:
    kept.add(*(event(number, room, ()) for number in numbers))
    events.tell()


async def test_client_gets_what_comes_from_now_on(kept: Kept, events: Events) -> None:
    put(kept, events, 1, 2)
    async with listening(events) as listener:
        assert listener.headers["content-type"].startswith("text/event-stream")
        assert listener.headers["cache-control"] == "no-store"
        put(kept, events, 3)
        await until(lambda: len(listener.events) == 1)
        put(kept, events, 4, 5)
        await until(lambda: len(listener.events) == 3)
    assert listener.events == [(str(number), "track_published") for number in (3, 4, 5)]
    assert 'data: {"event": "track_published", "id": "EV_3"' in listener.text


async def test_client_that_comes_again_misses_nothing(kept: Kept, events: Events) -> None:
    put(kept, events, *range(1, 251))
    async with listening(events, "3") as listener:
        await until(lambda: len(listener.events) == 247)
    assert [id for id, _ in listener.events] == [str(number) for number in range(4, 251)]
    async with listening(events, "0") as listener:
        await until(lambda: len(listener.events) == 250)


async def test_client_whose_place_is_forgotten_is_told(kept: Kept, events: Events) -> None:
    put(kept, events, *range(1, 11))
    with kept.store.writing() as connection:
        assert forget_events(connection, 0.0, 5, 100) == 5
    for place in ("3", "999999999"):
        async with listening(events, place) as listener:
            await until(lambda: len(listener.events) == 6)
        assert listener.events[0] == ("", "lost")
        assert [id for id, _ in listener.events[1:]] == ["6", "7", "8", "9", "10"]


async def test_client_hears_what_comes_after_a_quiet_week(kept: Kept, events: Events) -> None:
    put(kept, events, *range(1, 11))
    async with listening(events, "9") as listener:
        await until(lambda: len(listener.events) == 1)
        with kept.store.writing() as connection:
            assert forget_events(connection, time.time() + 1.0, 1000, 1000) == 9
        put(kept, events, 11)
        await until(lambda: len(listener.events) == 2)
    assert [id for id, _ in listener.events] == ["10", "11"]


async def test_client_hears_the_rooms_of_its_key_and_their_subrooms(kept: Kept, events: Events, door: Door) -> None:
    door.caller = Caller("api-key", "k", rooms=("voice-a", "x*"))
    for number, room in enumerate(("voice-a", "voice-a(2)", "voice-b", "x/y", "lobby", "", "lobby(2)"), 1):
        put(kept, events, number, room=room)
    async with listening(events, "0") as listener:
        await until(lambda: len(listener.events) == 3)
        put(kept, events, 8, room="xylophone")
        await until(lambda: len(listener.events) == 4)
    assert [id for id, _ in listener.events] == ["1", "2", "4", "8"]


@pytest.mark.parametrize(
    ("roles", "heard"),
    [
        ((), ["1", "2", "3"]),
        (("participant",), ["1", "2", "3"]),
        (("speaker",), ["1", "2"]),
        (("admin",), ["1", "2", "3", "4"]),
        (("speaker", "admin"), ["1", "2", "3", "4"]),
        (("gone",), []),
    ],
)
async def test_client_hears_no_room_into_which_no_role_of_its_key_leads(
    kept: Kept,
    events: Events,
    door: Door,
    monkeypatch: pytest.MonkeyPatch,
    roles: tuple[str, ...],
    heard: list[str],
) -> None:
    monkeypatch.setattr(module, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(module, "QUIET_SECONDS", 0.02)
    door.caller = Caller("api-key", "k", roles=roles)
    for number, room in enumerate(("voice-a", "voice-a(2)", "lobby", "board"), 1):
        put(kept, events, number, room=room)
    async with listening(events, "0") as listener:
        await until(lambda: ": still here\nid: 4\n" in listener.text)
    assert [id for id, _ in listener.events] == heard


@pytest.mark.parametrize(("kind", "status"), [("open", 401), ("oidc", 403), ("invite", 403)])
async def test_only_api_keys_listen(events: Events, door: Door, kind: str, status: int) -> None:
    door.caller = Caller(kind)  # type: ignore[arg-type]
    async with listening(events) as listener:
        assert listener.status == status
    door.caller = None
    async with listening(events) as listener:
        assert listener.status == 401


async def test_key_that_ends_hears_no_more(kept: Kept, events: Events, door: Door) -> None:
    async with listening(events) as listener:
        put(kept, events, 1)
        await until(lambda: len(listener.events) == 1)
        door.caller = None
        put(kept, events, 2)
        await until(lambda: listener.ended)
    assert len(listener.events) == 1


@pytest.mark.parametrize("last", ["x", "-1", "1.5", "", "9" * 19, "²"])
async def test_place_that_is_none_is_refused(events: Events, last: str) -> None:
    async with listening(events, last) as listener:
        assert listener.status == 400


async def test_store_that_is_gone_ends_the_stream_and_begins_none(kept: Kept, events: Events) -> None:
    async with listening(events) as listener:
        kept.broken = GONE
        events.tell()
        await until(lambda: listener.ended)
    async with listening(events) as listener:
        assert listener.status == 503
    kept.broken = None
    async with listening(events) as listener:
        assert listener.status == 200


async def test_events_of_another_service_are_seen(kept: Kept, events: Events, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "POLL_SECONDS", 0.01)
    async with listening(events) as listener:
        kept.add(event(1, receivers=()))
        await until(lambda: len(listener.events) == 1)


async def test_quiet_stream_shows_that_it_lives_and_where_it_is(
    kept: Kept, events: Events, door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(module, "QUIET_SECONDS", 0.02)
    door.caller = Caller("api-key", "k", rooms=("other",))
    async with listening(events) as listener:
        put(kept, events, 1, 2)
        await until(lambda: "id: 2\n\n" in listener.text)
    assert listener.events == []


async def test_streams_end_with_the_service(events: Events) -> None:
    async with listening(events) as listener:
        events.end()
        await until(lambda: listener.ended)
    async with listening(events) as listener:
        assert listener.status == 503


async def test_number_of_clients_is_bounded_and_those_who_left_make_room(
    events: Events, door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_STREAMS", 2)
    for _ in range(3):
        door.caller = Caller("api-key", "one")
        async with listening(events):
            door.caller = Caller("api-key", "another")
            async with listening(events) as second, listening(events) as third:
                assert (second.status, third.status) == (200, 503)
        assert not events._streams


async def test_one_key_leaves_streams_for_others(events: Events, door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_STREAMS", 16)
    async with AsyncExitStack() as stack:
        for name, gets in (("greedy", 8), ("second", 4), ("third", 2)):
            door.caller = Caller("api-key", name)
            asked = [asyncio.ensure_future(stack.enter_async_context(listening(events))) for _ in range(20)]
            listeners = await asyncio.gather(*asked)
            statuses = sorted(listener.status for listener in listeners)
            assert statuses == [200] * gets + [429] * (20 - gets)
