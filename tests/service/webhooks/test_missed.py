"""What was missed is found by asking, and only once it is sure."""

import asyncio
import json
from types import SimpleNamespace
from typing import Any, cast

import pytest

from lkhub.errors import MachineError
from lkhub.livekit.room_info import Participant, Room
from lkhub.livekit.webhooks import WebhookEvent
from lkhub.service.webhooks.intake import Intake
from lkhub.service.webhooks.missed import Listing, Search, list_all
from lkhub.store.events import Here, NewEvent, list_after
from lkhub.wire.application import Receiver
from tests.service.webhooks.conftest import GONE, URL, Kept
from tests.waiting import until

pytestmark = pytest.mark.anyio

ANN = Participant("PA_1", "ann", state="ACTIVE")
CALL: Listing = [(Room("lobby", "RM_1"), [ANN])]


class Media:
    """LiveKit, as it answers: what is there, or an error."""

    def __init__(self, listing: Listing = CALL) -> None:
        self.listing: Listing | Exception = listing
        self.asked = 0

    async def __call__(self) -> Listing:
        self.asked += 1
        if isinstance(self.listing, Exception):
            raise self.listing
        return self.listing


def make(kept: Kept, media: Media, **times: Any) -> tuple[Search, Intake]:
    intake = Intake(kept, dict, [Receiver(URL, (), False)])
    return Search(kept, intake, media, **times), intake


def stored(kept: Kept) -> list[str]:
    with kept.store.reading() as connection:
        return [event.id for event in list_after(connection, 0, 100)]


class AskedMedia:
    """LiveKit with a room of a person and one of the hub's own verification. `asked` are the rooms asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def ask(self, call: Any) -> Any:
        if "room" not in call.body:
            return SimpleNamespace(rooms=[Room("lobby", "RM_1"), Room("lkhub-verify-udp-1", "RM_2")])
        self.asked.append(call.body["room"])
        return SimpleNamespace(participants=[ANN])


async def test_rooms_of_the_verification_are_left_out() -> None:
    media = AskedMedia()
    assert await list_all(cast(Any, media)) == CALL
    assert media.asked == ["lobby"]


FOUND = ["FOUND_room_started_RM_1", "FOUND_participant_joined_PA_1"]


async def test_what_differs_twice_was_missed(kept: Kept) -> None:
    search, intake = make(kept, Media())
    heard: list[WebhookEvent] = []
    intake.listeners.append(heard.append)
    assert await search.look() is True
    assert stored(kept) == []
    assert await search.look() is False
    assert stored(kept) == FOUND
    assert [(event.event, event.found, event.participant.identity) for event in heard] == [
        ("room_started", True, ""),
        ("participant_joined", True, "ann"),
    ]
    assert await search.look() is False
    assert stored(kept) == FOUND


async def test_what_leaves_unseen_is_found(kept: Kept) -> None:
    media = Media()
    search, _ = make(kept, media)
    for listing in (CALL, CALL, [(Room("lobby", "RM_1"), [])], [(Room("lobby", "RM_1"), [])], [], []):
        media.listing = listing
        await search.look()
    assert stored(kept) == [*FOUND, "FOUND_participant_left_PA_1", "FOUND_room_finished_RM_1"]
    with kept.store.reading() as connection:
        left = json.loads(list_after(connection, 2, 1)[0].body)
    assert (left["participant"]["identity"], left["found"]) == ("ann", True)


async def test_event_that_was_only_late_is_not_found(kept: Kept) -> None:
    search, _ = make(kept, Media())
    await search.look()
    kept.add(
        NewEvent("EV_1", "lobby", "room_started", "{}", 1.0, (), Here("RM_1", "RM_1", "", '{"room":{}}')),
        NewEvent("EV_2", "lobby", "participant_joined", "{}", 1.0, (), Here("PA_1", "RM_1", "", '{"room":{}}')),
    )
    assert await search.look() is False
    assert stored(kept) == ["EV_1", "EV_2"]


async def test_two_that_search_find_it_once(kept: Kept) -> None:
    searches = [make(kept, Media())[0] for _ in range(2)]
    for _ in range(3):
        await asyncio.gather(*(search.look() for search in searches))
    assert stored(kept) == FOUND


async def test_it_goes_on_after_media_and_the_store_were_away(kept: Kept) -> None:
    media = Media()
    search, _ = make(kept, media, sure=0.001, quiet=3600)
    media.listing = MachineError("LiveKit does not answer")
    task = asyncio.ensure_future(search.run())
    await until(lambda: media.asked > 3)
    media.listing = CALL
    kept.broken = GONE
    asked = media.asked
    await until(lambda: media.asked > asked + 3)
    kept.broken = None
    await until(lambda: stored(kept) == FOUND)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_it_is_quiet_until_there_is_a_gap(kept: Kept) -> None:
    media = Media([])
    search, _ = make(kept, media, sure=0.001, quiet=3600)
    task = asyncio.ensure_future(search.run())
    await until(lambda: media.asked == 1)
    await asyncio.sleep(0.1)
    assert media.asked == 1
    media.listing = CALL
    search.note_gap()
    await until(lambda: stored(kept) == FOUND)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
