"""A change of media that no caller hears: with Redis and second ports, the old process keeps its calls until they end,
and the new one takes all that begins."""

import os
import signal
import time
from collections.abc import Iterator

import anyio
import psutil
import pytest
from anyio.to_thread import run_sync

from lkhub.host.control import ask
from lkhub.hub.look import compare_processes, find_processes
from lkhub.plan.paths import StatePaths
from lkhub.prepare.hub import plan_hub
from lkhub.supervise.left import find_running
from lkhub.wire.control import HubReport, StatusRequest
from tests.integration.test_calls import start_call
from tests.kit.hub import Hub, kill_supervisor
from tests.kit.links import root_of
from tests.kit.people import Person
from tests.kit.ports import free_port
from tests.kit.redis import RedisServer, run_redis
from tests.waiting import until

pytestmark = pytest.mark.anyio

# Tests beside these disturb the sound; a client that connects again needs about as long as this. That none did is seen
# from its events.
GAP_SECONDS = 1.0

# Longer than it takes until livekit-server's own limit ends connections, which is noticed at the next ping.
OUTAGE_SECONDS = 20.0


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    with run_redis() as server:
        yield server


def write_spec(hub: Hub, redis: RedisServer, more: str = "") -> None:
    first = hub.ports["relay"]
    hub.ports.setdefault("udp2", free_port())
    hub.spec.write_text(
        f"media: {{udp: [{hub.ports['udp']}, {hub.ports['udp2']}], signal: {hub.ports['signal']}}}\n"
        f"turn: {{udp: {hub.ports['turn']}, relay: {first}-{first + 99}}}\n"
        f"web: {hub.ports['web']}\n"
        f"redis: {redis.url}\n{more}"
    )


def report(hub: Hub) -> HubReport:
    return ask(str(hub.state / "run/control.sock"), StatusRequest(max_age=0))


def rooms_of(hub: Hub) -> set[str]:
    """The rooms of the media process that takes what begins."""
    media = report(hub).media
    assert media
    return {room.name for room in media.rooms or ()}


def error_of_redis(hub: Hub) -> str:
    media = report(hub).media
    assert media
    assert media.redis
    return media.redis.error


def retired(hub: Hub) -> list[int | None]:
    return [each.pid for each in report(hub).retired]


def note_interruptions(*people: Person) -> list[str]:
    """What of these people's connections was interrupted from now on."""
    found: list[str] = []
    for person in people:
        who = person.room.local_participant.identity
        for event in ("reconnecting", "disconnected"):
            person.room.on(event, lambda *_, who=who, event=event: found.append(f"{who}: {event}"))
    return found


async def join(hub: Hub, room: str, identity: str) -> Person:
    url = (await run_sync(hub.env))["LIVEKIT_URL"]
    return await Person(url, await run_sync(hub.token, room, identity)).join()


async def test_a_changed_setting_interrupts_no_call(hub: Hub, redis: RedisServer) -> None:
    write_spec(hub, redis)
    await run_sync(hub.up, "--no-verify")
    before = await run_sync(hub.pids)
    ann, bob = await start_call(hub, "old")
    people = [ann, bob]
    try:
        changed, interrupted = time.monotonic(), note_interruptions(ann, bob)
        write_spec(hub, redis, "livekit: {room: {max_participants: 7}}\n")
        done = await run_sync(hub.run, "up", "--detach", "--no-verify")
        print(f"up took {time.monotonic() - changed:.2f} s\n{done.stdout}{done.stderr}")
        assert done.returncode == 0
        after = await run_sync(hub.pids)
        assert {name for name in before if before[name] != after[name]} == {"media"}
        assert retired(hub) == [before["media"]]

        cem = await join(hub, "old", "cem")
        people.append(cem)
        await cem.wait_heard("ann")
        dan, eva = await join(hub, "new", "dan"), await join(hub, "new", "eva")
        people += [dan, eva]
        await dan.speak()
        await eva.wait_heard("dan")
        assert await run_sync(rooms_of, hub) == {"new"}
        await bob.wait_heard("ann", 50)
        gap = bob.ear_of("ann").longest_gap(changed, time.monotonic())
        print(f"longest gap of the call that went on: {gap:.3f} s")
        assert gap < GAP_SECONDS
        assert interrupted == []

        for person in (ann, bob, cem):
            await person.leave()
            people.remove(person)
        left = time.monotonic()
        await until(lambda: not psutil.pid_exists(before["media"]), "the end of the old process")
        print(f"the old process ended {time.monotonic() - left:.2f} s after its last call")
        await until(lambda: not retired(hub), "the report")
        await eva.wait_heard("dan")
    finally:
        for person in people:
            await person.leave()


@pytest.mark.calls
async def test_call_through_the_edge_goes_on_and_the_next_one_reaches_the_new_process(
    hub: Hub, redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The edge keeps connections to media, and the old process closes those that wait for a request."""
    write_spec(hub, redis, hub.tls_lines)
    await run_sync(hub.up, "--no-verify")
    monkeypatch.setenv("SSL_CERT_FILE", str(root_of(hub)))
    before = await run_sync(hub.pids)
    ann, bob = await start_call(hub, "old")
    people = [ann, bob]
    try:
        changed, interrupted = time.monotonic(), note_interruptions(ann, bob)
        write_spec(hub, redis, f"{hub.tls_lines}livekit: {{room: {{max_participants: 7}}}}\n")
        await run_sync(hub.up, "--no-verify")
        assert retired(hub) == [before["media"]]
        people.extend([await join(hub, f"new-{number}", "dan") for number in range(5)])
        assert await run_sync(rooms_of, hub) == {f"new-{number}" for number in range(5)}
        await bob.wait_heard("ann", 50)
        assert bob.ear_of("ann").longest_gap(changed, time.monotonic()) < GAP_SECONDS
        assert interrupted == []
    finally:
        for person in people:
            await person.leave()


@pytest.mark.soak
async def test_killed_supervisor_leaves_both_to_the_next(hub: Hub, redis: RedisServer) -> None:
    write_spec(hub, redis)
    await run_sync(hub.up, "--no-verify")
    ann, bob = await start_call(hub, "old")
    try:
        began, interrupted = time.monotonic(), note_interruptions(ann, bob)
        write_spec(hub, redis, "livekit: {room: {max_participants: 7}}\n")
        await run_sync(hub.up, "--no-verify")
        pids, before = await run_sync(hub.pids), retired(hub)
        await run_sync(kill_supervisor, hub)
        await run_sync(hub.up, "--no-verify")
        assert (await run_sync(hub.pids), retired(hub)) == (pids, before)
        assert report(hub).retired[0].people == 2

        # Another change has no ports: it waits, and says for what.
        write_spec(hub, redis, "livekit: {room: {max_participants: 8}}\n")
        done = await run_sync(hub.run, "up", "--detach", "--no-verify")
        assert f"pending: 2 people are still in a call of the media process before (pid {before[0]})" in done.stderr
        [finding] = [each for each in await run_sync(hub.findings) if each["code"] == "change-pending"]
        assert str(before[0]) in finding["cause"]
        await bob.wait_heard("ann", 50)
        assert bob.ear_of("ann").longest_gap(began, time.monotonic()) < GAP_SECONDS
        assert interrupted == []
        # Neither has another version, which says so before it is put in place.
        plan = (await run_sync(plan_hub, str(hub.spec), str(hub.state))).plan
        found = compare_processes(find_processes(StatePaths(str(hub.state))), plan.processes, plan.spare)
        assert {each.name: each.after for each in found if each.after} == {"media": (before[0],)}
    finally:
        await ann.leave()
        await bob.leave()
    await until(lambda: not report(hub).pending, "the change that waited")
    assert "max_participants: 8" in (hub.state / "rendered/livekit.yaml").read_text()


@pytest.mark.soak
async def test_the_next_supervisor_starts_a_changed_media_beside(hub: Hub, redis: RedisServer) -> None:
    """It has the signalling socket from the process that runs."""
    write_spec(hub, redis)
    await run_sync(hub.up, "--no-verify")
    before = await run_sync(hub.pids)
    ann, bob = await start_call(hub, "old")
    people = [ann, bob]
    try:
        began, interrupted = time.monotonic(), note_interruptions(ann, bob)
        await run_sync(kill_supervisor, hub)
        await run_sync(hub.up, "--no-verify")
        assert await run_sync(hub.pids) == before
        write_spec(hub, redis, "livekit: {room: {max_participants: 7}}\n")
        await run_sync(hub.up, "--no-verify")
        assert retired(hub) == [before["media"]]
        people += [await join(hub, "new", "dan")]
        assert await run_sync(rooms_of, hub) == {"new"}
        await bob.wait_heard("ann", 50)
        assert bob.ear_of("ann").longest_gap(began, time.monotonic()) < GAP_SECONDS
        assert interrupted == []
    finally:
        for person in people:
            await person.leave()


@pytest.mark.soak
async def test_killed_in_the_middle_of_the_change(hub: Hub, redis: RedisServer) -> None:
    """At several moments: whatever the supervisor had done by then, the next one has a hub without a gap."""
    write_spec(hub, redis)
    await run_sync(hub.up, "--no-verify")
    ann, bob = await start_call(hub, "old")
    try:
        began, interrupted = time.monotonic(), note_interruptions(ann, bob)
        for number, delay in enumerate((0.0, 0.2, 0.3, 0.4)):
            await until(lambda: len(retired(hub)) < 2, "free ports")
            write_spec(hub, redis, f"livekit: {{room: {{max_participants: {20 + number}}}}}\n")
            change = hub.start("up", "--detach", "--no-verify")
            await anyio.sleep(1.0 + delay)  # a command takes so long until it asks the supervisor
            await run_sync(kill_supervisor, hub)
            await run_sync(change.communicate)
            await run_sync(hub.run, "up", "--detach", "--no-verify")
            found = await run_sync(find_running, StatePaths(str(hub.state)))
            media = [left for left in found if left.name == "media"]
            assert len(media) <= 2
            cem = await join(hub, "old", f"cem-{number}")
            await cem.wait_heard("ann")
            await cem.leave()
        await bob.wait_heard("ann", 50)
        assert bob.ear_of("ann").longest_gap(began, time.monotonic()) < GAP_SECONDS
        assert interrupted == []
    finally:
        await ann.leave()
        await bob.leave()


def test_redis_that_cannot_be_used_is_named_before_anything_is_interrupted(running: Hub, redis: RedisServer) -> None:
    before = running.pids()
    redis.stop()
    write_spec(running, redis)
    done = running.run("up", "--detach", "--no-verify")
    assert done.returncode == 3
    assert f"can't reach Redis at 127.0.0.1:{redis.port}: Connection refused" in done.stderr
    assert "nothing was interrupted" in done.stderr
    assert running.pids() == before
    with run_redis("another password") as locked:
        write_spec(running, locked)
        done = running.run("up", "--detach", "--no-verify")
        assert done.returncode == 3
        assert "Redis at" in done.stderr
        assert "NOAUTH" in done.stderr
        assert "it wants a password" in done.stderr
        write_spec(running, locked, "")
        text = running.spec.read_text().replace(locked.url, f"{{url: {locked.url}, password: wrong}}")
        running.spec.write_text(text)
        done = running.run("up", "--detach", "--no-verify")
        assert done.returncode == 3
        assert "WRONGPASS" in done.stderr
        assert "wrong}" not in done.stderr
        running.spec.write_text(text.replace("password: wrong", "password: another password"))
        running.up("--no-verify")
    assert running.pids()["media"] != before["media"]


@pytest.mark.soak
@pytest.mark.parametrize(
    ("how", "said"), [("ends", "Connection refused"), ("hangs", "it has not answered within 1s")], ids=["ends", "hangs"]
)
async def test_redis_that_fails_is_a_finding_and_calls_go_on(hub: Hub, redis: RedisServer, how: str, said: str) -> None:
    write_spec(hub, redis)
    await run_sync(hub.up, "--no-verify")
    assert await run_sync(hub.findings) == []
    ann, bob = await start_call(hub, "old")
    try:
        ended, interrupted = time.monotonic(), note_interruptions(ann, bob)
        if how == "ends":
            redis.stop()
        else:
            redis.hang()
        # In threads: media answers only when it has waited for Redis, and who is blocked falls silent.
        while not await run_sync(error_of_redis, hub):
            await anyio.sleep(0.05)
        [finding] = await run_sync(hub.findings)
        assert finding["code"] == "redis-down"
        assert said.lower() in finding["cause"].lower()
        # LiveKit itself would have ended both connections by then.
        while time.monotonic() < ended + OUTAGE_SECONDS:
            await bob.wait_heard("ann", 50)
        gap = bob.ear_of("ann").longest_gap(ended, time.monotonic())
        print(f"longest gap while Redis did not answer: {gap:.3f} s")
        assert gap < GAP_SECONDS
        assert interrupted == []
        await run_sync(redis.start if how == "ends" else redis.go_on)
        while await run_sync(error_of_redis, hub):
            await anyio.sleep(0.05)
        assert await run_sync(hub.findings) == []
        again = time.monotonic()
        cem = await join(hub, "old", "cem")
        await cem.wait_heard("ann")
        print(f"a third person heard the call {time.monotonic() - again:.2f} s after Redis was there again")
        await cem.leave()
        assert interrupted == []
    finally:
        await ann.leave()
        await bob.leave()


async def test_redis_that_has_forgotten_all_splits_no_room(hub: Hub, redis: RedisServer) -> None:
    """Whoever joins a room of the old process comes into that one, also where the new process would be chosen."""
    write_spec(hub, redis)
    await run_sync(hub.up, "--no-verify")
    ann, bob = await start_call(hub, "old")
    people = [ann, bob]
    try:
        write_spec(hub, redis, "livekit: {room: {max_participants: 7}}\n")
        await run_sync(hub.up, "--no-verify")
        interrupted = note_interruptions(ann, bob)
        for number in range(3):
            redis.stop()
            while not await run_sync(error_of_redis, hub):
                await anyio.sleep(0.05)
            await run_sync(redis.start)
            while await run_sync(error_of_redis, hub):
                await anyio.sleep(0.05)
            # That is the new process. The old one notes its rooms at most a tenth of a second later (lookAgain).
            while "old" not in await run_sync(redis.ask, "HKEYS", "room_node_map"):
                await anyio.sleep(0.05)
            people.append(await join(hub, "old", f"cem-{number}"))
            await people[-1].wait_heard("ann")
            assert await run_sync(rooms_of, hub) == set()
        assert interrupted == []
    finally:
        for person in people:
            await person.leave()


async def test_killed_media_is_back_as_soon_as_without_redis(hub: Hub, redis: RedisServer) -> None:
    """Its successor on the same ports is the same node, so nobody is led to the one that is gone."""
    write_spec(hub, redis)
    await run_sync(hub.up, "--no-verify")
    ann, bob = await start_call(hub, "old")
    try:
        killed = time.monotonic()
        os.kill((await run_sync(hub.pids))["media"], signal.SIGKILL)
        ear = bob.ear_of("ann")
        await until(lambda: any(at > killed + 0.3 for at in ear.heard), "sound after the kill")
        await bob.wait_heard("ann", 50)
        gap = ear.longest_gap(killed, time.monotonic())
        print(f"longest gap: {gap:.2f} s")
        assert gap < 4, "as long as Redis leads to a node that is gone, it is five seconds"
    finally:
        await ann.leave()
        await bob.leave()
