"""Keeping seats and rooms as LiveKit has them.

LiveKit's webhooks tell at once what happens, and are lost while no process takes them. So LiveKit is asked too: about
every room after a start and after a gap, and about each room once a minute at least. What LiveKit says wins.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from lkhub.errors import MachineError
from lkhub.livekit.room_info import Room
from lkhub.livekit.tokens import is_probe_room
from lkhub.service.errors import ApiError
from lkhub.service.presets import Presets, name_room
from lkhub.service.rooms.applying import Applying
from lkhub.service.rooms.ledger import FamilyView, Ledger
from lkhub.wire.application import RoomPreset

log = logging.getLogger(__name__)

# How often LiveKit's rooms are listed. A participant that returns and whose webhook is lost is found before its seat
# ends (family.RETURN_SECONDS).
PERIOD_SECONDS = 5.0

# Each look asks for one room in so many: for those without any sign of a difference, and for those in which a
# participant is awaited, whose webhook should come.
TURNS = 12
TURNS_AWAITED = 2

# What is missed again and again is looked for once in this time.
SOON_SECONDS = 1.0

# LiveKit answers in milliseconds. More at once would make it late for calls.
MOST_AT_ONCE = 8


class Sfu(Protocol):
    """What is asked of LiveKit. Every method raises MachineError where it does not answer or refuses."""

    async def list_rooms(self, *names: str) -> Sequence[Room]:
        """The open rooms of these names; every open room without a name."""

    async def list_participants(self, room: str) -> Mapping[str, str]:
        """The SID of each identity in a room, of those that LiveKit counts."""


@dataclass(frozen=True)
class _Question:
    """A room about which LiveKit is asked. `known`: the SIDs of the participants that have seats there, as of the
    family's version."""

    family: str
    number: int
    version: int
    known: frozenset[str]
    is_open: bool


class Reconciliation:
    """Compares all rooms that have presets with LiveKit's, again and again."""

    def __init__(
        self, ledger: Ledger, presets: Presets, sfu: Sfu, applying: Applying, period: float = PERIOD_SECONDS
    ) -> None:
        self._ledger, self._presets, self._sfu, self._period = ledger, presets, sfu, period
        self._applying = applying
        self._sids: dict[str, str] = {}  # of the open rooms, by name
        self._turn = 0
        self._missed = True
        self._wake = asyncio.Event()

    def note_gap(self) -> None:
        """Events may have been lost: every room is asked for soon."""
        self._missed = True
        self._wake.set()

    async def run(self) -> None:
        """Look at the rooms until cancelled."""
        fails = False
        while True:
            try:
                await self.look()
            except (MachineError, ApiError) as error:
                if not fails:
                    log.warning("seats are not compared with LiveKit's rooms: %s", error)
                fails = True
            except Exception:
                # A bug in one look must not end the others.
                log.exception("seats were not compared with LiveKit's rooms")
                fails = True
            else:
                if fails:
                    log.warning("seats are compared with LiveKit's rooms again")
                fails = False
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), self._period)
                await asyncio.sleep(SOON_SECONDS)
            self._wake.clear()

    async def look(self) -> None:
        """One comparison. Raises MachineError or ApiError where LiveKit or the store can't be asked; what was found out
        until then is kept."""
        missed, self._missed = self._missed, False
        try:
            # The seats first: what changes while LiveKit is asked is newer than its answers.
            views = await self._ledger.view()
            rooms = {room.name: room for room in await self._sfu.list_rooms() if not is_probe_room(room.name)}
            new = {name for name, room in rooms.items() if self._sids.get(name) != room.sid}
            self._turn = (self._turn + 1) % TURNS
            questions = [
                question
                for question in self._list_questions(views, rooms)
                if missed or _is_worth_asking(question, new, self._turn)
            ]
            known = {name: room.sid for name, room in rooms.items()}
            led_before = self._applying.leads
            # Who begins to lead does not know what the one before has done with rooms that are open.
            bare = (new if led_before else rooms.keys()) if await self._applying.take_lead() else set()
            await _run_some(
                [
                    *(partial(self._ask, question) for question in questions),
                    *(partial(self._apply, rooms[name], preset, known) for name, preset in self._list_presets(bare)),
                    *(partial(self._tidy, view) for view in views),
                ]
            )
        except BaseException as error:
            self._missed = True
            if isinstance(error, ApiError):
                self._applying.release()  # of a store that is gone
            raise
        self._sids = known

    def _list_questions(self, views: Sequence[FamilyView], rooms: Mapping[str, Room]) -> Iterator[_Question]:
        """Every room that has seats, and every open room that should have some."""
        seen: set[str] = set()
        for view in views:
            for number, known in view.rooms.items():
                name = name_room(view.name, number)
                seen.add(name)
                yield _Question(view.name, number, view.version, known, name in rooms)
        versions = {view.name: view.version for view in views}
        for name in rooms.keys() - seen:
            location = self._presets.locate(name)
            if location.capacity is not None:
                version = versions.get(location.family, 0)
                yield _Question(location.family, location.number, version, frozenset(), is_open=True)

    def _list_presets(self, names: Iterable[str]) -> Iterator[tuple[str, RoomPreset]]:
        for name in names:
            if preset := self._presets.locate(name).preset:
                yield name, preset

    async def _ask(self, question: _Question) -> None:
        room = name_room(question.family, question.number)
        present = await self._sfu.list_participants(room) if question.is_open else {}
        if set(present.values()) != question.known - {""}:
            await self._ledger.visit(
                question.family,
                lambda family, now: family.agree(question.number, present, question.version, now),
            )

    async def _apply(self, room: Room, preset: RoomPreset, known: dict[str, str]) -> None:
        """Apply a preset to a room. A room of which that fails stays unknown: the next look tries again, if it is
        still open."""
        try:
            await self._applying.apply(room, preset)
        except MachineError as error:
            log.info("a preset was not applied to its room: %s", error)
            del known[room.name]

    async def _tidy(self, view: FamilyView) -> None:
        """End the seats whose time has passed, and those of rooms that have no capacity any more."""
        if self._presets.locate(view.name).capacity is None:
            await self._ledger.visit(view.name, lambda family, now: family.clear())
        elif view.due:
            await self._ledger.visit(view.name, lambda family, now: None)


def _is_worth_asking(question: _Question, new: set[str], turn: int) -> bool:
    """Whether something may have changed, or it is the room's turn."""
    room = name_room(question.family, question.number)
    if not question.is_open:
        return bool(question.known - {""})
    if not question.known or room in new:
        return True
    turns = TURNS_AWAITED if "" in question.known else TURNS
    return hash(room) % turns == turn % turns


async def _run_some(jobs: Sequence[Callable[[], Awaitable[None]]]) -> None:
    """Run all jobs, some at a time, to their ends. Raises the first error then."""
    free = asyncio.Semaphore(MOST_AT_ONCE)

    async def run(job: Callable[[], Awaitable[None]]) -> None:
        async with free:
            await job()

    results = await asyncio.gather(*map(run, jobs), return_exceptions=True)
    for result in results:
        if result is not None:
            raise result
