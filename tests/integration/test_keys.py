"""Other keys for a hub with a call in progress. Clients are the `livekit` Python SDK's."""

import asyncio
import contextlib
import os
import signal
import subprocess
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from anyio.to_thread import run_sync
from livekit import rtc
from livekit.api import TokenVerifier, WebhookReceiver
from livekit.rtc._proto.room_pb2 import SIMULATE_FULL_RECONNECT, SIMULATE_SIGNAL_RECONNECT

from lkhub.secret import Secret
from tests.integration.test_calls import start_call
from tests.kit.hub import Hub, kill_supervisor
from tests.kit.keys import ACCEPTED, REFUSED, Diary, Key, ask, current_key, done, list_keys
from tests.kit.people import Person
from tests.waiting import until

pytestmark = pytest.mark.anyio


async def count_lost(person: Person) -> int:
    """How many packets that were sent to a participant did not arrive, or had to be sent again."""
    stats = await person.room.get_rtc_stats()
    # The SDK may have one connection for both directions.
    inbound = [
        stat.inbound_rtp for stat in (*stats.publisher_stats, *stats.subscriber_stats) if stat.HasField("inbound_rtp")
    ]
    assert sum(each.received.packets_received for each in inbound), "it is not known what has arrived"
    return sum(each.received.packets_lost + each.inbound.retransmitted_packets_received for each in inbound)


async def reconnect(person: Person, scenario: int, hears: str) -> None:
    """Make the SDK connect again with the token that it has by now."""
    states: list[rtc.ConnectionState.ValueType] = []
    person.room.on("connection_state_changed", states.append)
    await person.room.simulate_scenario(scenario)  # type: ignore[arg-type]
    await until(lambda: rtc.ConnectionState.CONN_RECONNECTING in states, "the SDK reconnects")
    await until(lambda: states[-1] == rtc.ConnectionState.CONN_CONNECTED, "the SDK has reconnected")
    await person.wait_heard(hears)


@pytest.mark.calls
async def test_whole_rotation_with_a_call_in_progress(running: Hub) -> None:
    """No packet is lost, nobody reconnects, and the old key works until it is revoked, and then not once more."""
    url = (await run_sync(running.env))["LIVEKIT_URL"]
    old, pids = current_key(running), await run_sync(running.pids)
    baked = await run_sync(running.token, "room", "carl")
    ann, bob = await start_call(running)
    people, diary = [ann, bob], Diary()
    for person in people:
        diary.keep(person)
    try:
        lost = await count_lost(bob)
        name = done(await run_sync(lambda: running.run("keys", "rotate"))).strip()
        new = current_key(running)
        assert name == new[0] != old[0]
        assert [await ask(url, key) for key in (new, old)] == [ACCEPTED, ACCEPTED]
        people.append(await Person(url, baked).join())  # with the old key
        people.append(await Person(url, await run_sync(running.token, "room", "dora")).join())  # with the new one
        uses = {key["id"]: key for key in await run_sync(list_keys, running)}
        assert [uses[key]["state"] for key in (new[0], old[0])] == ["current", "retiring"]
        assert uses[old[0]]["participants"] == 3
        assert {(caller["kind"], caller["identity"]) for caller in uses[old[0]]["callers"]} >= {("join", "carl")}
        revoked = await run_sync(lambda: running.run("keys", "revoke", old[0], "--yes"))
        assert "3 people in a call came with it and stay in it" in revoked.stderr
        done(revoked)
        assert [await ask(url, key) for key in (new, old)] == [ACCEPTED, REFUSED]
        with pytest.raises(rtc.ConnectError):
            await Person(url, baked).join()
        await bob.wait_heard("ann")
        assert await count_lost(bob) == lost
        assert diary.events == []
        assert await run_sync(running.pids) == pids, "no process was restarted"
        # Who joined with the key that is gone has a token of the new one, and connects again with it.
        for scenario in (SIMULATE_SIGNAL_RECONNECT, SIMULATE_FULL_RECONNECT):
            await reconnect(bob, scenario, "ann")
    finally:
        for person in people:
            await person.leave()


class Application(ThreadingHTTPServer):
    """A receiver of webhooks that knows one key, and checks with LiveKit's own receiver."""

    def __init__(self) -> None:
        application = self
        self.knows: Key = ("", Secret(""))
        self.taken: list[str] = []
        self.refused: list[str] = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"])).decode()
                name, secret = application.knows
                try:
                    receiver = WebhookReceiver(TokenVerifier(name, secret.reveal()))
                    event = receiver.receive(body, self.headers["authorization"])
                    application.taken.append(f"{event.event} {event.participant.identity}".strip())
                    self.send_response(200)
                except Exception as error:
                    application.refused.append(repr(error))
                    self.send_response(401)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None: ...

        super().__init__(("127.0.0.1", 0), Handler)
        Thread(target=self.serve_forever, daemon=True).start()


@pytest.mark.field
async def test_receiver_that_knows_one_key_refuses_no_event_of_a_rotation(hub: Hub) -> None:
    application = Application()
    hub.write_spec(f"webhooks: [{{url: 'http://127.0.0.1:{application.server_port}/', allow_private: true}}]\n")
    await run_sync(hub.up, "--no-verify")
    url, old = (await run_sync(hub.env))["LIVEKIT_URL"], current_key(hub)
    application.knows = old
    try:
        ann = await Person(url, await run_sync(hub.token, "room", "ann")).join()
        await until(lambda: "participant_joined ann" in application.taken)
        done(await run_sync(lambda: hub.run("keys", "rotate")))
        await ann.leave()
        bob = await Person(url, await run_sync(hub.token, "room", "bob")).join()
        await until(lambda: {"participant_left ann", "participant_joined bob"} <= set(application.taken))
        assert application.refused == []
        application.knows = current_key(hub)  # it was started again with its new .env
        await bob.leave()
        await until(lambda: "participant_left bob" in application.taken)
        assert len(application.refused) == 1, "it is found out with one event"
        done(await run_sync(lambda: hub.run("keys", "revoke", old[0], "--yes")))
        carl = await Person(url, await run_sync(hub.token, "room", "carl")).join()
        await until(lambda: "participant_joined carl" in application.taken)
        await carl.leave()
        assert len(application.refused) == 1
    finally:
        application.shutdown()
        application.server_close()


@pytest.mark.field
async def test_keys_of_a_file_are_replaced_with_a_call_in_progress(hub: Hub) -> None:
    """The steps that `lkhub keys rotate` prints where the keys are not lkhub's."""
    file = hub.spec.parent / "my-keys.yaml"
    keys = {name: Secret(name[3:] * 16) for name in ("APIold", "APInew")}

    def write(*names: str) -> None:
        file.write_text("".join(f"{name}: {keys[name].reveal()}\n" for name in names))
        file.chmod(0o600)

    write("APIold")
    hub.write_spec(f"keys: {{source: {{file: {file}}}}}\n")
    await run_sync(hub.up, "--no-verify")
    url, pids = (await run_sync(hub.env))["LIVEKIT_URL"], await run_sync(hub.pids)
    refused = await run_sync(lambda: hub.run("keys", "rotate"))
    assert refused.returncode == 2
    assert f"put both keys into {file}" in refused.stderr
    ann, bob = await start_call(hub)
    diary = Diary()
    try:
        for person in (ann, bob):
            diary.keep(person)
        lost = await count_lost(bob)
        write("APInew", "APIold")
        await run_sync(hub.up, "--no-verify")
        assert [await ask(url, (name, keys[name])) for name in keys] == [ACCEPTED, ACCEPTED]
        assert (await run_sync(hub.env))["LIVEKIT_API_KEY"] == "APInew"
        write("APInew")
        await run_sync(hub.up, "--no-verify")
        assert [await ask(url, (name, keys[name])) for name in keys] == [REFUSED, ACCEPTED]
        await bob.wait_heard("ann")
        assert await count_lost(bob) == lost
        assert diary.events == []
        assert await run_sync(hub.pids) == pids
    finally:
        await ann.leave()
        await bob.leave()


@pytest.mark.field
def test_rotation_of_a_hub_that_is_down_is_there_when_it_starts(running: Hub) -> None:
    old = current_key(running)
    done(running.run("down"))
    done(running.run("keys", "rotate"))
    assert [key["requests"] for key in list_keys(running)] == [None, None], "not known"
    running.up("--no-verify")
    assert [key["id"] for key in list_keys(running)] == [current_key(running)[0], old[0]]
    done(running.run("down"))
    done(running.run("keys", "revoke", old[0], "--yes"))
    running.up("--no-verify")
    assert [key["id"] for key in list_keys(running)] == [current_key(running)[0]]


@pytest.mark.field
def test_hub_without_a_supervisor_keeps_its_keys(running: Hub) -> None:
    """Media would not learn of them, and tokens of a new key would be refused."""
    old, pids = current_key(running), running.pids()
    kill_supervisor(running)
    refused = running.run("keys", "rotate")
    assert refused.returncode == 1
    assert "still running without it" in refused.stderr
    assert current_key(running) == old
    running.up("--no-verify")
    done(running.run("keys", "rotate"))
    assert running.pids() == pids


@pytest.mark.soak
async def test_hub_killed_during_rotations_goes_on_with_its_call(running: Hub) -> None:
    """The command and the supervisor are killed at moments that are spread over a rotation. After the next `up`, every
    key that signed a token is accepted, and media was not restarted."""
    url, pids = (await run_sync(running.env))["LIVEKIT_URL"], await run_sync(running.pids)
    ann, bob = await start_call(running)
    diary = Diary()
    try:
        for person in (ann, bob):
            diary.keep(person)
        signed: dict[str, Secret] = {}
        for turn in range(12):
            command = subprocess.Popen(  # noqa: ASYNC220  it starts at once
                running.command("keys", "rotate"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            await asyncio.sleep(0.25 + 0.01 * turn)  # the work takes some milliseconds after a start of 0.3 s
            await run_sync(kill_supervisor, running)
            with contextlib.suppress(ProcessLookupError):
                os.kill(command.pid, signal.SIGKILL)
            await run_sync(command.wait)
            signed |= [current_key(running)]
            await run_sync(running.up, "--no-verify")
            signed |= [current_key(running)]
            for key in signed.items():
                assert await ask(url, key) == ACCEPTED, f"turn {turn}"
        await bob.wait_heard("ann")
        assert diary.events == []
        assert (await run_sync(running.pids))["media"] == pids["media"]
    finally:
        await ann.leave()
        await bob.leave()


def test_written_file_follows_and_one_that_can_not_is_named(running: Hub, tmp_path: Path) -> None:
    follows, gone = tmp_path / "a.env", tmp_path / "b.env"
    for file in (follows, gone):
        done(running.run("env", "--write", str(file)))
    gone.unlink()
    rotated = running.run("keys", "rotate")
    assert f"LIVEKIT_API_KEY={rotated.stdout.strip()}\n" in follows.read_text()
    assert f"{gone} was not changed: the file does not exist" in rotated.stderr
