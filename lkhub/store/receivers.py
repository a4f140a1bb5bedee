"""Which of the hub's keys each receiver of webhooks knows."""

from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, select

from lkhub.store.rows import insert_into
from lkhub.store.schema import receivers


def list_known_keys(connection: Connection) -> dict[str, str]:
    """By the URL of a receiver: the ID of the key with whose signature it last took an event."""
    return {row.url: row.key for row in connection.execute(select(receivers.c.url, receivers.c.key))}


def note_known_keys(connection: Connection, items: Sequence[Mapping[str, str]]) -> list[None]:
    """Keep the keys that receivers know, by their URLs."""
    statement = insert_into(connection.dialect, receivers)
    noted = statement.on_conflict_do_update(index_elements=["url"], set_={"key": statement.excluded.key})
    known = {url: key for item in items for url, key in item.items()}
    # All processes write them in one order, or PostgreSQL would find two of them waiting for each other.
    connection.execute(noted, [{"url": url, "key": key} for url, key in sorted(known.items())])
    return [None] * len(items)
