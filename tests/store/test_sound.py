"""A store that is damaged."""

import os

import pytest
from sqlalchemy import insert, text

from lkhub.store.errors import StoreError
from lkhub.store.schema import events, families
from lkhub.store.sound import check_whole
from lkhub.store.store import Store
from tests.kit.postgres import run_postgres


def test_whole_store_is_whole(store: Store) -> None:
    with store.reading() as connection:
        check_whole(connection)


@pytest.mark.parametrize(
    ("damaged", "place"),
    [("families", 0), ("pk_families", 8192), ("uq_events_id", 8192)],
    ids=["table", "index", "unique"],
)
def test_damage_in_postgresql_is_found_without_a_request_that_needs_it(damaged: str, place: int) -> None:
    """`place`: where the page begins. An index has its own account of itself in the first, and rows in the next."""
    with run_postgres() as server:
        url = server.create()
        store = Store(url)
        with store.writing() as connection:
            connection.execute(insert(families), [{"name": f"room-{number}", "version": 1} for number in range(2000)])
            row = {"room": "lobby", "name": "room_started", "body": "{}", "at": 0.0}
            connection.execute(insert(events), [{"id": f"EV_{number}", **row} for number in range(2000)])
            file = connection.execute(text(f"SELECT pg_relation_filepath('{damaged}')")).scalar()
        store.close()
        server.stop()
        server.start()  # it writes the page, which was in its log alone
        server.stop()
        with (server.folder / "data" / str(file)).open("r+b") as opened:
            opened.seek(place)
            opened.write(os.urandom(8192))
        server.start()
        store = Store(url)
        with pytest.raises(StoreError) as found, store.reading() as connection:
            check_whole(connection)
        store.close()
    assert found.value.problem == "corrupted"
