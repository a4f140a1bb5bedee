"""A store that is damaged."""

import os

import pytest
from sqlalchemy import insert, text

from lkhub.store.errors import StoreError
from lkhub.store.schema import families
from lkhub.store.sound import check_whole
from lkhub.store.store import Store
from tests.kit.postgres import run_postgres


def test_whole_store_is_whole(store: Store) -> None:
    with store.reading() as connection:
        check_whole(connection)


def test_damaged_table_of_postgresql_is_found_without_a_request_that_needs_it() -> None:
    with run_postgres() as server:
        url = server.create()
        store = Store(url)
        with store.writing() as connection:
            connection.execute(insert(families).values(name="lobby", version=1))
            table = connection.execute(text("SELECT pg_relation_filepath('families')")).scalar()
        store.close()
        server.stop()
        server.start()  # it writes the page, which was in its log alone
        server.stop()
        with (server.folder / "data" / str(table)).open("r+b") as file:
            file.write(os.urandom(8192))
        server.start()
        store = Store(url)
        with pytest.raises(StoreError) as found, store.reading() as connection:
            check_whole(connection)
        store.close()
    assert found.value.problem == "corrupted"
