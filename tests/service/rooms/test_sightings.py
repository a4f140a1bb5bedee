"""Seats and presets follow LiveKit's webhooks."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from lkhub.livekit.webhooks import Participant, Room, WebhookEvent
from lkhub.service.errors import ApiError
from lkhub.service.presets import Presets
from lkhub.service.rooms import sightings
from lkhub.service.rooms.family import RETURN_SECONDS
from lkhub.service.rooms.sightings import Sightings
from tests.service.rooms.test_reconcile import PRESETS, FakeSfu, Service
from tests.waiting import until

pytestmark = pytest.mark.anyio


class Told(Service):
    """A service that gets webhooks."""

    def __init__(self, folder: Path, sfu: FakeSfu | None = None) -> None:
        super().__init__(folder, sfu=sfu)
        self.gaps = 0
        self.reconciliation.note_gap = self.count_gap  # type: ignore[method-assign]
        self.sightings = Sightings(self.ledger, Presets(PRESETS), self.sfu, self.applying, self.reconciliation)
        self.task = asyncio.create_task(self.sightings.run())

    def count_gap(self) -> None:
        self.gaps += 1

    def tell(self, event: str, room: str, identity: str = "", sid: str = "", **more: Any) -> None:
        participant = Participant(
            sid=sid or f"PA_{identity}",
            identity=identity,
            kind=more.pop("kind", ""),
            disconnect_reason=more.pop("why", ""),
        )
        room_of = Room(sid=f"RM_{room}", name=room)
        self.sightings.note(WebhookEvent(event=event, id="EV_1", room=room_of, participant=participant, **more))

    async def settle(self) -> None:
        """Wait until every event was followed: a last one is."""
        self.tell("participant_joined", "voice-last", "last")
        while "voice-last" not in (seen := await self.sids()):
            await asyncio.sleep(0.001)
        assert seen
        self.tell("participant_left", "voice-last", "last", why="ROOM_DELETED")
        while "voice-last" in await self.sids():
            await asyncio.sleep(0.001)


@pytest.fixture
async def told(tmp_path: Path) -> AsyncIterator[Told]:
    made = Told(tmp_path)
    await made.applying.take_lead()
    yield made
    made.task.cancel()
    made.close()


@pytest.mark.parametrize("leaves", ["participant_left", "participant_connection_aborted"])
async def test_join_confirms_a_seat_and_a_leave_gives_it_back(told: Told, leaves: str) -> None:
    await told.take("hall", "a", "b")
    told.tell("participant_joined", "hall", "a")
    told.tell("participant_joined", "hall", "b")
    told.tell(leaves, "hall", "a", why="CLIENT_INITIATED")
    await told.settle()
    assert await told.sids() == {"hall": {1: {"", "PA_b"}}}
    assert await told.take("hall", "c") == [None]
    told.clock.now += RETURN_SECONDS
    assert await told.take("hall", "c") == ["hall"]


@pytest.mark.parametrize("why", ["PARTICIPANT_REMOVED", "ROOM_DELETED", "ROOM_CLOSED"])
async def test_participant_that_was_sent_away_leaves_its_seat_at_once(told: Told, why: str) -> None:
    told.tell("participant_joined", "hall", "a")
    told.tell("participant_left", "hall", "a", why=why)
    await told.settle()
    assert await told.sids() == {}


async def test_second_participant_with_an_identity_keeps_the_seat(told: Told) -> None:
    told.tell("participant_joined", "hall", "a", "PA_1")
    told.tell("participant_left", "hall", "a", "PA_1", why="DUPLICATE_IDENTITY")
    told.tell("participant_joined", "hall", "a", "PA_2")
    told.tell("participant_left", "hall", "a", "PA_1", why="PARTICIPANT_REMOVED")
    await told.settle()
    assert await told.sids() == {"hall": {1: {"PA_2"}}}


async def test_sub_room_is_followed_in_its_family(told: Told) -> None:
    told.tell("participant_joined", "voice-1(3)", "a")
    await told.settle()
    assert await told.sids() == {"voice-1": {3: {"PA_a"}}}


@pytest.mark.parametrize(
    "more",
    [
        {"kind": "AGENT"},
        {"kind": "EGRESS"},
        {"found": True},
        {"room": "open"},
        {"room": "elsewhere"},
        {"room": "lkhub-verify-1"},
    ],
)
async def test_what_takes_no_seat(told: Told, more: dict[str, Any]) -> None:
    told.tell("participant_joined", **{"room": "hall", "identity": "a", **more})
    await told.settle()
    assert await told.sids() == {}


async def test_room_that_was_opened_gets_its_preset(told: Told) -> None:
    told.sfu.rooms = {"open": {}, "hall": {}, "elsewhere": {}}
    for room in told.sfu.rooms:
        told.tell("room_started", room)
    await told.settle()
    assert told.sfu.applied == [("open", "m")]


async def test_store_that_is_away_leaves_a_gap(told: Told) -> None:
    async def refuse(*_: object) -> None:
        raise ApiError(503, "the store is away")

    works, told.ledger.visit = told.ledger.visit, refuse  # type: ignore[assignment, method-assign]
    told.tell("participant_joined", "hall", "a")
    await until(lambda: told.gaps)
    told.ledger.visit = works  # type: ignore[method-assign]
    await told.settle()


async def test_bug_leaves_a_gap_and_a_trace(told: Told, caplog: pytest.LogCaptureFixture) -> None:
    told.sfu.rooms = {"open": {}}
    told.sfu.apply = None  # type: ignore[method-assign, assignment]
    told.tell("room_started", "open")
    await until(lambda: told.gaps)
    assert "a webhook was not followed" in caplog.text
    await told.settle()


async def test_events_do_not_pile_up(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sightings, "MOST_WAITING", 3)
    for number in range(8):
        told.tell("participant_joined", "voice-1", str(number))
    assert told.gaps == 2
    await told.settle()
    assert sum(len(sids) for sids in (await told.sids())["voice-1"].values()) == 2
