"""Calls through a hub, and what they survive. Clients are the `livekit` Python SDK's.

Commands run in threads, since a participant with a blocked event loop falls silent.
"""

import os
import signal
import time

import pytest
from anyio.to_thread import run_sync

from tests.kit.hub import Hub
from tests.kit.links import root_of
from tests.kit.people import Person
from tests.waiting import until, wait_until

pytestmark = pytest.mark.anyio

# The contract's limit for the Python SDK, kill -9 of media included.
LONGEST_GAP_SECONDS = 1.0

# A frame is 10 ms; the jitter buffer and a busy machine make more of it. No reconnect is this short.
UNDISTURBED_SECONDS = 0.25


async def start_call(hub: Hub, room: str = "room") -> tuple[Person, Person]:
    """Ann, who publishes sound and pictures, and Bob, who has received them."""
    url = (await run_sync(hub.env))["LIVEKIT_URL"]
    ann = await Person(url, await run_sync(hub.token, room, "ann")).join()
    bob = await Person(url, await run_sync(hub.token, room, "bob")).join()
    await ann.speak()
    await bob.wait_heard("ann")
    return ann, bob


async def test_two_participants_exchange_audio_and_video(running: Hub) -> None:
    ann, bob = await start_call(running)
    try:
        for person in (ann, bob):
            await person.show()
        await bob.speak()
        await ann.wait_heard("bob")
        for person, other in ((ann, "bob"), (bob, "ann")):
            await until(lambda p=person, o=other: len(p.ear_of(o).seen) > 20, f"pictures of {other}")  # type: ignore[misc]
    finally:
        await ann.leave()
        await bob.leave()


@pytest.mark.calls
async def test_who_is_in_a_call_stays_in_it_when_the_edge_dies(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """Signalling is resumed and sound goes on. A client that is refused while the edge restarts would join anew."""
    hub.write_spec(hub.tls_lines)
    await run_sync(hub.up, "--no-verify")
    monkeypatch.setenv("SSL_CERT_FILE", str(root_of(hub)))
    ann, bob = await start_call(hub)
    try:
        people = (ann, bob)
        back: set[str] = set()
        anew: list[str] = []
        for person in people:
            person.room.on("reconnected", lambda who=person: back.add(who.room.local_participant.identity))
            person.room.on("participant_disconnected", lambda other: anew.append(f"{other.identity} left"))
            person.room.on("track_subscribed", lambda *_: anew.append("subscribed again"))
        os.kill((await run_sync(hub.pids))["edge"], signal.SIGKILL)
        await until(lambda: len(back) == len(people), "both are connected again")
        await bob.wait_heard("ann")
        assert anew == [], "they joined anew"
    finally:
        await ann.leave()
        await bob.leave()


@pytest.mark.timing
async def test_killed_media_is_back_within_a_second(running: Hub) -> None:
    ann, bob = await start_call(running)
    try:
        media = (await run_sync(running.pids))["media"]
        killed = time.monotonic()
        os.kill(media, signal.SIGKILL)
        ear = bob.ear_of("ann")
        await until(lambda: any(at > killed + 0.3 for at in ear.heard), "sound after the kill")
        await bob.wait_heard("ann", 50)
        gap = ear.longest_gap(killed, time.monotonic())
        print(f"longest gap: {gap:.2f} s")
        assert gap <= LONGEST_GAP_SECONDS
    finally:
        await ann.leave()
        await bob.leave()
    [media] = [process for process in running.status()["processes"] if process["name"] == "media"]
    assert media["restarts"] == 1


@pytest.mark.timing
async def test_a_killed_supervisor_interrupts_no_call_and_the_next_adopts_its_processes(running: Hub) -> None:
    before = await run_sync(running.pids)
    ann, bob = await start_call(running)
    try:
        killed = time.monotonic()
        os.kill(running.supervisor_pid(), signal.SIGKILL)
        await bob.wait_heard("ann", 100)
        status = await run_sync(running.status)
        assert status["hub"]["state"] == "unsupervised"
        assert [finding["code"] for finding in status["findings"]] == ["no-supervisor"]
        await run_sync(running.up, "--no-verify")
        await bob.wait_heard("ann", 100)
        assert bob.ear_of("ann").longest_gap(killed, time.monotonic()) < UNDISTURBED_SECONDS
    finally:
        await ann.leave()
        await bob.leave()
    assert running.pids() == before
    assert running.status()["hub"]["state"] == "running"


@pytest.mark.calls
async def test_a_change_of_media_waits_until_the_call_is_over(running: Hub) -> None:
    before = await run_sync(running.pids)
    ann, bob = await start_call(running)
    try:
        running.write_spec("livekit: {room: {max_participants: 7}}")
        done = await run_sync(running.run, "up", "--detach", "--no-verify")
        assert done.returncode == 0, done.stderr
        assert "2 people are in a call" in done.stderr
        assert [finding["code"] for finding in (await run_sync(running.status))["findings"]] == ["change-pending"]
        assert await run_sync(running.pids) == before
    finally:
        await ann.leave()
        await bob.leave()
    wait_until(lambda: running.pids()["media"] not in (None, before["media"]), "media restarted with the new spec")
    after = running.pids()
    assert (after["relay"], after["serve"]) == (before["relay"], before["serve"])
    assert running.findings() == []


@pytest.mark.calls
async def test_up_now_does_not_wait_and_says_how_many_it_cuts(running: Hub) -> None:
    before = await run_sync(running.pids)
    ann, bob = await start_call(running)
    try:
        running.write_spec("livekit: {room: {max_participants: 7}}")
        done = await run_sync(running.run, "up", "--detach", "--no-verify", "--now")
        assert done.returncode == 0, done.stderr
        assert "2 people are in a call and had to reconnect" in done.stderr
        assert (await run_sync(running.pids))["media"] != before["media"]
        await bob.wait_heard("ann", 20)
    finally:
        await ann.leave()
        await bob.leave()


@pytest.mark.calls
async def test_a_stop_waits_for_calls_for_as_long_as_the_spec_says(hub: Hub) -> None:
    """And not longer, with a participant who does not leave. Another limit is in force without a restart."""
    hub.write_spec("drain: 5m")
    await run_sync(hub.up, "--no-verify")
    ann, bob = await start_call(hub)
    try:
        before = await run_sync(hub.pids)
        hub.write_spec("drain: 3s")
        await run_sync(hub.up, "--no-verify")
        assert await run_sync(hub.pids) == before
        began = time.monotonic()
        done = await run_sync(hub.run, "down")
        assert done.returncode == 0
        assert "waiting up to 3s for 2 people in a call to finish (`lkhub down --now` does not wait)\n" in done.stderr
        ended = time.monotonic()
        assert 3 <= ended - began < 20
        assert bob.ear_of("ann").heard[-1] > began + 2, "the call goes on meanwhile"
    finally:
        await ann.leave()
        await bob.leave()
