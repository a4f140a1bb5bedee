"""What a real LiveKit tells the service, and what an application gets of it."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from livekit.api import TokenVerifier, WebhookReceiver

from tests.kit.hub import Hub
from tests.kit.people import Person
from tests.waiting import until

pytestmark = pytest.mark.anyio


class Application:
    """A receiver, and the events that it got, as JSON."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.tokens: list[str] = []
        self.bodies: list[str] = []

    def names(self, room: str) -> list[str]:
        return [event["event"] for event in self.events if event["room"]["name"] == room]

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().splitlines()
                headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in head[1:] if line)}
                body = (await reader.readexactly(int(headers["content-length"]))).decode()
                self.events.append(json.loads(body))
                self.bodies.append(body)
                self.tokens.append(headers["authorization"])
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def applying(hub: Hub) -> AsyncIterator[Application]:
    application = Application()
    server = await asyncio.start_server(application, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    hub.write_spec(f"webhooks: [{{url: 'http://127.0.0.1:{port}/hook', allow_private: true}}]\n")
    await asyncio.to_thread(hub.up, "--no-verify")
    try:
        yield application
    finally:
        server.close()


async def join(hub: Hub, room: str, identity: str) -> Person:
    env = await asyncio.to_thread(hub.env)
    return await Person(env["LIVEKIT_URL"], await asyncio.to_thread(hub.token, room, identity)).join()


async def test_call_is_told_in_its_order(hub: Hub) -> None:
    async with applying(hub) as application:
        env = await asyncio.to_thread(hub.env)
        ann = await join(hub, "team", "ann")
        await ann.speak()
        await until(lambda: "track_published" in application.names("team"))
        await ann.leave()
        await asyncio.to_thread(hub.run, "rooms", "close", "team", "--yes")
        await until(lambda: "room_finished" in application.names("team"))
        told = application.names("team")
        assert [name for name in told if name != "track_unpublished"] == [
            *("room_started", "participant_joined", "track_published", "participant_left", "room_finished")
        ]
        receiver = WebhookReceiver(TokenVerifier(env["LIVEKIT_API_KEY"], env["LIVEKIT_API_SECRET"]))
        for body, token in zip(application.bodies, application.tokens, strict=True):
            assert receiver.receive(body, token).room.name == "team"
        assert "turnPassword" not in "".join(application.bodies)
        assert len({event["id"] for event in application.events}) == len(application.events)


@pytest.mark.soak
async def test_what_happens_while_the_service_is_away_is_found(hub: Hub) -> None:
    """It is away for longer than LiveKit tries, so the events themselves are lost."""
    async with applying(hub) as application:
        bob = await join(hub, "team", "bob")
        await until(lambda: "participant_joined" in application.names("team"))
        service = (await asyncio.to_thread(hub.pids))["serve"]
        os.kill(hub.supervisor_pid(), signal.SIGKILL)  # it would start the service anew, and keeps its port
        os.kill(service, signal.SIGKILL)
        ann = await join(hub, "team", "ann")
        await bob.leave()
        await asyncio.sleep(40)  # LiveKit tries for 15 s each, one event after the other
        await asyncio.to_thread(hub.up, "--no-verify")
        await until(lambda: any(event.get("found") for event in application.events), "what was missed", 240)
        await until(lambda: len([event for event in application.events if event.get("found")]) >= 2)
        found = {
            (event["event"], event["participant"]["identity"]) for event in application.events if event.get("found")
        }
        assert found == {("participant_left", "bob"), ("participant_joined", "ann")}
        await ann.leave()


@pytest.mark.soak
async def test_what_happens_while_the_service_starts_again_arrives(hub: Hub) -> None:
    """LiveKit's requests wait at the port, which the supervisor keeps, also those that it has given up by then."""
    async with applying(hub) as application:
        bob = await join(hub, "team", "bob")
        await until(lambda: "participant_joined" in application.names("team"))
        supervisor, service = hub.supervisor_pid(), (await asyncio.to_thread(hub.pids))["serve"]
        os.kill(supervisor, signal.SIGSTOP)
        os.kill(service, signal.SIGKILL)
        try:
            ann = await join(hub, "team", "ann")
            await bob.leave()
            await asyncio.sleep(20)  # longer than LiveKit waits for an answer
        finally:
            os.kill(supervisor, signal.SIGCONT)

        def heard() -> set[tuple[str, str]]:
            people = [event for event in application.events if "participant" in event]
            return {(event["event"], event["participant"]["identity"]) for event in people}

        await until(lambda: heard() >= {("participant_left", "bob"), ("participant_joined", "ann")}, "both events", 240)
        await ann.leave()
