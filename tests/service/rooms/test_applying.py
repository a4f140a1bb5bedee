"""Presets are applied by one service of several, and once by that one."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from lkhub.livekit.room_info import Room
from lkhub.service.errors import ApiError
from lkhub.wire.application import RoomPreset
from tests.service.rooms.test_reconcile import FakeSfu, Service
from tests.service.rooms.test_sightings import Told

pytestmark = pytest.mark.anyio


class Calling(FakeSfu):
    """Calls the preset's agent into a room where it is not: it asks first, as Media does."""

    def __init__(self) -> None:
        super().__init__()
        self.called: list[str] = []

    async def apply(self, room: Room, settings: RoomPreset) -> None:
        is_there = room.name in self.called
        await asyncio.sleep(0.01)
        if not is_there:
            self.called.append(room.name)


@pytest.fixture
async def two(tmp_path: Path) -> AsyncIterator[tuple[Told, Told]]:
    """Two services on one store, with one LiveKit."""
    made = Told(tmp_path, sfu := Calling()), Told(tmp_path, sfu)
    yield made
    for told in made:
        told.task.cancel()
        told.close()


def called(service: Service) -> list[str]:
    assert isinstance(service.sfu, Calling)
    return sorted(service.sfu.called)


async def test_two_services_call_an_agent_once(two: tuple[Told, Told]) -> None:
    two[0].sfu.rooms = {"open": {}}
    for _ in range(3):
        await asyncio.gather(*(service.look() for service in two))
    assert called(two[0]) == ["open"]


async def test_webhook_and_a_look_at_the_same_time_call_an_agent_once(two: tuple[Told, Told]) -> None:
    told = two[0]
    await told.look()
    told.sfu.rooms = {"open": {}}
    told.tell("room_started", "open")
    told.tell("room_started", "open")
    await told.look()
    await told.settle()
    assert called(told) == ["open"]


async def test_service_that_does_not_lead_leaves_it_to_the_other(two: tuple[Told, Told]) -> None:
    leads, other = two
    await leads.look()
    await other.look()
    other.sfu.rooms = {"open": {}}
    other.tell("room_started", "open")
    await other.settle()
    await other.look()
    assert called(other) == []
    await leads.look()
    assert called(leads) == ["open"]


async def test_service_that_begins_to_lead_applies_what_the_one_before_has_left(two: tuple[Told, Told]) -> None:
    leads, other = two
    await leads.look()
    other.sfu.rooms = {"open": {}}
    await other.look()
    leads.applying.release()  # as where it ends
    await other.look()
    assert called(other) == ["open"]
    await leads.look()
    assert not leads.applying.leads


async def test_service_whose_store_is_gone_does_not_lead(two: tuple[Told, Told]) -> None:
    leads, other = two
    await leads.look()
    view = leads.ledger.view

    async def fail() -> None:
        raise ApiError(503, "the store is gone")

    leads.ledger.view = fail  # type: ignore[method-assign, assignment]
    with pytest.raises(ApiError):
        await leads.look()
    leads.ledger.view = view  # type: ignore[method-assign]
    await other.look()
    assert (leads.applying.leads, other.applying.leads) == (False, True)
    other.applying.release()
    await leads.look()
    assert leads.applying.leads
