import threading

from lkhub.store.logins import Login, begin_login, take_login
from lkhub.store.sessions import Session, add_session, end_session, find_session
from lkhub.store.store import Store

NOW = 1_800_000_000.0
LOGIN = Login("verifier", "nonce", "/join/lobby")
SESSION = Session("u-1", "Ann", ("participant", "host"), NOW + 100)


def take(store: Store, state: str, now: float = NOW) -> Login | None:
    with store.writing() as connection:
        return take_login(connection, state, now)


def begin(store: Store, state: str, now: float = NOW) -> None:
    with store.writing() as connection:
        begin_login(connection, state, LOGIN, now, 600)


def test_login_ends_once(store: Store) -> None:
    begin(store, "s")
    assert take(store, "s") == LOGIN
    assert take(store, "s") is None


def test_login_that_is_replayed_at_once_ends_once(store: Store) -> None:
    begin(store, "s")
    found: list[Login | None] = []
    start = threading.Barrier(6)

    def work() -> None:
        start.wait()
        found.append(take(store, "s"))

    workers = [threading.Thread(target=work) for _ in range(6)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert sorted(map(str, found)) == sorted([str(LOGIN), *["None"] * 5])


def test_login_that_takes_too_long_is_over(store: Store) -> None:
    begin(store, "s")
    assert take(store, "s", NOW + 600) is None


def test_unknown_state_is_no_login(store: Store) -> None:
    begin(store, "s")
    assert take(store, "S") is None
    assert take(store, "%") is None
    assert take(store, "s") == LOGIN


def test_session_is_found_by_its_cookie_until_it_expires(store: Store) -> None:
    with store.writing() as connection:
        add_session(connection, "cookie", SESSION, NOW)
    with store.reading() as connection:
        assert find_session(connection, "cookie", NOW + 99) == SESSION
        assert find_session(connection, "cookie", NOW + 100) is None
        assert find_session(connection, "Cookie", NOW) is None
        assert find_session(connection, "", NOW) is None


def test_session_ends(store: Store) -> None:
    with store.writing() as connection:
        add_session(connection, "mine", SESSION, NOW)
        add_session(connection, "other", SESSION, NOW)
        end_session(connection, "mine")
        end_session(connection, "never there")
    with store.reading() as connection:
        assert find_session(connection, "mine", NOW) is None
        assert find_session(connection, "other", NOW) == SESSION


def test_what_has_expired_is_deleted(store: Store) -> None:
    begin(store, "old")
    with store.writing() as connection:
        add_session(connection, "old", SESSION, NOW)
    begin(store, "new", NOW + 601)
    with store.writing() as connection:
        add_session(connection, "new", Session("u", "", (), NOW + 9999), NOW + 601)
        assert connection.exec_driver_sql("SELECT count(*) FROM logins").scalar() == 1
        assert connection.exec_driver_sql("SELECT count(*) FROM sessions").scalar() == 1
