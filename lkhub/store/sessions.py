"""People who signed in by OpenID Connect, each by a cookie, of which the store has the SHA-256 alone."""

from dataclasses import dataclass

from sqlalchemy import Connection, delete, insert, select

from lkhub.store.digest import digest
from lkhub.store.schema import sessions


@dataclass(frozen=True)
class Session:
    """Who is signed in. `expires` is in Epoch seconds."""

    subject: str
    name: str
    roles: tuple[str, ...]
    expires: float


def add_session(connection: Connection, cookie: str, session: Session, now: float) -> None:
    """Keep a session. Expired ones are deleted."""
    connection.execute(delete(sessions).where(sessions.c.expires < now))
    values = {"subject": session.subject, "name": session.name, "roles": list(session.roles)}
    connection.execute(insert(sessions).values(id=digest(cookie), expires=session.expires, **values))


def find_session(connection: Connection, cookie: str, now: float) -> Session | None:
    """The session of a cookie; None where there is none, or it has expired."""
    found = select(sessions).where(sessions.c.id == digest(cookie), sessions.c.expires > now)
    row = connection.execute(found).first()
    return Session(row.subject, row.name, tuple(row.roles), row.expires) if row else None


def end_session(connection: Connection, cookie: str) -> None:
    """Forget a session, if there is one."""
    connection.execute(delete(sessions).where(sessions.c.id == digest(cookie)))
