"""Logins by OpenID Connect that have begun and not ended."""

from dataclasses import dataclass

from sqlalchemy import Connection, delete, insert

from lkhub.store.digest import digest
from lkhub.store.schema import logins


@dataclass(frozen=True)
class Login:
    """What the end of a login needs from its beginning. `path` is the page to return to."""

    verifier: str
    nonce: str
    path: str


def begin_login(connection: Connection, state: str, login: Login, now: float, seconds: float) -> None:
    """Keep a login for `seconds`. Older ones that never ended are deleted."""
    connection.execute(delete(logins).where(logins.c.expires < now))
    values = {"verifier": login.verifier, "nonce": login.nonce, "path": login.path}
    connection.execute(insert(logins).values(state=digest(state), expires=now + seconds, **values))


def take_login(connection: Connection, state: str, now: float) -> Login | None:
    """The login, which is over with this; None where there is none, or it is too old."""
    taken = delete(logins).where(logins.c.state == digest(state))
    row = connection.execute(
        taken.returning(logins.c.verifier, logins.c.nonce, logins.c.path, logins.c.expires)
    ).first()
    return Login(row.verifier, row.nonce, row.path) if row is not None and row.expires > now else None
