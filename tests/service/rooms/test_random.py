"""Requests, joins, leaves, crashes and jumps of clocks in random order, against what LiveKit would have."""

import asyncio
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from lkhub.livekit.room_info import Room
from lkhub.service.presets import Presets, name_room
from lkhub.service.rooms.family import JOIN_SECONDS, RETURN_SECONDS
from lkhub.service.rooms.ledger import Ledger
from lkhub.service.rooms.reconcile import TURNS, Reconciliation
from lkhub.service.rooms.seats import Seats
from lkhub.service.tokens import Reserved
from lkhub.store.store import Store
from lkhub.wire.application import RoomPreset
from tests.service.rooms.kit import Direct, preset

read_clock = time.time_ns
ROOM = "voice"
IDENTITIES = st.sampled_from("abcd")
PROCESSES = st.sampled_from((0, 1))
PARTIES = st.sampled_from(("", "red"))


@cache
def template() -> Path:
    """An empty store: to make one takes longer than all that a test does with it."""
    file = Path(tempfile.mkdtemp()) / "store.db"
    Store(f"sqlite:///{file}").close()
    return file


class Rooms:
    """LiveKit: the SID of each identity in each room. `inside` happens after a list was made and before it arrives."""

    def __init__(self) -> None:
        self.rooms: dict[str, dict[str, str]] = {}
        self.count = 0
        self.inside: list[Any] = []

    def join(self, room: str, identity: str) -> str:
        self.count += 1
        self.rooms.setdefault(room, {})[identity] = f"PA_{self.count}"
        return f"PA_{self.count}"

    def leave(self, room: str, identity: str) -> str:
        sid = self.rooms[room].pop(identity)
        if not self.rooms[room]:
            del self.rooms[room]
        return sid

    async def list_rooms(self, *_: str) -> list[Room]:
        return [Room(name, f"RM_{name}") for name in self.rooms]

    async def list_participants(self, room: str) -> Mapping[str, str]:
        answer = dict(self.rooms.get(room, {}))
        while self.inside:
            await self.inside.pop()()
        return answer

    async def apply(self, room: Room, settings: RoomPreset) -> None:
        pass


class Service:
    """One `lkhub serve`. Its clock goes as fast as the others, and shows something else."""

    def __init__(self, url: str, machine: "Calls", offset: float) -> None:
        self.store = Store(url)
        presets = Presets([preset(ROOM, machine.capacity, machine.overflow)])
        self.ledger = Ledger(Direct(self.store), presets, lambda: machine.now + offset)
        self.seats = Seats(self.ledger, presets)
        self.reconciliation = Reconciliation(self.ledger, presets, machine.sfu)


class Calls(RuleBasedStateMachine):
    """Two processes, one store, one LiveKit."""

    @initialize(overflow=st.sampled_from(("reject", "subrooms")), capacity=st.integers(1, 2), strangers=st.booleans())
    def start(self, overflow: str, capacity: int, strangers: bool) -> None:
        """`strangers`: participants come that were not expected. A room that had one is checked less afterwards."""
        self.overflow, self.capacity, self.strangers = overflow, capacity, strangers
        self.folder = Path(tempfile.mkdtemp(prefix="seats-"))
        shutil.copy(template(), self.folder / "store.db")
        self.loop = asyncio.new_event_loop()
        self.now = 0.0
        self.sfu = Rooms()
        self.wall = 0
        self.tokens: dict[str, tuple[str, float]] = {}  # the room of each identity, and until when it is held for it
        self.spoiled: set[str] = set()  # rooms in which a participant was not expected
        self.services = [self.make_service(0.0), self.make_service(1e6)]

    def make_service(self, offset: float) -> Service:
        return Service(f"sqlite:///{self.folder}/store.db", self, offset)

    def run(self, awaitable: Any) -> Any:
        with mock.patch("time.time_ns", side_effect=lambda: read_clock() + self.wall):
            return self.loop.run_until_complete(awaitable)

    # What people do

    @rule(who=PROCESSES, identities=st.permutations("abcd"), wished=st.integers(1, 3), party=PARTIES)
    def ask_together(self, who: int, identities: list[str], wished: int, party: str) -> None:
        for identity in identities:
            self.ask(who, identity, wished, party)

    @rule(who=PROCESSES, identity=IDENTITIES, wished=st.integers(1, 3), party=PARTIES)
    def ask(self, who: int, identity: str, wished: int, party: str) -> None:
        room = name_room(ROOM, wished if self.overflow == "subrooms" else 1)
        answer = self.run(self.services[who].seats.reserve(room, identity, "open", party))
        if isinstance(answer, Reserved):
            if self.sfu.rooms.get(answer.room, {}).get(identity) is None:
                self.tokens[identity] = answer.room, self.now + JOIN_SECONDS
        else:
            assert self.overflow == "reject"
            assert 1 <= answer.retry_after <= 10

    @precondition(lambda self: self.tokens)
    @rule(data=st.data(), told=st.sampled_from((None, 0, 1)))
    def join(self, data: st.DataObject, told: int | None) -> None:
        identity = data.draw(st.sampled_from(sorted(self.tokens)))
        room, until = self.tokens[identity]
        present = self.sfu.rooms.get(room, {})
        if self.now >= until and identity not in present:
            if not self.strangers:
                return
            self.spoiled.add(room)
        if identity not in present and len(present) >= self.capacity:
            assert room in self.spoiled, f"{identity} was refused in {room}: {present}"
            return
        sid = self.sfu.join(room, identity)
        self.tell(told, lambda family, now: family.join(self.number(room), identity, sid))
        self.tokens[identity] = room, self.now + 1e9

    @precondition(lambda self: self.sfu.rooms)
    @rule(data=st.data(), told=st.sampled_from((None, 0, 1)), returns=st.booleans())
    def leave(self, data: st.DataObject, told: int | None, returns: bool) -> None:
        room = data.draw(st.sampled_from(sorted(self.sfu.rooms)))
        identity = data.draw(st.sampled_from(sorted(self.sfu.rooms[room])))
        sid = self.sfu.leave(room, identity)
        self.tell(told, lambda family, now: family.leave(self.number(room), identity, sid, now, returns=returns))
        if self.tokens.get(identity, ("", 0))[0] == room:
            self.tokens[identity] = room, self.now + (RETURN_SECONDS if returns or told is None else 0)

    @precondition(lambda self: self.strangers)
    @rule(number=st.integers(1, 3), identity=IDENTITIES, told=st.sampled_from((None, 0, 1)))
    def come_with_another_token(self, number: int, identity: str, told: int | None) -> None:
        room = name_room(ROOM, number if self.overflow == "subrooms" else 1)
        self.spoiled.add(room)
        if len(self.sfu.rooms.get(room, {})) < self.capacity:
            sid = self.sfu.join(room, identity)
            self.tell(told, lambda family, now: family.join(self.number(room), identity, sid))

    # What happens to machines

    @rule(seconds=st.sampled_from((RETURN_SECONDS - 1, RETURN_SECONDS, JOIN_SECONDS - 1, JOIN_SECONDS)))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule(hours=st.sampled_from((-1, 1)))
    def clock_jumps(self, hours: int) -> None:
        self.wall += hours * 3600 * 10**9

    @rule()
    def media_is_killed(self) -> None:
        for room, present in self.sfu.rooms.items():
            for identity in present:
                if self.tokens.get(identity, ("", 0))[0] == room:
                    self.tokens[identity] = room, self.now + RETURN_SECONDS
        self.sfu.rooms = {}

    @rule(who=PROCESSES, offset=st.sampled_from((-1e6, 0.0, 3600.0)))
    def service_is_killed(self, who: int, offset: float) -> None:
        # Nothing is left of it but what is in the store; its thread is ended for the sake of the test.
        self.services[who].store.close()
        self.services[who] = self.make_service(offset)

    @rule(who=PROCESSES)
    def look(self, who: int) -> None:
        self.run(self.services[who].reconciliation.look())

    @rule(who=PROCESSES)
    def look_at_every_room(self, who: int) -> None:
        self.services[who].reconciliation.note_gap()
        self.look(who)
        seats = {
            name_room(view.name, number): sids - {""}
            for view in self.run(self.services[who].ledger.view())
            for number, sids in view.rooms.items()
        }
        assert {room: sids for room, sids in seats.items() if sids} == {
            room: set(present.values()) for room, present in self.sfu.rooms.items()
        }

    @precondition(lambda self: self.sfu.rooms)
    @rule(who=PROCESSES, other=PROCESSES, data=st.data())
    def leave_while_the_list_is_on_its_way(self, who: int, other: int, data: st.DataObject) -> None:
        room = data.draw(st.sampled_from(sorted(self.sfu.rooms)))
        identity = data.draw(st.sampled_from(sorted(self.sfu.rooms[room])))

        async def leave() -> None:
            sid = self.sfu.leave(room, identity)
            number = self.number(room)
            await self.services[other].ledger.visit(ROOM, lambda family, now: family.leave(number, identity, sid, now))

        self.sfu.inside = [leave]
        self.look(who)
        if not self.sfu.inside and self.tokens.get(identity, ("", 0))[0] == room:
            self.tokens[identity] = room, self.now + RETURN_SECONDS
        self.sfu.inside = []

    # What must hold

    @invariant()
    def no_room_has_more_participants_than_places(self) -> None:
        for present in getattr(self, "sfu", Rooms()).rooms.values():
            assert len(present) <= self.capacity

    @invariant()
    def no_more_seats_than_places_are_given(self) -> None:
        if not hasattr(self, "services"):
            return
        held = Counter(room for room, until in self.tokens.values() if self.now < until)
        for room, count in held.items():
            assert count <= self.capacity or room in self.spoiled, f"{count} may join {room}"

    def teardown(self) -> None:
        if not hasattr(self, "services"):
            return
        try:
            self.check_that_no_seat_is_lost()
        finally:
            for service in self.services:
                service.store.close()
            self.loop.close()
            shutil.rmtree(self.folder)

    def check_that_no_seat_is_lost(self) -> None:
        """Once the rooms are empty and some time has passed, every seat is free."""
        self.sfu.rooms = {}
        for _ in range(TURNS + 2):
            self.look(0)
            self.look(1)
            self.now += JOIN_SECONDS
        assert [self.run(service.ledger.view()) for service in self.services] == [[], []]
        assert self.run(self.services[0].seats.reserve(ROOM, "w", "open")) == Reserved(ROOM)

    def number(self, room: str) -> int:
        return 1 if room == ROOM else int(room[len(ROOM) + 1 : -1])

    def tell(self, who: int | None, change: Any) -> None:
        """LiveKit's webhook, which may be lost."""
        if who is not None:
            self.run(self.services[who].ledger.visit(ROOM, change))


TestCalls = Calls.TestCase
TestCalls.settings = settings(max_examples=30, stateful_step_count=120, deadline=None)
