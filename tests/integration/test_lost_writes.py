"""Redis lacks what livekit-server could not write while it did not answer; the hub's lists are right all the same."""

import subprocess

import pytest
from anyio.to_thread import run_sync

from lkhub.hub.rooms import open_service
from lkhub.livekit.room_calls import list_participants, list_rooms
from lkhub.plan.paths import StatePaths
from tests.integration.test_two_media import join, write_spec
from tests.kit.hub import Hub
from tests.kit.redis import RedisServer, run_redis
from tests.waiting import until

pytestmark = [pytest.mark.anyio, pytest.mark.calls]


def list_in(hub: Hub, room: str) -> set[str]:
    with open_service(StatePaths(str(hub.state))) as service:
        return {each.identity for each in service.ask(list_participants(room)).participants}


def list_open(hub: Hub) -> set[str]:
    with open_service(StatePaths(str(hub.state))) as service:
        return {each.name for each in service.ask(list_rooms()).rooms}


def command(redis: RedisServer, *words: str) -> str:
    argv = ["redis-cli", "-p", str(redis.port), *words]
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout


KEYS = ("rooms", "room_node_map", "room_participants:short", "room_participants:long")


async def test_lists_are_corrected(hub: Hub) -> None:
    """Writes are taken back here that livekit-server has made, so that it is certain which are lost."""
    with run_redis() as redis:
        write_spec(hub, redis, "rooms: [{match: short, departure_timeout: 1s}]\n")
        await run_sync(hub.up, "--no-verify")
        ann, bob, cem = [
            await join(hub, room, who) for room, who in (("long", "ann"), ("long", "bob"), ("short", "cem"))
        ]
        assert await run_sync(list_open, hub) == {"long", "short"}
        for key in KEYS:
            command(redis, "COPY", key, f"kept {key}", "REPLACE")
        await bob.leave()
        await cem.leave()
        await until(lambda: list_in(hub, "long") == {"ann"}, "bob has left")
        await until(lambda: list_open(hub) == {"long"}, "the other room has ended")
        for key in KEYS:
            command(redis, "COPY", f"kept {key}", key, "REPLACE")
        command(redis, "HDEL", "room_participants:long", "ann")
        assert list_open(hub) == {"long", "short"}
        assert list_in(hub, "long") == {"bob"}
        await until(lambda: list_in(hub, "long") == {"ann"}, "those who are there are listed")
        await until(lambda: list_open(hub) == {"long"}, "a room that has ended is not listed")
        assert (await run_sync(command, redis, "HKEYS", "room_node_map")).split() == ["long"]
        await ann.leave()
