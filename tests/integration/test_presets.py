"""What LiveKit lets be changed in a room that is open, and who counts in it: what presets and seats rest on."""

import asyncio
import http.client
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any
from urllib.parse import urlencode

import jwt
import pytest

from lkhub.livekit.room_calls import create_room, list_dispatches
from lkhub.secret import Secret
from lkhub.service.rooms.sfu import Media
from lkhub.wire.application import Dispatch
from tests.kit.hub import Hub
from tests.kit.people import Person
from tests.service.rooms.kit import preset
from tests.waiting import DEADLINE_SECONDS

pytestmark = pytest.mark.anyio


@pytest.fixture
async def media(running: Hub) -> AsyncIterator[Media]:
    env = running.env()
    key = env["LIVEKIT_API_KEY"], Secret(env["LIVEKIT_API_SECRET"])
    made = Media(f"http://127.0.0.1:{running.ports['signal']}", lambda: key)
    yield made
    await made.close()


def make_token(hub: Hub, room: str, identity: str, video: dict[str, Any] | None = None, **claims: Any) -> str:
    """A token as an application signs it with the hub's key."""
    env = hub.env()
    grant = {"roomJoin": True, "room": room, **(video or {})}
    said = {"iss": env["LIVEKIT_API_KEY"], "sub": identity, "exp": int(time.time()) + 600, "video": grant, **claims}
    return jwt.encode(said, env["LIVEKIT_API_SECRET"], algorithm="HS256")


class Attempts:
    """Attempts to join a hub's rooms. Participants that were let in stay as long as this."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        self.open: list[http.client.HTTPConnection] = []

    async def join(self, token: str) -> int:
        """What LiveKit answers: 101 for a participant that it lets in."""
        connection = http.client.HTTPConnection("127.0.0.1", self.hub.ports["signal"], timeout=DEADLINE_SECONDS)
        self.open.append(connection)
        key = {"Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "A" * 22 + "=="}
        query = urlencode({"access_token": token, "protocol": "15"})
        headers = {"Connection": "Upgrade", "Upgrade": "websocket", **key}
        await asyncio.to_thread(connection.request, "GET", f"/rtc?{query}", headers=headers)
        return (await asyncio.to_thread(connection.getresponse)).status


@pytest.fixture
def attempts(running: Hub) -> Iterator[Attempts]:
    made = Attempts(running)
    yield made
    for connection in made.open:
        connection.close()


async def test_open_room_takes_metadata_and_agents_and_nothing_else(running: Hub, media: Media) -> None:
    person = await Person(running.env()["LIVEKIT_URL"], make_token(running, "own", "ann")).join()
    try:
        (room,) = await media.list_rooms()
        await media.ask(create_room("own", {"max_participants": 1, "empty_timeout": 7, "metadata": "c"}))
        assert list(await media.list_rooms()) == [room], "LiveKit has learnt to change an open room: use it"

        await media.apply(room, preset(capacity=1, metadata="m", agents=(Dispatch("scribe", "de"),)))
        (room,) = await media.list_rooms()
        assert room.metadata == "m"
        await media.apply(room, preset(metadata="other", agents=(Dispatch("scribe", "de"),)))
        assert list(await media.list_rooms()) == [room]
        called = (await media.ask(list_dispatches("own"))).agent_dispatches
        assert [agent.metadata for agent in called if agent.agent_name == "scribe"] == ["de"]
    finally:
        await person.leave()


async def test_agents_that_a_token_brings_are_not_called_twice(running: Hub, media: Media, attempts: Attempts) -> None:
    token = make_token(running, "r", "ann", roomConfig={"agents": [{"agentName": "scribe"}]})
    assert await attempts.join(token) == 101
    (room,) = await media.list_rooms()
    await media.apply(room, preset(agents=(Dispatch("scribe", ""),)))
    assert [each.agent_name for each in (await media.ask(list_dispatches("r"))).agent_dispatches] == ["scribe"]


async def test_livekit_counts_all_but_agents_and_recorders(running: Hub, media: Media, attempts: Attempts) -> None:
    assert await attempts.join(make_token(running, "r", "ann", roomConfig={"maxParticipants": 2})) == 101
    others: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
        ("agent", {}, {"kind": "agent"}),
        ("egress", {"hidden": True}, {"kind": "egress"}),
        ("recorder", {"recorder": True}, {}),
        ("hidden", {"hidden": True}, {}),
    ]
    for identity, video, more in others:
        assert await attempts.join(make_token(running, "r", identity, video, **more)) == 101, identity
    assert await attempts.join(make_token(running, "r", "bob")) == 500
    assert set(await media.list_participants("r")) == {"ann", "hidden"}
