import hashlib
import threading
from collections.abc import Callable

import pytest
from sqlalchemy import Connection, select

from lkhub.store.invites import (
    INVITED,
    KEPT_SECONDS,
    PARTICIPANT,
    Invite,
    Redemption,
    create_invite,
    give_back,
    list_invites,
    list_open,
    redeem,
    revoke_invite,
)
from lkhub.store.issued import Entry, Record, note_issued
from lkhub.store.schema import invites, redemptions
from lkhub.store.store import Store

NOW = 1_800_000_000.0
ROLE_SECONDS = 3600.0


def add(
    store: Store, *, uses: int | None = None, expires: float | None = None, now: float = NOW, creator: str = "test"
) -> tuple[Invite, str]:
    with store.writing() as connection:
        made, secret = create_invite(
            connection, room="lobby", role="participant", uses=uses, creator=creator, now=now, expires=expires
        )
    return made, secret.reveal()


def take(
    store: Store, secret: str, tab: str = "tab", *, now: float = NOW, room: str = "lobby", identity: str = "guest"
) -> Redemption | str | None:
    with store.writing() as connection:
        return redeem(
            connection,
            secret=secret,
            room=room,
            tab=tab,
            identity=identity,
            now=now,
            again=lambda role: ROLE_SECONDS if role == "participant" else 0,
        )


def test_secret_is_random_and_not_in_the_store(store: Store) -> None:
    made = [add(store) for _ in range(50)]
    assert len({secret for _, secret in made}) == 50
    assert all(len(secret) == 16 and secret.isalnum() and secret == secret.lower() for _, secret in made)
    with store.reading() as connection:
        rows = connection.execute(select(invites)).all()
    assert not any(secret in repr(row) for row in rows for _, secret in made)
    assert {row.digest for row in rows} == {hashlib.sha256(secret.encode()).digest() for _, secret in made}


def test_one_redemption_is_one_use(store: Store) -> None:
    made, secret = add(store, uses=2)
    found = take(store, secret, identity="guest-1")
    assert isinstance(found, Redemption)
    assert (found.invite.id, found.identity, found.first) == (made.id, "guest-1", True)
    assert isinstance(take(store, secret, "other"), Redemption)
    assert take(store, secret, "third") == "used"
    with store.reading() as connection:
        assert [invite.used for invite in list_invites(connection)] == [2]


def test_reload_in_the_same_tab_is_the_same_person_and_no_other_use(store: Store) -> None:
    _, secret = add(store, uses=1)
    take(store, secret, identity="guest-1")
    for _ in range(5):
        again = take(store, secret, identity="guest-2")
        assert isinstance(again, Redemption)
        assert (again.identity, again.first) == ("guest-1", False)


def test_reload_works_after_the_invite_expired_while_the_role_lasts(store: Store) -> None:
    _, secret = add(store, uses=1, expires=NOW + 10)
    take(store, secret)
    assert isinstance(take(store, secret, now=NOW + ROLE_SECONDS - 1), Redemption)
    assert take(store, secret, now=NOW + ROLE_SECONDS) == "expired"
    assert take(store, secret, "other", now=NOW + 11) == "expired"


def test_tab_that_comes_back_after_long_takes_it_anew(store: Store) -> None:
    _, secret = add(store, uses=2)
    take(store, secret, identity="guest-1")
    later = take(store, secret, now=NOW + ROLE_SECONDS + 1)
    assert isinstance(later, Redemption)
    assert (later.identity, later.first) == ("guest-1", True)


@pytest.mark.parametrize(("after", "result"), [(9.9, Redemption), (10.0, str), (1e9, str)])
def test_invite_expires(store: Store, after: float, result: type) -> None:
    _, secret = add(store, expires=NOW + 10)
    assert isinstance(take(store, secret, now=NOW + after), result)


def test_revoked_invite_lets_nobody_in_not_even_a_reload(store: Store) -> None:
    made, secret = add(store)
    take(store, secret)
    with store.writing() as connection:
        assert revoke_invite(connection, made.id, NOW + 1) == Invite(**{**vars(made), "used": 1, "revoked": NOW + 1})
        again = revoke_invite(connection, made.id, NOW + 2)
    assert again is not None
    assert again.revoked == NOW + 1, "when it was revoked first"
    assert take(store, secret) == "revoked"
    assert take(store, secret, "other") == "revoked"


def test_unknown_id_revokes_nothing(store: Store) -> None:
    made, secret = add(store)
    with store.writing() as connection:
        assert revoke_invite(connection, made.id[:-1], NOW) is None
        assert revoke_invite(connection, "%", NOW) is None
    assert isinstance(take(store, secret), Redemption)


@pytest.mark.parametrize("wrong", ["", "a" * 16, "%", "' OR 1=1 --", "\x00", "\ud800", "é"])
def test_wrong_secret_is_no_invite(store: Store, wrong: str) -> None:
    add(store)
    assert take(store, wrong) is None


def test_secret_of_another_room_is_no_invite_and_uses_nothing_up(store: Store) -> None:
    _, secret = add(store, uses=1)
    assert take(store, secret, room="vault") is None
    assert isinstance(take(store, secret), Redemption)


def test_secret_is_compared_exactly(store: Store) -> None:
    _, secret = add(store)
    assert take(store, secret.upper()) is None
    assert take(store, f"{secret} ") is None
    assert take(store, secret[:-1]) is None


def test_use_that_led_to_nothing_is_given_back(store: Store) -> None:
    _, secret = add(store, uses=1)
    taken = take(store, secret)
    assert isinstance(taken, Redemption)
    with store.writing() as connection:
        give_back(connection, taken)
    assert isinstance(take(store, secret, "other"), Redemption)


def test_uses_are_exact_with_many_at_once(store: Store) -> None:
    _, secret = add(store, uses=7)
    results: list[object] = []
    start = threading.Barrier(8)

    def work(worker: int) -> None:
        start.wait()
        results.extend([take(store, secret, f"{worker}-{number}") for number in range(5)])

    workers = [threading.Thread(target=work, args=[worker]) for worker in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert sum(isinstance(result, Redemption) for result in results) == 7
    assert results.count("used") == 33


def test_one_tab_that_asks_twice_at_once_is_one_use(store: Store) -> None:
    _, secret = add(store, uses=5)
    results: list[object] = []
    start = threading.Barrier(8)

    def work() -> None:
        start.wait()
        results.append(take(store, secret))

    workers = [threading.Thread(target=work) for _ in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [isinstance(result, Redemption) and result.first for result in results].count(True) == 1
    with store.reading() as connection:
        assert len(connection.execute(select(redemptions)).all()) == 1


def test_list_has_the_newest_first(store: Store) -> None:
    made = [add(store, now=NOW + number)[0] for number in range(3)]
    with store.reading() as connection:
        assert [invite.id for invite in list_invites(connection)] == [invite.id for invite in reversed(made)]


@pytest.mark.parametrize(
    ("end", "kept"),
    [
        (lambda connection, made: revoke_invite(connection, made.id, NOW), False),
        (lambda connection, made: None, True),
    ],
    ids=["revoked", "open"],
)
def test_what_ended_long_ago_is_deleted_with_its_redemptions(
    store: Store, end: Callable[[Connection, Invite], object], kept: bool
) -> None:
    made, secret = add(store)
    take(store, secret)
    with store.writing() as connection:
        end(connection, made)
    new, _ = add(store, now=NOW + KEPT_SECONDS + 1)
    with store.reading() as connection:
        ids = {invite.id for invite in list_invites(connection)}
        taken = connection.execute(select(redemptions)).all()
    assert ids == ({made.id, new.id} if kept else {new.id})
    assert len(taken) == kept


def test_ended_invites_are_kept_while_one_that_goes_back_to_them_is(store: Store) -> None:
    """What is revoked names through them those that let people in still."""
    now, made, lasts = NOW, add(store, expires=NOW + 60, creator="api-key shop"), 14 * 86400.0
    for number in range(4):
        who = f"guest-{number}"
        take(store, made[1], tab=who, identity=who, now=now)
        entry = Entry(now, f"{INVITED}{made[0].id}", who, "lobby", "participant", "203.0.113.9")
        with store.writing() as connection:
            note_issued(connection, [Record(entry, "", (), "lobby", typed=False, until=now + 60)])
        now += 59 if number == 0 else lasts - 1
        made = add(store, now=now, expires=now + lasts, creator=f"{PARTICIPANT}{who}")
    now += 60
    assert now - NOW > KEPT_SECONDS + 60
    add(store, now=now)
    with store.reading() as connection:
        assert [each.id for each in list_open(connection, "api-key shop", now)] == [made[0].id]
    for _ in range(5):
        now += KEPT_SECONDS + lasts + 1
        add(store, now=now, expires=now + 60)
    with store.reading() as connection:
        assert not [each for each in list_invites(connection) if each.creator != "test"]
