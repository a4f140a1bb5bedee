"""Whether the store can be used: tried with what every store has, and no request changes."""

from sqlalchemy import Connection, PrimaryKeyConstraint, UniqueConstraint, func, literal, select, text

from lkhub.store.errors import StoreError
from lkhub.store.schema import metadata


def look(connection: Connection) -> None:
    """Read something."""
    connection.execute(text("SELECT version_num FROM alembic_version")).all()


def try_out(connection: Connection) -> None:
    """Write something."""
    connection.execute(text("UPDATE alembic_version SET version_num = version_num"))


def check_whole(connection: Connection) -> None:
    """Raise StoreError where the store is damaged, or what the database says of it. Every table and every index is read
    to its end: a second for some hundred MB."""
    if connection.dialect.name == "sqlite":
        if connection.exec_driver_sql("PRAGMA quick_check(1)").scalar() != "ok":
            raise StoreError("corrupted", str(connection.engine.url.database))
        return
    for table in metadata.sorted_tables:
        # As text, a row is read as a whole, with what is kept outside of it.
        connection.execute(text(f"SELECT count(whole::text) FROM {table.name} whole"))  # noqa: S608  our own names
    # Requests look rows up by an index, which may be damaged where the table is not. So each is read in its own order,
    # which PostgreSQL would otherwise make by sorting the table.
    for setting in ("enable_seqscan", "enable_bitmapscan", "enable_sort"):
        connection.execute(text(f"SET LOCAL {setting} = off"))
    for table in metadata.sorted_tables:
        keys = [
            each.columns for each in table.constraints if isinstance(each, (PrimaryKeyConstraint, UniqueConstraint))
        ]
        for columns in (*keys, *(index.columns for index in table.indexes)):
            ordered = select(literal(1)).select_from(table).order_by(*columns).offset(0).subquery()
            connection.execute(select(func.count()).select_from(ordered))
