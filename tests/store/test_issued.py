"""The audit log, and what keeps a token from being given away at the last moment."""

import asyncio
from typing import Any

import pytest
from msgspec.structs import replace
from sqlalchemy import func, select

from lkhub.store.api_keys import create_api_key, revoke_api_key
from lkhub.store.issued import (
    Entry,
    Presence,
    Record,
    forget_issued,
    list_issued,
    note_issued,
    note_presence,
)
from lkhub.store.schema import looks
from lkhub.store.store import Store


def make(identity: str = "ann", at: float = 1000.0, caller: str = "open", **further: Any) -> Record:
    entry = Entry(at, caller, identity, "lobby", "participant", "198.51.100.7")
    return replace(Record(entry, "", (), "lobby", False, at + 600), **further)


def typed(identity: str, *keys: str, **further: Any) -> Record:
    return make(identity, looks=keys or (identity.lower(),), typed=True, **further)


def note(store: Store, *records: Record) -> list[str]:
    with store.writing() as connection:
        return list(note_issued(connection, records))


def listed(store: Store, limit: int = 100, room: str = "") -> list[Entry]:
    with store.reading() as connection:
        return list_issued(connection, limit, room)


def test_newest_is_listed_first(store: Store) -> None:
    records = [make(name, at) for name, at in (("a", 1.0), ("b", 2.0), ("c", 2.0))]
    assert note(store, *records) == ["noted"] * 3
    assert [entry.identity for entry in listed(store)] == ["c", "b", "a"]
    assert listed(store, 1) == [records[2].entry]
    assert listed(store, room="hall") == []
    assert len(listed(store, room="lobby")) == 3


def test_token_of_a_key_that_was_revoked_is_not_noted(store: Store) -> None:
    with store.writing() as connection:
        good, _ = create_api_key(connection, "good", [], [], None)
        bad, _ = create_api_key(connection, "bad", [], [], None)
        revoke_api_key(connection, bad.id)
    records = [make("a", api_key=good.id), make("b", api_key=bad.id), make("c"), make("d", api_key="gone")]
    assert note(store, *records) == ["noted", "revoked", "noted", "revoked"]
    assert [entry.identity for entry in listed(store)] == ["c", "a"]


def test_stranger_may_not_look_like_another(store: Store) -> None:
    assert note(store, typed("Ann", "ann")) == ["noted"]
    assert note(store, typed("ANN", "ann")) == ["taken"]
    assert note(store, typed("Ann", "ann")) == ["noted"], "the same caller with the same identity is the same person"
    assert note(store, typed("bob", "bob"), typed("B0B", "b0b", "bob")) == ["noted", "taken"], "in one transaction"
    assert [entry.identity for entry in listed(store)] == ["bob", "Ann", "Ann"]


def test_stranger_may_not_have_an_identity_that_another_caller_gave_away(store: Store) -> None:
    note(store, make("kX", caller="api-key 1", looks=("kx",)))
    assert note(store, typed("kX", "kx")) == ["taken"]
    assert note(store, typed("Kx", "kx")) == ["taken"]


def test_caller_that_vouches_is_believed(store: Store) -> None:
    note(store, typed("ann", "ann"))
    vouched = [make(name, caller="api-key 1", looks=("ann",)) for name in ("Ann", "ANN", "ann")]
    assert note(store, *vouched) == ["noted"] * 3


def test_identity_is_taken_in_its_room_and_while_its_token_lasts(store: Store) -> None:
    note(store, typed("ann", "ann"))
    assert note(store, typed("Ann", "ann", asked="hall")) == ["noted"]
    assert note(store, typed("Ann", "ann", at=1599.0)) == ["taken"]
    assert note(store, typed("Ann", "ann", at=1600.0)) == ["noted"]


def test_second_token_of_an_identity_takes_it_for_longer_and_never_for_shorter(store: Store) -> None:
    note(store, typed("ann", "ann", until=5000.0), typed("ann", "ann", until=2000.0))
    assert note(store, typed("Ann", "ann", at=4999.0)) == ["taken"]


def test_looks_with_one_key_twice_are_claimed(store: Store) -> None:
    assert note(store, typed("ann", "ann", "ann")) == ["noted"]


def test_what_is_old_is_forgotten(store: Store) -> None:
    note(store, typed("a", at=1000.0), typed("b", at=2000.0))
    with store.writing() as connection:
        forget_issued(connection, before=1500.0, now=1700.0)
        assert connection.execute(select(func.count()).select_from(looks)).scalar() == 1
    assert [entry.identity for entry in listed(store)] == ["b"]


# Texts that mean something to SQL, to a driver or to a terminal.
NAMES = ("'; DROP TABLE issued; --", '" OR 1=1', "%s %(a)s :room ?", "a\\b", "ü€😀")


def test_names_are_data(store: Store) -> None:
    for text in NAMES:
        note(store, typed(text, text, caller=f"oidc {text}"))
        entry = listed(store, 1)[0]
        assert (entry.identity, entry.caller) == (text, f"oidc {text}")
        assert [found.identity for found in listed(store, room=text)] == []


@pytest.mark.anyio
async def test_two_processes_give_one_of_two_identities_that_look_alike_away(url: str) -> None:
    stores = [Store(url), Store(url)]
    try:
        for number in range(20):
            records = [typed(f"Ann{number}", f"ann{number}"), typed(f"ANN{number}", f"ann{number}")]
            writes = [store.writer.run_batched(note_issued, each) for store, each in zip(stores, records, strict=True)]
            assert sorted(await asyncio.gather(*writes)) == ["noted", "taken"]
    finally:
        for store in stores:
            store.close()


def joined(store: Store, identity: str, *, at: float = 1000.0, here: bool = True) -> None:
    with store.writing() as connection:
        note_presence(connection, [Presence("lobby", identity, (identity.lower(),), here, at + 86400)])


def test_stranger_may_not_look_like_somebody_whose_token_the_hub_did_not_make(store: Store) -> None:
    joined(store, "Bob")
    assert note(store, typed("bob", "bob")) == ["taken"]
    assert note(store, typed("Bob", "bob")) == ["taken"], "an application's own user"
    joined(store, "Bob", here=False)
    assert note(store, typed("bob", "bob")) == ["noted"]


def test_participant_whose_name_has_nul_comes_and_goes(store: Store) -> None:
    for here, left in ((True, 1), (False, 0)):
        joined(store, "a\0b", here=here)
        with store.reading() as connection:
            assert connection.execute(select(func.count()).select_from(looks)).scalar() == left


def test_stranger_that_is_in_the_room_comes_again_however_long_it_stays(store: Store) -> None:
    note(store, typed("ann", "ann"))
    joined(store, "ann")
    assert note(store, typed("ann", "ann", at=1100.0)) == ["noted"]
    with store.writing() as connection:
        forget_issued(connection, before=0.0, now=9000.0)
    assert note(store, typed("Ann", "ann", at=9000.0)) == ["taken"], "while it is there"
    assert note(store, typed("ann", "ann", at=9000.0)) == ["noted"]
    joined(store, "ann", here=False)
    with store.writing() as connection:
        forget_issued(connection, before=0.0, now=20000.0)
    assert note(store, typed("Ann", "ann", at=20000.0)) == ["noted"]


def test_somebody_whose_leave_was_lost_is_gone_after_a_day(store: Store) -> None:
    joined(store, "Bob")
    assert note(store, typed("bob", "bob", at=1000.0 + 86399)) == ["taken"]
    assert note(store, typed("bob", "bob", at=1000.0 + 86401)) == ["noted"]


def test_leave_ends_no_claim_of_a_token(store: Store) -> None:
    assert note(store, typed("ann", until=5000.0)) == ["noted"]
    joined(store, "ann")
    joined(store, "ann", here=False)
    assert note(store, typed("Ann")) == ["taken"]
