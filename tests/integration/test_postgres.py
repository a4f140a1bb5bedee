"""A running hub whose PostgreSQL fails, and two hubs that name one database."""

import asyncio
from collections.abc import Iterator

import pytest
from sqlalchemy import select

from lkhub.store.schema import seats
from lkhub.store.store import Store
from tests.integration.test_store import ask, check_recovers, check_refused, findings, restart, room_of
from tests.integration.test_webhooks import Application
from tests.kit.hub import Hub, make_hub
from tests.kit.people import Person
from tests.kit.postgres import Postgres, run_postgres
from tests.waiting import until, wait_until

pytestmark = [pytest.mark.field, pytest.mark.anyio]


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with run_postgres() as started:
        yield started


@pytest.fixture
def url(server: Postgres) -> str:
    return server.create()


def write_spec(hub: Hub, url: str, more: str = "") -> None:
    spec = f"""
        rooms: [{{match: voice, capacity: 2, overflow: subrooms}}]
        store: {{url: "{url.replace("+psycopg", "")}", password: XYZXYZ}}
        """
    hub.write_spec(spec + more)


def sitting(url: str) -> set[tuple[str, str]]:
    store = Store(url)
    with store.reading() as connection:
        found = {(row.identity, row.room) for row in connection.execute(select(seats.c.identity, seats.c.room))}
    store.close()
    return found


async def test_server_that_is_started_again_loses_no_seat_and_no_event(hub: Hub, server: Postgres, url: str) -> None:
    application = Application()
    listening = await asyncio.start_server(application, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    hook = f"""
        webhooks: [{{url: 'http://127.0.0.1:{port}/hook', allow_private: true}}]
        """
    write_spec(hub, url, hook)
    await asyncio.to_thread(hub.up, "--no-verify")
    given = [(await asyncio.to_thread(ask, hub, identity)).json() for identity in ("ann", "bob", "carl")]
    assert [answer["room"] for answer in given] == ["voice", "voice", "voice(2)"]
    ann = await Person(given[0]["url"], given[0]["token"]).join()
    await until(lambda: "participant_joined" in application.names("voice"))
    before = await asyncio.to_thread(sitting, url)
    await asyncio.to_thread(server.stop)
    try:
        # LiveKit tries again for 15 s what was not taken.
        bob = await Person(given[1]["url"], given[1]["token"]).join()
        await asyncio.to_thread(check_refused, hub, "the store can't be reached")
    finally:
        await asyncio.to_thread(server.start)
    await asyncio.to_thread(check_recovers, hub)
    # A reservation ends after a minute, and the hub looks who has come meanwhile.
    joined = {("ann", "voice"), ("bob", "voice")}
    await until(lambda: joined <= sitting(url) <= before, "the seats of those who are there")
    await until(lambda: application.names("voice").count("participant_joined") == 2, "bob's event", 120)
    await ann.leave()
    await bob.leave()
    listening.close()


@pytest.mark.soak
def test_server_that_stops_answering(hub: Hub, server: Postgres, url: str) -> None:
    write_spec(hub, url)
    hub.up("--no-verify")
    assert room_of(ask(hub)) == "voice"
    with server.frozen():
        check_refused(hub, "the store can't be reached")
        restart(hub)
        check_refused(hub, "the store can't be reached")
    check_recovers(hub)


def test_server_that_refuses_the_password(hub: Hub, server: Postgres, url: str) -> None:
    write_spec(hub, url)
    hub.up("--no-verify")
    assert room_of(ask(hub)) == "voice"
    server.authenticate("scram-sha-256")
    server.stop()
    server.start()
    try:
        wait_until(lambda: "refuses" in str(findings(hub)))
        check_refused(hub, "the store refuses to be used")
        restart(hub)
        check_refused(hub, "the store refuses to be used")
        assert "XYZXYZ" not in hub.log("serve") + hub.run("status", "--json").stdout
    finally:
        server.authenticate("trust")
        server.stop()
        server.start()
    check_recovers(hub)


def test_database_that_is_dropped(hub: Hub, server: Postgres, url: str) -> None:
    write_spec(hub, url)
    hub.up("--no-verify")
    assert room_of(ask(hub)) == "voice"
    server.drop(url)
    check_refused(hub, "the store can't be reached")
    restart(hub)
    check_refused(hub, "the store can't be reached")
    server.create_again(url)
    check_recovers(hub)


async def test_two_hubs_that_name_one_database(hub: Hub, url: str) -> None:
    with make_hub() as other:
        for each in (hub, other):
            write_spec(each, url)
            await asyncio.to_thread(each.up, "--no-verify")
        given = (await asyncio.to_thread(ask, hub, "ann")).json()
        ann = await Person(given["url"], given["token"]).join()
        before = await asyncio.to_thread(sitting, url)
        answer = await asyncio.to_thread(ask, other, "eve")
        assert (answer.status_code, answer.json()["error"]["message"]) == (503, "the store belongs to another hub")
        [finding] = await asyncio.to_thread(findings, other)
        assert (finding["code"], finding["subject"]) == ("store-of-another-hub", "store")
        made = await asyncio.to_thread(other.run, "access", "create", "shop")
        assert made.returncode == 3
        assert "the store belongs to another hub" in made.stderr
        # Neither a restart nor a new key makes another hub of it.
        for command in (("restart", "serve"), ("keys", "rotate")):
            done = await asyncio.to_thread(hub.run, *command)
            assert done.returncode == 0, done.stderr
            await asyncio.to_thread(check_recovers, hub)
        assert await asyncio.to_thread(sitting, url) == before == {("ann", "voice")}
        await asyncio.to_thread(other.write_spec, "rooms: [{match: voice, capacity: 2}]\n")
        done = await asyncio.to_thread(other.run, "up", "--detach", "--no-verify")
        assert done.returncode == 0, done.stderr
        await asyncio.to_thread(check_recovers, other)
        await ann.leave()
