"""Seats for callers that ask for tokens."""

from functools import partial

from lkhub.service.presets import Location, Presets, name_room
from lkhub.service.rooms.family import Family
from lkhub.service.rooms.ledger import Ledger
from lkhub.service.tokens import Full, Reserved


class Seats:
    """The seats of all rooms with a capacity."""

    def __init__(self, ledger: Ledger, presets: Presets) -> None:
        self._ledger, self._presets = ledger, presets

    async def reserve(self, room: str, identity: str, caller: str, party: str = "") -> Reserved | Full:
        """A seat for a participant that is about to join. It is in the store when this returns.

        An identity has one seat in a family: asking again gives the same one. `party`: a key that keeps friends in one
        room while that has space. A recorder needs no seat, since LiveKit does not count it.
        """
        location = self._presets.locate(room)
        if location.capacity is None:
            return Reserved(room)
        return await self._ledger.visit(location.family, partial(_reserve, location, identity, caller, party))


def _reserve(location: Location, identity: str, caller: str, party: str, family: Family, now: float) -> Reserved | Full:
    number = family.reserve(identity, caller, party, location.number, now)
    return Full(family.ask_again(now)) if number is None else Reserved(name_room(location.family, number))
