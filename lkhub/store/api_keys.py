"""API keys of applications. A key is random, and the store has only its SHA-256."""

import secrets
import time
from collections.abc import Collection, Sequence

from msgspec import Struct
from sqlalchemy import Connection, insert, select, update

from lkhub.store.digest import digest
from lkhub.store.schema import api_keys

PREFIX = "lkhub_"

# An id is shown and typed (`lkhub access revoke ID`); a secret is not.
_ID_BYTES = 4
_SECRET_BYTES = 32


class ApiKey(Struct, frozen=True):
    """A key as it is kept. `rooms` are globs and `roles` names; no role is the default role. Times are in Epoch
    seconds, None for never."""

    id: str
    name: str
    rooms: tuple[str, ...]
    roles: tuple[str, ...]
    created: float
    expires: float | None
    revoked: float | None
    digest: bytes

    def is_valid(self, now: float) -> bool:
        """Whether the key can be used."""
        return self.revoked is None and (self.expires is None or now < self.expires)


def find_id(key: str) -> str:
    """The id that a key has in it, "" for what is not a key."""
    prefix, found, rest = key.partition(PREFIX)
    return rest.partition("_")[0] if found and not prefix else ""


def create_api_key(
    connection: Connection, name: str, rooms: Sequence[str], roles: Sequence[str], ttl: float | None
) -> tuple[ApiKey, str]:
    """A new key, and its text, which is nowhere kept. `ttl` is in seconds."""
    now = time.time()
    identifier = secrets.token_hex(_ID_BYTES)
    text = f"{PREFIX}{identifier}_{secrets.token_urlsafe(_SECRET_BYTES)}"
    expires = None if ttl is None else now + ttl
    key = ApiKey(identifier, name, tuple(rooms), tuple(roles), now, expires, None, digest(text))
    connection.execute(
        insert(api_keys).values(
            id=key.id,
            name=name,
            digest=key.digest,
            rooms=list(rooms),
            roles=list(roles),
            created=now,
            expires=expires,
        )
    )
    return key, text


def list_api_keys(connection: Connection) -> list[ApiKey]:
    """Every key, the oldest first, revoked ones too."""
    rows = connection.execute(select(api_keys).order_by(api_keys.c.created, api_keys.c.id))
    return [
        ApiKey(row.id, row.name, tuple(row.rooms), tuple(row.roles), row.created, row.expires, row.revoked, row.digest)
        for row in rows
    ]


def revoke_api_key(connection: Connection, identifier: str) -> bool:
    """Make a key useless for the next request. Returns whether there is such a key; one that was revoked before keeps
    its time."""
    changed = update(api_keys).where(api_keys.c.id == identifier, api_keys.c.revoked.is_(None))
    if connection.execute(changed.values(revoked=time.time())).rowcount:
        return True
    return connection.execute(select(api_keys.c.id).where(api_keys.c.id == identifier)).first() is not None


def find_revoked(connection: Connection, identifiers: Collection[str]) -> set[str]:
    """Which of these keys are revoked, or gone."""
    if not identifiers:
        return set()
    valid = select(api_keys.c.id).where(api_keys.c.id.in_(identifiers), api_keys.c.revoked.is_(None))
    return set(identifiers) - set(connection.execute(valid).scalars())
