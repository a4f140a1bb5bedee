"""Invites: links by which people get tokens of their own, without an account.

The secret in a link has 80 bits. The store has its SHA-256 alone, and a secret is looked up by that: how long the
look-up takes depends on a digest that nobody can choose.
"""

import secrets
from base64 import b32encode
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from sqlalchemy import Connection, Row, delete, exists, func, insert, literal, or_, select, update

from lkhub.secret import Secret
from lkhub.store.digest import digest
from lkhub.store.schema import invites, issued, redemptions

# 16 characters in a link. With a million invites that are good, one guess in 10^18 is right; ten guesses a minute from
# each of a million addresses need 200,000 years for the first.
SECRET_BYTES = 10

# Typed by people, and no secret.
ID_BYTES = 5

# An invite that has ended is listed for this long, and for as long as one is listed that somebody made who came by it.
KEPT_SECONDS = 30 * 86400.0

# Before an identity: the creator of an invite that was made with the token of a participant.
PARTICIPANT = "participant "

# Before the ID of an invite: the caller who got a token with it.
INVITED = "invite "

Ending: TypeAlias = Literal["revoked", "expired", "used"]


@dataclass(frozen=True)
class Invite:
    """An invite into one room. `uses` is how often it can be redeemed, None for any number, and `used` how often it
    was. `creator` is a caller, as in `issued`, or a participant. Times are in Epoch seconds; `expires` is None where it
    never ends."""

    id: str
    room: str
    role: str
    uses: int | None
    used: int
    created: float
    creator: str
    expires: float | None
    revoked: float | None

    def find_ending(self, now: float) -> Ending | None:
        """Why nobody can redeem it any more; None while somebody can."""
        if self.revoked is not None:
            return "revoked"
        if self.expires is not None and self.expires <= now:
            return "expired"
        return "used" if self.uses is not None and self.used >= self.uses else None


@dataclass(frozen=True)
class Redemption:
    """An invite, taken by one tab of a browser. `first`: it was not taken by this tab before."""

    invite: Invite
    tab: bytes
    identity: str
    first: bool


def create_invite(
    connection: Connection, *, room: str, role: str, uses: int | None, creator: str, now: float, expires: float | None
) -> tuple[Invite, Secret]:
    """A new invite, and its secret, which is not kept. Invites that ended long ago are deleted."""
    _prune(connection, now)
    secret = Secret(_encode(secrets.token_bytes(SECRET_BYTES)))
    made = Invite(_encode(secrets.token_bytes(ID_BYTES)), room, role, uses, 0, now, creator, expires, None)
    row = {"id": made.id, "room": room, "role": role, "uses": uses, "created": now, "creator": creator}
    connection.execute(insert(invites).values(**row, digest=digest(secret.reveal()), expires=expires))
    return made, secret


def list_invites(connection: Connection) -> list[Invite]:
    """All invites, the newest first."""
    return [_read(row) for row in connection.execute(_select().order_by(invites.c.created.desc(), invites.c.id))]


def list_open(connection: Connection, caller: str, now: float) -> list[Invite]:
    """The invites that go back to one caller and still let people in, the newest first: those that it made, those that
    participants made with tokens that it was given, and likewise those of everyone who came by one of these."""
    every, found = list_invites(connection), set[str]()
    given, callers = _list_given(connection, caller, every), {caller}
    while callers:
        tokens = set[tuple[str, str]]().union(*(given[each] for each in callers if each in given))
        made = [each for each in every if each.creator in callers or (each.room, each.creator) in tokens]
        callers = {f"{INVITED}{each.id}" for each in made if each.id not in found}
        found.update(each.id for each in made)
    return [each for each in every if each.id in found and each.find_ending(now) is None]


def _list_given(
    connection: Connection, caller: str, every: Sequence[Invite]
) -> Mapping[str, Collection[tuple[str, str]]]:
    """With which tokens invites were made, as room and creator, of those that this caller and invites were given."""
    made = {(each.room, each.creator) for each in every if each.creator.startswith(PARTICIPANT)}
    given = defaultdict[str, set[tuple[str, str]]](set)
    if made:
        whose = or_(issued.c.caller == caller, issued.c.caller.startswith(INVITED, autoescape=True))
        tokens = select(issued.c.caller, issued.c.room, issued.c.identity).where(whose).distinct()
        for to, room, identity in connection.execute(tokens):
            if (room, f"{PARTICIPANT}{identity}") in made:
                given[to].add((room, f"{PARTICIPANT}{identity}"))
    return given


def list_open_of_participants(connection: Connection, now: float) -> list[Invite]:
    """The invites that participants made and that still let people in, the newest first."""
    found = list_invites(connection)
    return [each for each in found if each.creator.startswith(PARTICIPANT) and each.find_ending(now) is None]


def revoke_invite(connection: Connection, name: str, now: float) -> Invite | None:
    """The invite with this ID, revoked now or before; None where there is none."""
    changed = update(invites).where(invites.c.id == name, invites.c.revoked.is_(None)).values(revoked=now)
    connection.execute(changed)
    row = connection.execute(_select().where(invites.c.id == name)).first()
    return _read(row) if row else None


def find_secret(connection: Connection, secret: str) -> str:
    """The ID of the invite with this secret, "" where there is none."""
    named = select(invites.c.id).where(invites.c.digest == digest(secret))
    return connection.execute(named).scalar() or ""


def redeem(
    connection: Connection,
    *,
    secret: str,
    room: str,
    tab: str,
    identity: str,
    now: float,
    again: Callable[[str], float],
) -> Redemption | Ending | None:
    """Take the invite with this secret into `room`; None where there is none, or the reason why it has ended.

    A tab that took it before gets the identity that it had, and uses nothing up: for as many seconds as `again` says
    for the role, also after the invite has expired or was used up. A new tab gets `identity`.
    """
    named = _select().where(invites.c.digest == digest(secret), invites.c.room == room)
    # Locked, so that two tabs never take the last use. SQLite has locked everything already.
    row = connection.execute(select(invites.c.id).where(invites.c.digest == digest(secret)).with_for_update()).first()
    row = row and connection.execute(named).first()
    if row is None:
        return None
    invite, key = _read(row), digest(tab)
    mine = (redemptions.c.invite == invite.id) & (redemptions.c.tab == key)
    taken = connection.execute(select(redemptions).where(mine)).first()
    ending = invite.find_ending(now)
    if taken is not None and ending != "revoked" and now - taken.at < again(invite.role):
        return Redemption(invite, key, taken.identity, first=False)
    if ending is not None:
        return ending
    if taken is not None:
        connection.execute(delete(redemptions).where(mine))
        return _take(connection, invite, key, taken.identity, now)
    return _take(connection, invite, key, identity, now)


def give_back(connection: Connection, redemption: Redemption) -> None:
    """Undo a redemption that led to no token."""
    mine = (redemptions.c.invite == redemption.invite.id) & (redemptions.c.tab == redemption.tab)
    connection.execute(delete(redemptions).where(mine))


def _take(connection: Connection, invite: Invite, tab: bytes, identity: str, now: float) -> Redemption:
    connection.execute(insert(redemptions).values(invite=invite.id, tab=tab, identity=identity, at=now))
    return Redemption(invite, tab, identity, first=True)


def _select() -> Any:
    used = select(func.count()).where(redemptions.c.invite == invites.c.id).scalar_subquery().label("used")
    return select(invites, used)


def _read(row: Row[Any]) -> Invite:
    return Invite(row.id, row.room, row.role, row.uses, row.used, row.created, row.creator, row.expires, row.revoked)


def _prune(connection: Connection, now: float) -> None:
    ended = now - KEPT_SECONDS
    # Kept while one that goes back to it is: what is revoked names that one through it. Those who came by it may hold
    # tokens for months, as their role says, or have invited others who invite in their turn.
    later = invites.alias()
    invited = exists().where(
        redemptions.c.invite == invites.c.id, later.c.creator == literal(PARTICIPANT) + redemptions.c.identity
    )
    old = or_(invites.c.expires < ended, invites.c.revoked < ended)
    connection.execute(delete(invites).where(old, ~invited))


def _encode(data: bytes) -> str:
    """Letters and digits that can be read aloud."""
    return b32encode(data).decode().lower()
