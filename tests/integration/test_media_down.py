"""LiveKit is away while the service runs: who asks is served, and afterwards everything is as LiveKit has it."""

import asyncio
import os
import signal

import httpx
import psutil
import pytest
from sqlalchemy import select

from lkhub.store.schema import seats
from lkhub.store.store import Store
from tests.integration.test_store import ask, findings, room_of
from tests.integration.test_webhooks import Application
from tests.kit.hub import Hub
from tests.kit.people import Person
from tests.waiting import until

pytestmark = [pytest.mark.field, pytest.mark.anyio]

ROOMS = "rooms: [{match: voice, capacity: 2, overflow: subrooms}]\n"


def health(hub: Hub) -> int:
    return httpx.get(f"http://127.0.0.1:{hub.ports['web']}/api/health", trust_env=False).status_code


@pytest.mark.soak
async def test_tokens_are_given_and_seats_and_webhooks_are_right_afterwards(hub: Hub) -> None:
    application = Application()
    listening = await asyncio.start_server(application, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    hub.write_spec(f"{ROOMS}webhooks: [{{url: 'http://127.0.0.1:{port}/hook', allow_private: true}}]\n")
    await asyncio.to_thread(hub.up, "--no-verify")
    store = Store(f"sqlite:///{hub.state / 'store.db'}")

    def sids() -> dict[str, str]:
        with store.reading() as connection:
            rows = connection.execute(select(seats.c.identity, seats.c.sid)).all()
        return {row.identity: row.sid for row in rows}

    given = (await asyncio.to_thread(ask, hub, "ann")).json()
    ann = await Person(given["url"], given["token"]).join()
    await until(lambda: sids().get("ann"), "ann's seat is confirmed")
    supervisor, media = hub.supervisor_pid(), psutil.Process((await asyncio.to_thread(hub.pids))["media"])
    os.kill(supervisor, signal.SIGSTOP)  # which would start it anew at once
    try:
        media.kill()
        await until(lambda: media.status() == psutil.STATUS_ZOMBIE)
        await ann.leave()
        assert room_of(await asyncio.to_thread(ask, hub, "bob")) == "voice"
        assert room_of(await asyncio.to_thread(ask, hub, "carl")) == "voice(2)", (
            "ann's seat is not free: LiveKit may know"
        )
        assert await asyncio.to_thread(health, hub) == 503
        listed = await asyncio.to_thread(hub.run, "rooms", "list")
        assert (listed.returncode, listed.stdout) == (3, "")
        assert "does not answer" in listed.stderr
        assert "lkhub status" in listed.stderr
    finally:
        os.kill(supervisor, signal.SIGCONT)
    await until(lambda: health(hub) == 200, "media is back")
    given = (await asyncio.to_thread(ask, hub, "bob")).json()
    bob = await Person(given["url"], given["token"]).join()
    await until(lambda: sids().get("bob"), "bob's seat is confirmed")
    await until(lambda: "ann" not in sids(), "ann's seat is free")
    await until(lambda: ("participant_joined", "bob") in told(application), "bob's event")
    await until(lambda: ("participant_left", "ann") in told(application), "what LiveKit could not tell is found", 120)
    assert not findings(hub)
    await bob.leave()
    store.close()
    listening.close()


def told(application: Application) -> set[tuple[str, str]]:
    return {
        (event["event"], event["participant"]["identity"]) for event in application.events if "participant" in event
    }


@pytest.mark.soak
async def test_media_that_hangs_delays_no_token_and_is_named(hub: Hub) -> None:
    hub.write_spec(ROOMS)
    await asyncio.to_thread(hub.up, "--no-verify")
    media = (await asyncio.to_thread(hub.pids))["media"]
    os.kill(media, signal.SIGSTOP)
    try:
        for identity in ("ann", "bob"):
            answer = await asyncio.wait_for(asyncio.to_thread(ask, hub, identity), 5)
            assert room_of(answer) == "voice"
        listed = await asyncio.to_thread(hub.run, "rooms", "list")
        assert (listed.returncode, listed.stdout) == (3, "")
        assert "does not answer" in listed.stderr
        await until(lambda: [each["subject"] for each in findings(hub)] == ["media"], "the finding")
    finally:
        os.kill(media, signal.SIGCONT)
    given = (await asyncio.to_thread(ask, hub, "bob")).json()
    bob = await Person(given["url"], given["token"]).join()
    await until(lambda: findings(hub) == [], "it ends")
    await bob.leave()
