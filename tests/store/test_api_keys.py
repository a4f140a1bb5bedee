"""Keys of applications, as they are kept."""

import re
from hashlib import sha256

import pytest
from sqlalchemy import select

from lkhub.store.api_keys import (
    ApiKey,
    create_api_key,
    find_id,
    find_revoked,
    list_api_keys,
    revoke_api_key,
)
from lkhub.store.digest import digest
from lkhub.store.schema import api_keys
from lkhub.store.store import Store


def create(store: Store, name: str = "shop", ttl: float | None = None) -> tuple[ApiKey, str]:
    with store.writing() as connection:
        return create_api_key(connection, name, ["voice-*"], ["speaker"], ttl)


def test_key_is_random_and_has_its_id_in_it(store: Store) -> None:
    made = [create(store) for _ in range(20)]
    assert len({text for _, text in made}) == 20
    for key, text in made:
        assert re.fullmatch(r"lkhub_[0-9a-f]{8}_[A-Za-z0-9_-]{43}", text)
        assert find_id(text) == key.id


def test_only_the_digest_is_kept(store: Store) -> None:
    key, text = create(store)
    secret = text.split("_", 2)[2]
    with store.reading() as connection:
        row = connection.execute(select(api_keys)).one()
        assert list_api_keys(connection) == [key]
    assert secret not in repr(row)
    assert row.digest == sha256(text.encode()).digest() == digest(text)


@pytest.mark.parametrize("text", ["", "lkhub_", "LKHUB_a_b", "x lkhub_a_b", "a_b", "Bearer lkhub_a_b"])
def test_what_is_not_a_key_has_no_id(text: str) -> None:
    assert find_id(text) == ""


def test_text_that_no_key_is_has_a_digest() -> None:
    assert digest("lkhub_\ud800")


def test_keys_are_listed_in_the_order_in_which_they_were_made(store: Store) -> None:
    names = [create(store, name)[0].name for name in ("b", "a", "c")]
    with store.reading() as connection:
        assert [key.name for key in list_api_keys(connection)] == names


def test_key_ends(store: Store) -> None:
    key, _ = create(store, ttl=60)
    assert key.expires == key.created + 60
    assert key.is_valid(key.created + 59)
    assert not key.is_valid(key.created + 60)
    assert create(store)[0].is_valid(key.created + 10**9)


def test_revoked_key_is_not_valid_and_keeps_the_time_of_the_first_revocation(store: Store) -> None:
    key, _ = create(store)
    other, _ = create(store)
    with store.writing() as connection:
        assert revoke_api_key(connection, key.id)
    with store.reading() as connection:
        first = list_api_keys(connection)[0]
    with store.writing() as connection:
        assert revoke_api_key(connection, key.id)
        assert not revoke_api_key(connection, "nonsense")
    with store.reading() as connection:
        assert list_api_keys(connection) == [first, other]
        assert find_revoked(connection, [key.id, other.id, "gone"]) == {key.id, "gone"}
        assert find_revoked(connection, []) == set()
    assert first.revoked is not None
    assert not first.is_valid(first.created)
