"""Seats for callers that ask for tokens."""

from collections.abc import Sequence
from functools import partial

from sqlalchemy import Connection

from lkhub.service.presets import Location, Presets, name_room
from lkhub.service.rooms.family import Family
from lkhub.service.rooms.ledger import Ledger, Visit
from lkhub.service.tokens import Full, Reserved, Wish


class Seats:
    """The seats of all rooms with a capacity."""

    def __init__(self, ledger: Ledger, presets: Presets) -> None:
        self._ledger, self._presets = ledger, presets

    def reserve(self, connection: Connection, wishes: Sequence[Wish]) -> list[Reserved | Full]:
        """Seats for participants that are about to join: a handler of Writer.run_batched.

        An identity has one seat in a family: asking again gives the same one. `party`: a key that keeps friends in one
        room while that has space.
        """
        return self._ledger.handle(connection, [self._plan(wish) for wish in wishes])

    def _plan(self, wish: Wish) -> Visit[Reserved | Full]:
        location = self._presets.locate(wish.room)
        return Visit(location.family, partial(_reserve, location, wish))


def _reserve(location: Location, wish: Wish, family: Family, now: float) -> Reserved | Full:
    number = family.reserve(wish.identity, wish.caller, wish.party, location.number, now)
    return Full(family.ask_again(now)) if number is None else Reserved(name_room(location.family, number))
