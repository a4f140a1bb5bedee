"""The seats of a room with a capacity and of its sub-rooms: who gets which, and who keeps it. Pure.

A seat is held for a participant that has joined, for one that is on its way (it has a token), or for one that has left
and may come back. The last two end after a time, which is never counted by the time of day: a clock that is set would
free seats for which there are tokens, or keep free ones. It is counted on the clock that runs since the machine's
start. All processes of a machine share that clock, so a service that is started again goes on with what remains. A
process on another machine, or after the machine was started again, counts from when it learns of the seat. So it may
free the seat later than the process that wrote it, and never sooner.
"""

import math
import random
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from lkhub.livekit.tokens import MAX_NAME_BYTES, count_bytes
from lkhub.service.presets import name_room

# From the token to the join: a person looks at the preview of the own camera first.
JOIN_SECONDS = 60.0

# From a leave to the next join: a page is loaded anew, an SDK reconnects, media is started again.
RETURN_SECONDS = 15.0

# When to ask for a full room again, if no seat is known to end sooner.
ASK_AGAIN_SECONDS = 10

# Versions of a family grow by steps of random size: no version is used twice, not even by a change that was undone.
_STEP_BITS = 24


@dataclass(slots=True)
class Seat:
    """One seat. `sid` is the participant that sits there, "" while it is awaited: then the seat ends `hold` seconds
    after it was last `changed`, at `deadline` on this process's clock. Of a participant that sits there, `hold` is None
    unless it has a newer token, for example since its page is loaded anew: then the seat is kept until `deadline` at
    least if it leaves. `changed` is a version of the family. `caller` is "" for a participant that was seen without a
    reservation."""

    number: int
    identity: str
    caller: str
    party: str
    sid: str = ""
    hold: float | None = None
    changed: int = 0
    deadline: float = math.inf
    stored: bool = False

    @property
    def end(self) -> float:
        """When it is given up, if nothing happens until then."""
        return math.inf if self.sid else self.deadline


@dataclass
class Changes:
    """What has to be written: seats that are new, seats that are different, and the number and identity of seats that
    are gone."""

    added: list[Seat] = field(default_factory=list)
    changed: list[Seat] = field(default_factory=list)
    removed: list[tuple[int, str]] = field(default_factory=list)


class Family:
    """The seats of one family at one `version`. Without `subrooms` it has one room."""

    def __init__(self, name: str, version: int, capacity: int, *, subrooms: bool) -> None:
        self.name, self.version, self.capacity, self.subrooms = name, version, capacity, subrooms
        self._rooms: dict[int, dict[str, Seat]] = {}
        self._numbers: dict[str, set[int]] = {}  # by identity
        self._parties: dict[str, Counter[int]] = {}
        self._lowest = 1  # all rooms before it are full
        self._next_deadline = math.inf
        self._changed = False
        self._touched: set[tuple[int, str]] = set()
        self._removed: set[tuple[int, str]] = set()

    def __iter__(self) -> Iterator[Seat]:
        return (seat for room in self._rooms.values() for seat in room.values())

    def __bool__(self) -> bool:
        return bool(self._rooms)

    @property
    def next_deadline(self) -> float:
        """When the first of the awaited participants is given up, or sooner."""
        return self._next_deadline

    def find(self, number: int, identity: str) -> Seat | None:
        return self._rooms.get(number, {}).get(identity)

    def count(self, number: int) -> int:
        """How many seats of a room are taken: more than its capacity if participants came without a reservation."""
        return len(self._rooms.get(number, ()))

    def list_sids(self) -> dict[int, frozenset[str]]:
        """The SIDs of the participants in each room that has seats, with "" for those that are awaited."""
        return {number: frozenset(seat.sid for seat in room.values()) for number, room in self._rooms.items()}

    def restore(self, seat: Seat) -> None:
        """Put a seat where it was. It is no change."""
        seat.stored = True
        self._put(seat)

    # What happens

    def reserve(self, identity: str, caller: str, party: str, wished: int, now: float) -> int | None:
        """The number of the room in which this identity has a seat from now on; None if the family is full.

        `wished` is the number that was asked for; 1 asks for any room. The seat that an identity has is kept, unless
        another room was wished and has space.
        """
        own = self._find_own(identity, wished)
        if own is not None and (wished in (1, own.number) or not self._is_open(wished)):
            own.caller = caller
            self._await(own, now + JOIN_SECONDS, now)
            return own.number
        number = self._choose(wished, party)
        if number is None:
            return None
        for other in [self._rooms[each][identity] for each in self._numbers.get(identity, ())]:
            if not other.sid:
                self._remove(other)
            elif other.hold is not None:  # the newest token is for another room
                other.hold, other.deadline = None, math.inf
                self._touch(other)
        seat = Seat(number, identity, caller, party)
        self._put(seat)
        self._await(seat, now + JOIN_SECONDS, now)
        return number

    def join(self, number: int, identity: str, sid: str) -> None:
        """A participant is in a room. It has a seat there, whether there was space or not."""
        seat = self.find(number, identity)
        if seat is None:
            seat = Seat(number, identity, caller="", party="")
            self._put(seat)
        if seat.sid != sid:
            seat.sid, seat.hold, seat.deadline = sid, None, math.inf
            self._touch(seat)

    def leave(self, number: int, identity: str, sid: str, now: float, *, returns: bool = True) -> None:
        """A participant is not in a room any more. `returns`: it may come back. A participant that was replaced by
        another with its identity leaves no seat."""
        seat = self.find(number, identity)
        if seat is None or seat.sid != sid:
            return
        asked = now if seat.hold is None or not sid else seat.deadline
        deadline = max(asked, now + RETURN_SECONDS if returns else now)
        if deadline > now:
            seat.sid = ""
            self._await(seat, deadline, now)
        else:
            self._remove(seat)

    def agree(self, number: int, present: Mapping[str, str], version: int, now: float) -> None:
        """Take over which participants are in a room: the SID of each identity. The list was made after the family had
        this version, so it says nothing about seats that were changed since then."""
        for identity, sid in present.items():
            seat = self.find(number, identity)
            if seat is None or seat.changed <= version:
                self.join(number, identity, sid)
        for seat in list(self._rooms.get(number, {}).values()):
            if seat.sid and seat.identity not in present and seat.changed <= version:
                self.leave(number, seat.identity, seat.sid, now)

    def expire(self, now: float) -> None:
        """Give up the awaited participants whose time has passed."""
        if now < self._next_deadline:
            return
        for seat in [seat for seat in self if seat.end <= now]:
            self._remove(seat)
        self._next_deadline = min((seat.end for seat in self), default=math.inf)

    def clear(self) -> None:
        """Give up every seat."""
        for seat in list(self):
            self._remove(seat)

    def ask_again(self, now: float) -> int:
        """After how many whole seconds a seat may be free in a family that is full."""
        soonest = min((seat.end for seat in self), default=math.inf) - now
        return max(1, min(math.ceil(min(soonest, ASK_AGAIN_SECONDS)), ASK_AGAIN_SECONDS))

    def take_changes(self) -> Changes | None:
        """What has changed since this was last called; None for nothing."""
        if not self._changed:
            return None
        changes = Changes(removed=sorted(self._removed))
        for number, identity in self._touched:
            seat = self._rooms[number][identity]
            (changes.changed if seat.stored else changes.added).append(seat)
            seat.stored = True
        self._changed = False
        self._touched.clear()
        self._removed.clear()
        return changes

    # How it is decided

    def _find_own(self, identity: str, wished: int) -> Seat | None:
        """The seat of an identity: the wished one, the one in which it sits, or any other. A reservation in a room that
        has become too full, since others came without one, would be refused by LiveKit."""
        own = [self._rooms[number][identity] for number in sorted(self._numbers.get(identity, ()))]
        good = [seat for seat in own if seat.sid or self.count(seat.number) <= self.capacity]
        return min(good, key=lambda seat: (seat.number != wished or wished == 1, not seat.sid), default=None)

    def _choose(self, wished: int, party: str) -> int | None:
        if self._is_open(wished) and wished > 1:
            return wished
        if party and (friends := self._parties.get(party)):
            near = [number for number in friends if self.count(number) < self.capacity]
            if near:
                return max(near, key=lambda number: (friends[number], -number))
        return self._find_lowest()

    def _is_open(self, number: int) -> bool:
        """Whether a room has space, and is the next one or has somebody in it: who asks for a high number opens no room
        far away from the others."""
        return self.count(number) < self.capacity and (number in self._rooms or number == self._find_lowest())

    def _find_lowest(self) -> int | None:
        """The first room with space."""
        if not self.subrooms:
            return 1 if self.count(1) < self.capacity else None
        while self.count(self._lowest) >= self.capacity:
            self._lowest += 1
        return self._lowest if count_bytes(name_room(self.name, self._lowest)) <= MAX_NAME_BYTES else None

    # Bookkeeping

    def _await(self, seat: Seat, deadline: float, now: float) -> None:
        seat.hold, seat.deadline = deadline - now, deadline
        self._next_deadline = min(self._next_deadline, seat.end)
        self._touch(seat)

    def _put(self, seat: Seat) -> None:
        self._rooms.setdefault(seat.number, {})[seat.identity] = seat
        self._numbers.setdefault(seat.identity, set()).add(seat.number)
        if seat.party:
            self._parties.setdefault(seat.party, Counter())[seat.number] += 1
        self._next_deadline = min(self._next_deadline, seat.end)

    def _remove(self, seat: Seat) -> None:
        self._step()
        key = (seat.number, seat.identity)
        self._touched.discard(key)
        if seat.stored:
            self._removed.add(key)
        room, numbers = self._rooms[seat.number], self._numbers[seat.identity]
        del room[seat.identity]
        if not room:
            del self._rooms[seat.number]
        numbers.discard(seat.number)
        if not numbers:
            del self._numbers[seat.identity]
        if seat.party:
            self._leave_party(seat.party, seat.number)
        self._lowest = min(self._lowest, seat.number)

    def _leave_party(self, party: str, number: int) -> None:
        friends = self._parties[party]
        friends[number] -= 1
        if not friends[number]:
            del friends[number]
        if not friends:
            del self._parties[party]

    def _touch(self, seat: Seat) -> None:
        self._step()
        seat.changed = self.version
        self._touched.add((seat.number, seat.identity))

    def _step(self) -> None:
        """The first change since the last writing makes another version."""
        if not self._changed:
            self._changed = True
            self.version += 1 + random.getrandbits(_STEP_BITS)
