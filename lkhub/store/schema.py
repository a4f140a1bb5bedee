"""Every table. Times are Epoch seconds.

A change here needs a migration (`migrations/versions`), and the previous version of lkhub must still be able to read
and write the result: a new column has a default or may be NULL, and no column goes or changes its meaning.
"""

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
)

# Names of constraints that both databases have, so that a step can change them.
metadata = MetaData(
    naming_convention={
        "ix": "ix_%(column_0_label)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# SQLite counts up by itself only in a column of type INTEGER.
_Counter = BigInteger().with_variant(Integer, "sqlite")

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("digest", LargeBinary, nullable=False, unique=True),  # SHA-256 of the key, which is random
    Column("rooms", JSON, nullable=False),  # globs
    Column("roles", JSON, nullable=False),  # names
    Column("created", Float, nullable=False),
    Column("expires", Float),
    Column("revoked", Float),
)

invites = Table(
    "invites",
    metadata,
    Column("id", Text, primary_key=True),
    Column("digest", LargeBinary, nullable=False, unique=True),  # SHA-256 of the secret in the link
    Column("room", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("uses", Integer),  # how often it can be redeemed; NULL for any number
    Column("created", Float, nullable=False),
    Column("creator", Text, nullable=False),  # a caller, as in `issued`
    Column("expires", Float),
    Column("revoked", Float),
)

redemptions = Table(
    "redemptions",
    metadata,
    Column("invite", Text, ForeignKey("invites.id", ondelete="CASCADE"), primary_key=True),
    Column("tab", LargeBinary, primary_key=True),  # SHA-256 of what a browser's tab keeps: a reload is no other use
    Column("identity", Text, nullable=False),
    Column("at", Float, nullable=False),
)

issued = Table(
    "issued",
    metadata,
    Column("id", _Counter, primary_key=True, autoincrement=True),
    Column("at", Float, nullable=False, index=True),
    Column("caller", Text, nullable=False),  # `api-key ID`, `oidc SUBJECT`, `invite ID` or `open`
    Column("identity", Text, nullable=False),
    Column("room", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("address", Text, nullable=False),
)

# How the identities look that can join a room now, so that a stranger gets none that looks like another's. Two or three
# keys for an identity (lkhub/service/looks.py).
looks = Table(
    "looks",
    metadata,
    Column("room", Text, primary_key=True),  # as it was asked for
    Column("look", Text, primary_key=True),
    Column("identity", Text, primary_key=True),
    Column("caller", Text, primary_key=True),
    Column("until", Float, nullable=False, index=True),  # when the last token for it ends
)

# A room with a capacity, and its sub-rooms `room(2)`, `room(3)` and so on. Who changes the seats of a family locks its
# row and counts its version up.
families = Table(
    "families",
    metadata,
    Column("name", Text, primary_key=True),
    Column("version", _Counter, nullable=False),
)

seats = Table(
    "seats",
    metadata,
    Column("family", Text, primary_key=True),
    Column("identity", Text, primary_key=True),
    Column("room", Text, primary_key=True),  # of the family
    Column("caller", Text, nullable=False),  # as in `issued`, "" for a participant that came without a reservation
    Column("party", Text, nullable=False),  # the key that keeps friends together, or ""
    Column("sid", Text, nullable=False),  # of the participant that sits there, "" while it is awaited
    # For how many seconds it is awaited. Of a participant that sits there: for how many the seat is kept if it leaves,
    # NULL unless it has a newer token.
    Column("hold", Float),
    Column("deadline", Float),  # until when, on a clock that counts since a machine's start: the time of day may jump
    Column("clock", Text, nullable=False),  # which start of which machine that is, "" if it is not known
    Column("changed", _Counter, nullable=False),  # the family's version since when the seat is as it is
)

events = Table(
    "events",
    metadata,
    Column("sequence", _Counter, primary_key=True, autoincrement=True),  # the order of arrival
    Column("id", Text, nullable=False, unique=True),
    Column("room", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("at", Float, nullable=False, index=True),
)

deliveries = Table(
    "deliveries",
    metadata,
    Column("event", _Counter, ForeignKey("events.sequence", ondelete="CASCADE"), primary_key=True),
    Column("receiver", Text, primary_key=True),  # its URL
    Column("room", Text, nullable=False),
    Column("state", Text, nullable=False),  # pending, delivered or dead
    Column("attempts", Integer, nullable=False),
    Column("problem", Text, nullable=False),  # of the last attempt, or ""
    Column("since", Float, nullable=False),  # when it began to wait: when the event was stored, or replayed
    Column("changed", Float, nullable=False),  # when it got its state, or when the last attempt failed
    Index("ix_deliveries_order", "receiver", "state", "room", "event"),
)

# The key that each receiver knows, so that a service that starts during a rotation signs with it.
receivers = Table(
    "receivers",
    metadata,
    Column("url", Text, primary_key=True),
    Column("key", Text, nullable=False),  # the ID of the hub's key with whose signature it last took an event
)

# What the stored events say is there now: rooms, participants and tracks. What LiveKit says differs only where events
# were missed.
present = Table(
    "present",
    metadata,
    Column("sid", Text, primary_key=True),
    Column("room", Text, nullable=False, index=True),  # the SID of the room
    Column("participant", Text, nullable=False),  # the SID of a track's participant, "" for others
    Column("body", Text, nullable=False),  # the objects of the event that tells that it is gone
)

# A login by OpenID Connect that has begun and not ended. It is deleted by whoever redeems it, so it is redeemed once.
logins = Table(
    "logins",
    metadata,
    Column("state", LargeBinary, primary_key=True),  # SHA-256
    Column("verifier", Text, nullable=False),  # of PKCE (RFC 7636)
    Column("nonce", Text, nullable=False),
    Column("path", Text, nullable=False),  # the page to return to
    Column("expires", Float, nullable=False),
)

# The hub whose LiveKit the seats and events are about. There is one row.
owner = Table(
    "owner",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("hub", Text, nullable=False),  # what only this hub knows itself by
    Column("host", Text, nullable=False),  # the name of its machine
    Column("beat", BigInteger, nullable=False),  # is counted up while a service of the hub uses the store
)

# The oldest version of the schema whose lkhub can use the store: an upgrade is taken back by starting the lkhub of
# before. There is one row.
usable = Table("usable", metadata, Column("since", Text, primary_key=True))

sessions = Table(
    "sessions",
    metadata,
    Column("id", LargeBinary, primary_key=True),  # SHA-256 of the cookie
    Column("subject", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("roles", JSON, nullable=False),
    Column("expires", Float, nullable=False),
)
