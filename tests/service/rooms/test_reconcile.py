"""Seats follow what LiveKit says."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path

import pytest

from lkhub.errors import MachineError
from lkhub.livekit.room_info import Room
from lkhub.livekit.tokens import PROBE_ROOM_PREFIX
from lkhub.service.presets import Presets
from lkhub.service.rooms.applying import Applying
from lkhub.service.rooms.family import JOIN_SECONDS, RETURN_SECONDS
from lkhub.service.rooms.ledger import Ledger
from lkhub.service.rooms.reconcile import PERIOD_SECONDS, TURNS, Reconciliation
from lkhub.service.rooms.seats import Seats
from lkhub.service.tokens import Reserved
from lkhub.store.lead import Lead
from lkhub.store.store import Store
from lkhub.wire.application import RoomPreset
from tests.service.rooms.kit import Clock, Direct, preset, reserve
from tests.waiting import until

pytestmark = pytest.mark.anyio

PRESETS = (preset("hall", 2, "reject"), preset("voice-*", 2), preset("open", None, "reject", metadata="m"))


class FakeSfu:
    """A LiveKit: the participants of each open room. `away` is what it answers while it is down."""

    def __init__(self) -> None:
        self.rooms: dict[str, dict[str, str]] = {}
        self.sids: dict[str, str] = {}
        self.away: Exception | None = None
        self.refuses: set[str] = set()
        self.asked: list[str] = []
        self.applied: list[tuple[str, str]] = []

    async def list_rooms(self, *names: str) -> Sequence[Room]:
        await asyncio.sleep(0)
        if self.away:
            raise self.away
        return [Room(name, self.sids.get(name, f"RM_{name}")) for name in names or self.rooms]

    async def list_participants(self, room: str) -> Mapping[str, str]:
        await asyncio.sleep(0)
        self.asked.append(room)
        return dict(self.rooms.get(room, {}))

    async def apply(self, room: Room, settings: RoomPreset) -> None:
        if room.name in self.refuses:
            raise MachineError("LiveKit refuses UpdateRoomMetadata")
        self.applied.append((room.name, settings.metadata))


class Service:
    """One `lkhub serve` with a LiveKit that is played."""

    def __init__(self, folder: Path, presets: Sequence[RoomPreset] = PRESETS, sfu: FakeSfu | None = None) -> None:
        self.store, self.clock, self.sfu = Store(f"sqlite:///{folder}/store.db"), Clock(), sfu or FakeSfu()
        known = Presets(presets)
        self.ledger = Ledger(Direct(self.store), known, self.clock)
        self.seats = Seats(self.ledger, known)
        self.applying = Applying(self.sfu, self.make_lead)
        self.reconciliation = Reconciliation(self.ledger, known, self.sfu, self.applying, period=0.02)

    async def make_lead(self) -> Lead:
        return self.store.make_lead("presets")

    def close(self) -> None:
        self.applying.release()
        self.store.close()

    async def take(self, room: str, *identities: str) -> list[str | None]:
        answers = [await reserve(self.store, self.seats, room, each) for each in identities]
        return [answer.room if isinstance(answer, Reserved) else None for answer in answers]

    async def look(self, times: int = 1) -> None:
        for _ in range(times):
            await self.reconciliation.look()

    async def sids(self) -> dict[str, dict[int, frozenset[str]]]:
        return {view.name: dict(view.rooms) for view in await self.ledger.view()}


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    made = Service(tmp_path)
    yield made
    made.close()


async def test_join_without_a_webhook_is_found(service: Service) -> None:
    await service.take("hall", "a")
    service.sfu.rooms["hall"] = {"a": "PA_a"}
    await service.look()
    service.clock.now += JOIN_SECONDS
    assert await service.take("hall", "b", "c") == ["hall", None]


async def test_participants_of_others_tokens_take_seats_when_they_are_seen(service: Service) -> None:
    service.sfu.rooms = {"hall": {"x": "PA_x", "y": "PA_y"}, "voice-1(2)": {"z": "PA_z"}}
    await service.look()
    assert await service.sids() == {"hall": {1: {"PA_x", "PA_y"}}, "voice-1": {2: {"PA_z"}}}
    assert await service.take("hall", "a", "x") == [None, "hall"]
    assert await service.take("voice-1", *"abcd") == ["voice-1", "voice-1", "voice-1(2)", "voice-1(3)"]


async def test_media_that_was_started_again_frees_the_seats_of_those_who_do_not_return(service: Service) -> None:
    service.sfu.rooms["hall"] = {"a": "PA_a", "b": "PA_b"}
    await service.look()
    service.sfu.rooms = {}
    await service.look()
    assert await service.take("hall", "c") == [None], "they have some seconds"
    service.sfu.rooms["hall"] = {"a": "PA_new"}
    await service.look()
    service.clock.now += RETURN_SECONDS
    assert await service.take("hall", "c", "d") == ["hall", None]


async def test_seats_of_a_room_that_closed_unseen_are_given_up(service: Service) -> None:
    """Nobody would come in to open it again: it would be full for ever."""
    service.sfu.rooms["hall"] = {"a": "PA_a", "b": "PA_b"}
    await service.look()
    service.sfu.rooms = {}
    await service.look()
    service.clock.now += RETURN_SECONDS
    assert await service.take("hall", "c", "d") == ["hall", "hall"]


async def test_seats_stay_while_livekit_does_not_answer(service: Service) -> None:
    service.sfu.rooms["hall"] = {"a": "PA_a", "b": "PA_b"}
    await service.look()
    service.sfu.away = MachineError("LiveKit does not answer")
    with pytest.raises(MachineError):
        await service.look()
    service.clock.now += 3600
    assert await service.take("hall", "c") == [None]


async def test_room_that_was_opened_anew_is_asked_for_at_once(service: Service) -> None:
    service.sfu.rooms["hall"] = {"a": "PA_a"}
    await service.look()
    service.sfu.rooms["hall"] = {"b": "PA_b"}
    service.sfu.sids["hall"] = "RM_2"
    await service.look()
    assert (await service.sids())["hall"] == {1: {"PA_b", ""}}


async def test_every_room_is_asked_for_in_its_turn_and_none_each_time(service: Service) -> None:
    for number in range(40):
        service.sfu.rooms[f"voice-{number}"] = {"a": f"PA_{number}"}
    await service.look()
    service.sfu.asked.clear()
    await service.look(TURNS)
    assert sorted(service.sfu.asked) == sorted(service.sfu.rooms)


async def test_participant_whose_return_was_not_told_is_found_before_its_seat_ends(service: Service) -> None:
    rooms = [f"voice-{number}" for number in range(40)]
    for room in rooms:
        service.sfu.rooms[room] = {"a": f"PA_{room}", "b": "PA_b"}
    await service.look()
    for room in rooms:
        await service.ledger.visit(room, lambda family, now: family.leave(1, "b", "PA_b", now))
        service.sfu.rooms[room]["b"] = "PA_again"
    for _ in range(int((RETURN_SECONDS - 1) // PERIOD_SECONDS)):
        service.clock.now += PERIOD_SECONDS
        await service.look()
    service.clock.now += PERIOD_SECONDS
    assert [await service.take(room, "c") for room in rooms] == [[f"{room}(2)"] for room in rooms]


async def test_gap_makes_every_room_be_asked_for(service: Service) -> None:
    for number in range(40):
        service.sfu.rooms[f"voice-{number}"] = {"a": f"PA_{number}"}
    await service.look()
    service.sfu.asked.clear()
    service.reconciliation.note_gap()
    await service.look()
    assert len(service.sfu.asked) == 40


async def test_look_that_failed_is_made_up_for(service: Service) -> None:
    """It may have failed before it asked for the room whose turn it was."""
    for number in range(40):
        service.sfu.rooms[f"voice-{number}"] = {"a": f"PA_{number}"}
    await service.look()
    service.sfu.away = MachineError("LiveKit does not answer")
    with pytest.raises(MachineError):
        await service.look()
    service.sfu.away = None
    service.sfu.asked.clear()
    await service.look()
    assert len(service.sfu.asked) == 40


async def test_room_of_verification_takes_no_seats(tmp_path: Path) -> None:
    service = Service(tmp_path, [preset("*", 2)])
    service.sfu.rooms[f"{PROBE_ROOM_PREFIX}1"] = {"a": "PA_a"}
    await service.look()
    assert (await service.sids(), service.sfu.asked, service.sfu.applied) == ({}, [], [])
    service.close()


async def test_reservations_that_ended_leave_the_store(service: Service) -> None:
    await service.take("hall", "a")
    service.clock.now += JOIN_SECONDS
    await service.look()
    assert await service.sids() == {}


async def test_seats_of_a_room_without_a_capacity_any_more_are_given_up(tmp_path: Path) -> None:
    first = Service(tmp_path)
    await first.take("hall", "a")
    first.close()
    again = Service(tmp_path, [])
    await again.look()
    assert await again.sids() == {}
    again.close()


async def test_preset_is_applied_once_to_each_room(service: Service) -> None:
    service.sfu.rooms = {"open": {}, "elsewhere": {}}
    await service.look(3)
    assert service.sfu.applied == [("open", "m")]
    service.sfu.sids["open"] = "RM_2"
    await service.look(3)
    assert len(service.sfu.applied) == 2


async def test_preset_that_could_not_be_applied_is_tried_again(service: Service) -> None:
    service.sfu.rooms = {"open": {}, "hall": {"a": "PA_a"}}
    service.sfu.refuses = {"open"}
    await service.look(2)
    assert [name for name, _ in service.sfu.applied] == ["hall"]
    assert "hall" in await service.sids(), "others are not delayed by it"
    service.sfu.refuses = set()
    await service.look(2)
    assert [name for name, _ in service.sfu.applied] == ["hall", "open"]


async def test_looks_go_on_after_failures_of_any_kind(service: Service, caplog: pytest.LogCaptureFixture) -> None:
    task = asyncio.create_task(service.reconciliation.run())
    for failure in (MachineError("LiveKit does not answer"), ValueError("a bug")):
        service.sfu.away = failure
        await until(lambda failure=failure: str(failure) in caplog.text)  # type: ignore[misc]
    service.sfu.away = None
    service.sfu.rooms["hall"] = {"a": "PA_a"}
    await until(lambda: "again" in caplog.text)
    assert caplog.text.count("LiveKit does not answer") == 1
    task.cancel()
    assert (await service.sids())["hall"] == {1: {"PA_a"}}


async def test_look_is_not_waited_for_when_it_is_asked_for(service: Service) -> None:
    service.reconciliation._period = 3600
    task = asyncio.create_task(service.reconciliation.run())
    await until(lambda: not service.reconciliation._missed)
    service.sfu.rooms["hall"] = {"a": "PA_a"}
    service.reconciliation.note_gap()
    await until(lambda: "hall" in service.sfu.asked)
    task.cancel()


async def test_list_that_is_older_than_a_join_and_a_leave_changes_neither(service: Service) -> None:
    await service.take("hall", "joins", "leaves")
    await service.ledger.visit("hall", lambda family, _: family.join(1, "leaves", "PA_l"))
    service.sfu.rooms["hall"] = {"leaves": "PA_l"}

    async def list_late(room: str) -> Mapping[str, str]:
        answer = dict(service.sfu.rooms[room])
        await service.ledger.visit("hall", lambda family, _: family.join(1, "joins", "PA_j"))
        await service.ledger.visit("hall", lambda family, now: family.leave(1, "leaves", "PA_l", now))
        return answer

    service.sfu.list_participants = list_late  # type: ignore[method-assign]
    await service.look()
    assert (await service.sids())["hall"] == {1: {"PA_j", ""}}


async def test_room_that_opened_while_livekit_was_asked_keeps_its_participant(service: Service) -> None:
    await service.take("hall", "joins")

    async def list_early(*_: str) -> Sequence[Room]:
        await service.ledger.visit("hall", lambda family, _: family.join(1, "joins", "PA_j"))
        return []

    service.sfu.list_rooms = list_early  # type: ignore[method-assign]
    await service.look()
    assert (await service.sids())["hall"] == {1: {"PA_j"}}
