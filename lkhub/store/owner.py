"""Which hub a store belongs to: the one whose LiveKit its seats and events are about."""

from typing import NamedTuple

from sqlalchemy import Connection, select, text, update

from lkhub.store.errors import StoreError
from lkhub.store.schema import owner

_ROW = 1

# Both databases know it; SQLAlchemy has it for each apart.
_CLAIM = text("INSERT INTO owner (id, hub, host, beat) VALUES (1, :hub, :host, 0) ON CONFLICT (id) DO NOTHING")


class Owner(NamedTuple):
    """A hub, the name of its machine, and a number that grows while a service of the hub uses the store."""

    hub: str
    host: str
    beat: int


def claim(connection: Connection, hub: str, host: str) -> Owner:
    """The owner: this hub if there was none. If it is this hub, it is counted that it uses the store."""
    connection.execute(_CLAIM, {"hub": hub, "host": host})
    connection.execute(update(owner).where(owner.c.hub == hub).values(beat=owner.c.beat + 1, host=host))
    return Owner._make(connection.execute(select(owner.c.hub, owner.c.host, owner.c.beat)).one())


def take_over(connection: Connection, hub: str, host: str, seen: Owner) -> bool:
    """Make this hub the owner, if the owner is still the one that was seen and has not used the store since."""
    same = (owner.c.id == _ROW, owner.c.hub == seen.hub, owner.c.beat == seen.beat)
    return bool(connection.execute(update(owner).where(*same).values(hub=hub, host=host, beat=seen.beat + 1)).rowcount)


def require_own(connection: Connection, hub: str) -> None:
    """Raise StoreError where the store belongs to another hub. A store that belongs to none may be used."""
    found = connection.execute(select(owner.c.hub, owner.c.host)).first()
    if found and found.hub != hub:
        raise refuse(found.host)


def refuse(host: str) -> StoreError:
    return StoreError("foreign", f"it is that of the hub on {host}")
