"""Requests, joins, leaves, crashes and jumps of clocks in random order, against what LiveKit would have."""

import asyncio
import itertools
import math
import shutil
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from sqlalchemy import select

from lkhub.service.presets import name_room, number_room
from lkhub.service.rooms.family import JOIN_SECONDS, RETURN_SECONDS, Family
from lkhub.service.rooms.reconcile import TURNS
from lkhub.service.tokens import Reserved
from lkhub.store.schema import seats
from lkhub.store.store import Store
from tests.service.rooms.kit import preset
from tests.service.rooms.processes import Machine, Rooms, Service

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


@dataclass(frozen=True)
class Known:
    """A seat as the hub should know it: of a participant, or of one that is awaited until a time. Of a participant,
    `until` is when the last token ends for which its seat would be kept, infinite without one."""

    sid: str
    until: float
    party: str


Key = tuple[int, str]

"""The number of a room, and the identity that has a seat there."""


class Calls(RuleBasedStateMachine):
    """Two processes, one store, one LiveKit. `known` are the seats that the hub should have after what it was told."""

    @initialize(
        overflow=st.sampled_from(("reject", "subrooms")),
        capacity=st.integers(1, 2),
        strangers=st.booleans(),
        one_machine=st.booleans(),
    )
    def start(self, overflow: str, capacity: int, strangers: bool, one_machine: bool) -> None:
        """`strangers`: participants come that were not expected. A room that had one is checked less afterwards.
        `one_machine`: the processes run on one, which is never started again. Then no seat is held a moment longer than
        it should be."""
        self.overflow, self.capacity, self.strangers = overflow, capacity, strangers
        self.one_machine = one_machine
        self.machines: dict[str, Machine] = {}
        self.known: dict[Key, Known] = {}
        self.folder = Path(tempfile.mkdtemp(prefix="seats-"))
        shutil.copy(template(), self.folder / "store.db")
        self.loop = asyncio.new_event_loop()
        self.now = 0.0
        self.sfu = Rooms()
        self.wall = 0
        self.tokens: dict[str, tuple[str, float]] = {}  # the room of each identity, and until when it is held for it
        self.newer: dict[tuple[str, str], float] = {}  # until when it is held for a participant that leaves the room
        self.spoiled: set[str] = set()  # rooms in which a participant was not expected
        self.services = [self.make_service(0.0), self.make_service(1e6)]

    def make_service(self, offset: float) -> Service:
        start = "one" if self.one_machine else str(len(self.machines))
        machine = self.machines.setdefault(start, Machine(lambda: self.now, start, offset))
        rooms = preset(ROOM, self.capacity, self.overflow)
        return Service(f"sqlite:///{self.folder}/store.db", rooms, self.sfu, machine)

    def run(self, awaitable: Any) -> Any:
        with mock.patch("time.time_ns", side_effect=lambda: read_clock() + self.wall):
            return self.loop.run_until_complete(awaitable)

    # What the hub should know

    def expire(self) -> None:
        self.known = {key: seat for key, seat in self.known.items() if seat.sid or seat.until > self.now}

    def expect(self, identity: str, wished: int, party: str) -> int | None:
        """The number of the room in which an identity should get a seat."""
        count = Counter(number for number, _ in self.known)
        lowest = next(number for number in itertools.count(1) if count[number] < self.capacity)
        own = {
            number: seat
            for (number, of), seat in self.known.items()
            if of == identity and (seat.sid or count[number] <= self.capacity)
        }
        is_open = count[wished] < self.capacity and (count[wished] > 0 or wished == lowest)
        if wished > 1 and (wished in own or is_open):
            return wished
        if own:
            return min(own, key=lambda number: (not own[number].sid, number))
        friends = Counter(
            number
            for (number, _), seat in self.known.items()
            if party and seat.party == party and count[number] < self.capacity
        )
        if friends:
            return min(friends, key=lambda number: (-friends[number], number))
        return lowest if self.overflow == "subrooms" or lowest == 1 else None

    def note_reserved(self, number: int, identity: str, party: str) -> None:
        before = self.known.get((number, identity))
        if before is None:
            for key, seat in list(self.known.items()):
                if key[1] == identity:
                    self.newer.pop((name_room(ROOM, key[0]), identity), None)
                    if seat.sid:
                        self.known[key] = Known(seat.sid, math.inf, seat.party)
                    else:
                        del self.known[key]
        sid, party = (before.sid, before.party) if before else ("", party)
        self.known[number, identity] = Known(sid, self.now + JOIN_SECONDS, party)

    def note_joined(self, number: int, identity: str, sid: str) -> None:
        self.expire()
        before = self.known.get((number, identity))
        if before is None or before.sid != sid:
            self.known[number, identity] = Known(sid, math.inf, before.party if before else "")

    def note_left(self, number: int, identity: str, sid: str, *, returns: bool) -> None:
        self.expire()
        before = self.known.get((number, identity))
        if before is not None and before.sid == sid:
            newer = before.until if before.until < math.inf else 0.0
            until = max(newer, self.now + RETURN_SECONDS if returns else 0.0)
            if until > self.now:
                self.known[number, identity] = Known("", until, before.party)
            else:
                del self.known[number, identity]

    def note_list(self) -> None:
        """The hub has asked for every room."""
        for (number, identity), seat in list(self.known.items()):
            if seat.sid and identity not in self.sfu.rooms.get(name_room(ROOM, number), {}):
                self.note_left(number, identity, seat.sid, returns=True)
        for room, present in self.sfu.rooms.items():
            for identity, sid in present.items():
                self.note_joined(number_room(ROOM, room), identity, sid)

    def read(self) -> dict[Key, Known]:
        """The seats in the store, without those whose time has passed."""
        with self.services[0].store.reading() as connection:
            rows = connection.execute(select(seats)).all()
        found = {
            (number_room(ROOM, row.room), row.identity): Known(
                row.sid, math.inf if row.hold is None else row.deadline - self.machines[row.clock].offset, row.party
            )
            for row in rows
        }
        return {key: seat for key, seat in found.items() if seat.sid or seat.until > self.now}

    # What people do

    @rule(who=PROCESSES, identities=st.permutations("abcd"), wished=st.integers(1, 3), party=PARTIES)
    def ask_together(self, who: int, identities: list[str], wished: int, party: str) -> None:
        for identity in identities:
            self.ask(who, identity, wished, party)

    @rule(who=PROCESSES, identity=IDENTITIES, wished=st.integers(1, 3), party=PARTIES)
    def ask(self, who: int, identity: str, wished: int, party: str) -> None:
        wished = wished if self.overflow == "subrooms" else 1
        self.expire()
        expected = self.expect(identity, wished, party)
        answer = self.run(self.services[who].take(name_room(ROOM, wished), identity, party))
        if self.one_machine:
            assert (number_room(ROOM, answer.room) if isinstance(answer, Reserved) else None) == expected
        if isinstance(answer, Reserved):
            self.note_reserved(number_room(ROOM, answer.room), identity, party)
            present = self.sfu.rooms.get(answer.room, {}).get(identity)
            if present is None:
                self.tokens[identity] = answer.room, self.now + JOIN_SECONDS
            elif present == self.known[number_room(ROOM, answer.room), identity].sid:
                self.newer[answer.room, identity] = self.now + JOIN_SECONDS
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
        self.join_told(room, identity, told)
        self.tokens[identity] = room, self.now + 1e9

    @precondition(lambda self: self.sfu.rooms)
    @rule(data=st.data(), told=st.sampled_from((None, 0, 1)), returns=st.booleans())
    def leave(self, data: st.DataObject, told: int | None, returns: bool) -> None:
        room = data.draw(st.sampled_from(sorted(self.sfu.rooms)))
        identity = data.draw(st.sampled_from(sorted(self.sfu.rooms[room])))
        self.leave_told(room, identity, told, returns=returns)
        self.keep_token(room, identity, RETURN_SECONDS if returns or told is None else 0)

    def keep_token(self, room: str, identity: str, seconds: float) -> None:
        """A participant has left, and may come back."""
        newer = self.newer.pop((room, identity), 0.0)
        if self.tokens.get(identity, ("", 0))[0] == room:
            self.tokens[identity] = room, max(newer, self.now + seconds)

    @precondition(lambda self: self.strangers)
    @rule(number=st.integers(1, 3), identity=IDENTITIES, told=st.sampled_from((None, 0, 1)))
    def come_with_another_token(self, number: int, identity: str, told: int | None) -> None:
        room = name_room(ROOM, number if self.overflow == "subrooms" else 1)
        self.spoiled.add(room)
        if len(self.sfu.rooms.get(room, {})) < self.capacity:
            self.join_told(room, identity, told)

    def join_told(self, room: str, identity: str, told: int | None) -> None:
        """`told`: which process gets LiveKit's webhook, which may be lost."""
        self.newer.pop((room, identity), None)
        sid, number = self.sfu.join(room, identity), number_room(ROOM, room)
        if told is not None:
            self.run(self.services[told].ledger.visit(ROOM, lambda family, _: family.join(number, identity, sid)))
            self.note_joined(number, identity, sid)

    def leave_told(self, room: str, identity: str, told: int | None, *, returns: bool) -> None:
        sid, number = self.sfu.leave(room, identity), number_room(ROOM, room)

        def leave(family: Family, now: float) -> None:
            family.leave(number, identity, sid, now, returns=returns)

        if told is not None:
            self.run(self.services[told].ledger.visit(ROOM, leave))
            self.note_left(number, identity, sid, returns=returns)

    # What happens to machines

    @rule(who=PROCESSES, seconds=st.sampled_from((RETURN_SECONDS - 1, RETURN_SECONDS, JOIN_SECONDS - 1, JOIN_SECONDS)))
    def wait(self, who: int, seconds: float) -> None:
        """One process at least looks at the rooms sooner than a seat ends, so no participant loses its seat for want of
        a webhook."""
        self.look_at_every_room(who)
        self.now += seconds

    @rule(hours=st.sampled_from((-1, 1)))
    def clock_jumps(self, hours: int) -> None:
        self.wall += hours * 3600 * 10**9

    @rule()
    def media_is_killed(self) -> None:
        for room, present in self.sfu.rooms.items():
            for identity in present:
                self.keep_token(room, identity, RETURN_SECONDS)
        self.sfu.rooms = {}

    @rule(who=PROCESSES, offset=st.sampled_from((-1e6, 0.0, 3600.0)))
    def service_is_killed(self, who: int, offset: float) -> None:
        # Nothing is left of it but what is in the store; its thread is ended for the sake of the test.
        self.services[who].end()
        self.services[who] = self.make_service(offset)

    @rule(who=PROCESSES)
    def look(self, who: int) -> None:
        """Some rooms have their turn: which ones is not for this model."""
        self.run(self.services[who].reconciliation.look())
        self.known = self.read()

    @rule(who=PROCESSES)
    def look_at_every_room(self, who: int) -> None:
        self.services[who].reconciliation.note_gap()
        self.run(self.services[who].reconciliation.look())
        self.note_list()
        found = {
            name_room(view.name, number): sids - {""}
            for view in self.run(self.services[who].ledger.view())
            for number, sids in view.rooms.items()
        }
        assert {room: sids for room, sids in found.items() if sids} == {
            room: set(present.values()) for room, present in self.sfu.rooms.items()
        }

    @precondition(lambda self: self.sfu.rooms)
    @rule(who=PROCESSES, other=PROCESSES, data=st.data(), again=st.booleans())
    def leave_while_the_list_is_on_its_way(self, who: int, other: int, data: st.DataObject, again: bool) -> None:
        """`again`: the participant is back before the list arrives."""
        room = data.draw(st.sampled_from(sorted(self.sfu.rooms)))
        identity = data.draw(st.sampled_from(sorted(self.sfu.rooms[room])))
        number, ledger = number_room(ROOM, room), self.services[other].ledger
        sids: list[str] = []
        knew = {seat.sid for seat in self.known.values()}

        async def leave() -> None:
            left = self.sfu.leave(room, identity)
            await ledger.visit(ROOM, lambda family, now: family.leave(number, identity, left, now))
            sids.append(left)
            if again:
                came = self.sfu.join(room, identity)
                await ledger.visit(ROOM, lambda family, _: family.join(number, identity, came))
                sids.append(came)

        self.sfu.inside = [leave]
        self.services[who].reconciliation.note_gap()
        self.run(self.services[who].reconciliation.look())
        self.known = self.read()
        if sids:
            seat = self.known.get((number, identity))
            # Of a participant that the hub did not know of, a leave says nothing: the next look frees its seat.
            assert seat is None or seat.sid != sids[0] or sids[0] not in knew, "the list is older than the leave"
            assert not again or (seat is not None and seat.sid == sids[1]), "the list is older than the join"
            if not again:
                self.keep_token(room, identity, RETURN_SECONDS)
            self.newer.pop((room, identity), None)
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

    @invariant()
    def store_has_the_seats_that_it_should_have(self) -> None:
        if not hasattr(self, "services"):
            return
        self.expire()
        found = self.read()
        if self.one_machine:
            assert found == self.known
        else:
            sids = {key: seat.sid for key, seat in found.items()}
            assert {key: seat.sid for key, seat in self.known.items()}.items() <= sids.items(), "one is held too short"

    def teardown(self) -> None:
        if not hasattr(self, "services"):
            return
        try:
            self.check_that_no_seat_is_lost()
        finally:
            for service in self.services:
                service.end()
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
        assert self.run(self.services[0].take(ROOM, "w")) == Reserved(ROOM)


TestCalls = Calls.TestCase

TestCalls.settings = settings(max_examples=30, stateful_step_count=120, deadline=None)
