"""Redis lacks what livekit-server could not write while it did not answer; the hub's lists are right all the same."""

import asyncio
import os
import signal

import pytest
from anyio.to_thread import run_sync
from sqlalchemy import select

from lkhub.hub.rooms import HubRooms
from lkhub.livekit.room_calls import list_participants, list_rooms
from lkhub.plan.paths import StatePaths
from lkhub.store.schema import seats
from lkhub.store.store import Store
from tests.integration.test_seats import ask_for_token
from tests.integration.test_two_media import join, write_spec
from tests.kit.hub import Hub
from tests.kit.people import Person
from tests.kit.redis import run_redis
from tests.waiting import DEADLINE_SECONDS, until

pytestmark = [pytest.mark.anyio, pytest.mark.calls]


def list_in(hub: Hub, room: str) -> set[str]:
    with HubRooms(StatePaths(str(hub.state))) as service:
        return {each.identity for each in service.ask(list_participants(room)).participants}


def list_open(hub: Hub) -> set[str]:
    with HubRooms(StatePaths(str(hub.state))) as service:
        return {each.name for each in service.ask(list_rooms()).rooms}


ROOMS = ("rooms", "room_node_map", "room_participants:short", "room_participants:other", "room_participants:long")

SPEC = "livekit: {room: {departure_timeout: 1}}\n"


async def test_lists_are_corrected(hub: Hub) -> None:
    """Writes are taken back here that livekit-server has made, so that it is certain which are lost."""
    with run_redis() as redis:
        write_spec(hub, redis, SPEC)
        await run_sync(hub.up, "--no-verify")
        ann, bob = [await join(hub, "long", who) for who in ("ann", "bob")]
        cem, eve = [await join(hub, room, "cem") for room in ("short", "other")]
        assert await run_sync(list_open, hub) == {"long", "short", "other"}
        for key in ROOMS:
            redis.ask("COPY", key, f"kept {key}", "REPLACE")
        for person in (bob, cem, eve):
            await person.leave()
        await until(lambda: list_in(hub, "long") == {"ann"}, "bob has left")
        await until(lambda: list_open(hub) == {"long"}, "the other rooms have ended")
        for key in ROOMS:
            redis.ask("COPY", f"kept {key}", key, "REPLACE")
        redis.ask("HDEL", "room_participants:long", "ann")
        assert list_open(hub) == {"long", "short", "other"}
        assert list_in(hub, "long") == {"bob"}
        # livekit-server gives this room the SID of the one that has ended.
        dan = await join(hub, "short", "dan")
        await until(lambda: list_in(hub, "long") == {"ann"}, "those who are there are listed")
        await until(lambda: list_open(hub) == {"long", "short"}, "a room that has ended is not listed")
        assert list_in(hub, "short") == {"dan"}
        assert sorted((await run_sync(redis.ask, "HKEYS", "room_node_map")).split()) == ["long", "short"]
        redis.ask("FLUSHALL")
        await until(lambda: list_open(hub) == {"long", "short"}, "rooms that Redis has lost are listed")
        await until(lambda: list_in(hub, "short") == {"dan"}, "and who is in them")
        for person in (ann, dan):
            await person.leave()


async def test_user_of_redis_who_may_not_note_rooms_is_no_outage(hub: Hub) -> None:
    """What livekit-server itself needs is allowed. The hub notes rooms by HSETNX, which livekit-server does not use."""
    with run_redis() as redis:
        redis.ask("ACL", "SETUSER", "default", "-hsetnx")
        write_spec(hub, redis)
        await run_sync(hub.up, "--no-verify")
        ann = await join(hub, "room", "ann")
        await until(lambda: "Redis does not let media note its rooms" in hub.log("media"), "media is refused")
        assert await run_sync(hub.findings) == []
        assert "does not answer" not in hub.log("media")
        await ann.leave()


async def test_seats_outlive_a_redis_that_has_forgotten_all(hub: Hub) -> None:
    """For some seconds no room is listed. That looks as if everybody had left."""
    with run_redis() as redis:
        write_spec(hub, redis, "rooms: [{match: voice, capacity: 2, overflow: reject}]\n")
        await run_sync(hub.up, "--no-verify")
        people = [await take_seat(hub, who) for who in ("ann", "bob")]
        store = Store(f"sqlite:///{hub.state / 'store.db'}")
        try:
            await until(lambda: "" not in list_seats(store).values(), "both are seen in their seats")
            taken = list_seats(store)
            missed = False
            async with asyncio.timeout(DEADLINE_SECONDS):
                while not missed or list_seats(store) != taken:
                    if not missed:  # media writes again within seconds what it has lost
                        redis.ask("FLUSHALL")
                    missed = missed or list_seats(store) != taken
                    answer = await ask_for_token(hub.ports["web"], "cem")
                    assert answer["error"]["code"] == "room-full"
                    await asyncio.sleep(0.1)
        finally:
            store.close()
            for person in people:
                await person.leave()


async def take_seat(hub: Hub, identity: str) -> Person:
    given = await ask_for_token(hub.ports["web"], identity)
    return await Person(given["url"], given["token"]).join()


def list_seats(store: Store) -> dict[str, str]:
    """The SID of the participant in each seat, by identity; "" where it is awaited."""
    with store.reading() as connection:
        return {row.identity: row.sid for row in connection.execute(select(seats.c.identity, seats.c.sid))}


async def test_rooms_of_a_killed_media_end_when_no_one_comes_back(hub: Hub) -> None:
    """A seat in such a room would be taken for as long as Redis runs."""
    with run_redis() as redis:
        write_spec(hub, redis, SPEC)
        await run_sync(hub.up, "--no-verify")
        await run_sync(hub.run, "rooms", "create", "later")
        ann, bob = [await join(hub, room, who) for room, who in (("stays", "ann"), ("left", "bob"))]
        media = (await run_sync(hub.pids))["media"]
        os.kill(media, signal.SIGSTOP)
        await bob.leave()
        os.kill(media, signal.SIGKILL)
        await until(lambda: hub.pids().get("media") not in (None, media), "another media")
        assert await run_sync(list_open, hub) == {"stays", "left", "later"}
        await until(lambda: list_open(hub) == {"stays", "later"}, "the room that everybody has left has ended")
        assert await run_sync(list_in, hub, "stays") == {"ann"}
        await ann.leave()


async def test_rooms_of_a_killed_earlier_media_end(hub: Hub) -> None:
    """It has other ports than the one that has taken its place, and so it is another node."""
    with run_redis() as redis:
        write_spec(hub, redis, SPEC)
        await run_sync(hub.up, "--no-verify")
        media = (await run_sync(hub.pids))["media"]
        ann = await join(hub, "old", "ann")
        write_spec(hub, redis, "livekit: {room: {departure_timeout: 1, max_participants: 7}}\n")
        await run_sync(hub.up, "--no-verify")
        os.kill(media, signal.SIGSTOP)
        await ann.leave()
        os.kill(media, signal.SIGKILL)
        assert await run_sync(list_open, hub) == {"old"}
        await until(lambda: not list_open(hub), "the room without participants has ended")
