"""Participants whose tokens the hub did not make: no stranger gets an identity that looks like theirs."""

import json

import httpx
import pytest
from msgspec import structs

from lkhub.livekit.webhooks import WebhookEvent, read_event
from lkhub.service.joined import Joined
from lkhub.service.presets import Presets
from lkhub.service.storage import Storage
from lkhub.wire.application import RoomPreset
from tests.service.conftest import LAN, Applied, Connect, check_error

pytestmark = pytest.mark.anyio

PRESET = RoomPreset("lobby", 16, "subrooms", None, None, "", (), ())


def make_event(name: str, identity: str, room: str = "lobby") -> WebhookEvent:
    participant = {"sid": "PA_1", "identity": identity}
    body = {"event": name, "id": "EV_1", "room": {"sid": "RM_1", "name": room}, "participant": participant}
    return read_event(json.dumps(body).encode())[0]


async def ask(client: httpx.AsyncClient, identity: str) -> httpx.Response:
    return await client.post("/api/livekit/token", json={"room": "lobby", "identity": identity})


@pytest.mark.parametrize("room", ["lobby", "lobby(2)"])
async def test_identity_of_who_is_in_the_room_is_taken_until_it_leaves(
    connect: Connect, applied: Applied, room: str
) -> None:
    config = applied.config("open", rooms=(PRESET,))
    storage = Storage(config.application.store)
    joined = Joined(storage, Presets(config.application.rooms))

    async def hear(event: WebhookEvent) -> None:
        joined.hear(event)
        for task in tuple(joined._tasks):
            await task

    # Without a capacity, since seats are not what this is about.
    open_to_all = applied.config("open", rooms=(structs.replace(PRESET, capacity=None),))
    async with connect(open_to_all, url=LAN, come_from="192.168.1.77") as client:
        await hear(make_event("participant_joined", "paypal", room))
        await hear(make_event("track_published", "bob", room))
        check_error(await ask(client, "paypaI"), 409, "identity-taken")
        check_error(await ask(client, "paypal"), 409, "identity-taken")
        assert (await ask(client, "bob")).status_code == 200
        await hear(make_event("participant_left", "paypal", room))
        assert (await ask(client, "paypaI")).status_code == 200
    await storage.close()


async def test_hub_whose_store_is_gone_hears_on(applied: Applied) -> None:
    storage = Storage(structs.replace(applied.config("open").application.store, url="sqlite:////nowhere/store.db"))
    joined = Joined(storage, Presets(()))
    joined.hear(make_event("participant_joined", "ann"))
    for task in tuple(joined._tasks):
        await task
    assert joined._tasks == set()
