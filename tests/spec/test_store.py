import pytest

from lkhub.secret import FromEnv, Secret
from lkhub.spec.store import PostgresStore, SqliteStore, parse_store

URL = "postgresql://lkhub@db.example.com:5433/lkhub?sslmode=require"


def test_forms_of_a_store() -> None:
    assert parse_store("sqlite") == SqliteStore()
    assert parse_store(URL) == parse_store({"url": URL}) == PostgresStore(URL)
    assert parse_store({"url": URL, "password": {"env": "DB"}}) == PostgresStore(URL, FromEnv("DB"))
    assert parse_store("postgres://a/b").url == "postgresql://a/b"  # type: ignore[union-attr]
    assert parse_store("postgresql:///lkhub?host=/run/postgresql") == PostgresStore(
        "postgresql:///lkhub?host=/run/postgresql"
    )


def test_password_of_a_url_is_a_secret_and_leaves_the_url() -> None:
    store = parse_store("postgresql://lkhub:XYZXYZ@db/lkhub")
    assert store == PostgresStore("postgresql://lkhub@db/lkhub", Secret("XYZXYZ"))
    assert "XYZXYZ" not in repr(store)


def test_password_of_a_url_is_read_as_urls_are_written() -> None:
    assert parse_store("postgresql://lkhub:p%40%2Fs@db/lkhub") == PostgresStore(
        "postgresql://lkhub@db/lkhub", Secret("p@/s")
    )


@pytest.mark.parametrize("end", "/?#")
def test_password_that_a_character_ends_stays_in_no_url(end: str) -> None:
    with pytest.raises(ValueError, match="write %2F, %3F or %23") as refused:
        parse_store(f"postgresql://lkhub:XYZ{end}XYZ@db:5432/lkhub")
    assert "XYZ" not in str(refused.value)


@pytest.mark.parametrize(
    "value",
    [
        "mysql://u:XYZXYZ@h/d",
        "XYZXYZ",
        "postgresql://u:XYZXYZ@h",
        "postgresql://[XYZXYZ/d",
        "postgresql://u:XYZXYZ@h:PORT/d",
        "postgresql://u:XYZXYZ@h:0/d",
        "postgresql://u@h/d?sslmode=require&password=XYZXYZ",
        {"url": "postgresql://u@h/d?pass%77ord=XYZXYZ", "password": "XYZXYZ"},
        {"url": "postgresql://u:XYZXYZ@h/d", "password": "XYZXYZ"},
        {"url": URL, "pasword": "XYZXYZ"},
        {"url": URL, "password": ""},
        {"password": "XYZXYZ"},
        ["XYZXYZ"],
        1,
    ],
    ids=range(14),
)
def test_anything_else_is_refused_and_nothing_of_it_repeated(value: object) -> None:
    with pytest.raises(ValueError, match=r".") as refused:
        parse_store(value)
    assert "XYZXYZ" not in str(refused.value)
