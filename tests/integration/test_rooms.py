"""The rooms of a running hub: opened by its operator (`access: {create: operator}`), and with participants in them."""

import json
import os
import re
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from livekit.rtc import DisconnectReason

from tests.kit.hub import Hub
from tests.kit.person import TakingPart, taking_part
from tests.waiting import DEADLINE_SECONDS, wait_until

CLOSED = "access: {create: operator}\n"


@pytest.fixture
def closed(hub: Hub) -> Hub:
    hub.write_spec(CLOSED)
    return hub


@pytest.mark.calls
def test_hub_whose_rooms_are_opened_by_its_operator_is_verified_and_says_how(closed: Hub) -> None:
    done = closed.run("up", "--detach", "--link")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "verified udp" in done.stdout
    assert "lkhub rooms create lobby; lkhub token --room lobby --link" in done.stdout
    assert "/join/" not in done.stdout, "a link into a room that is not there"

    told = closed.run("token", "--room", "team", "--link")
    assert (told.returncode, "/join/team#" in told.stdout) == (0, True)
    assert "`lkhub rooms create team` opens it" in told.stderr

    opened = closed.run("rooms", "create", "team")
    assert (opened.returncode, opened.stdout) == (0, "team\n")
    assert json.loads(closed.run("rooms", "create", "team", "--json").stdout) == {"room": "team", "empty_timeout": 300}
    assert closed.run("token", "--room", "team", "--link").stderr == ""

    # A foreign LiveKit, as far as this command knows.
    url = closed.env()["LIVEKIT_URL"]
    foreign = Hub(closed.folder, closed.ports, environ={**os.environ, **closed.env()})
    verified = foreign.run("verify", "--url", url, "--path", "udp", "--json")
    assert verified.returncode == 0, verified.stdout + verified.stderr


def test_opened_room_has_the_settings_of_its_preset(hub: Hub) -> None:
    hub.write_spec(CLOSED + 'rooms: [{match: "hall-*", capacity: 5, empty_timeout: 2m, metadata: m}]\n')
    hub.up("--no-verify")
    made = hub.run("rooms", "create", "hall-1", "--json")
    assert json.loads(made.stdout) == {"room": "hall-1", "empty_timeout": 120}
    [room] = json.loads(hub.run("rooms", "list", "--json").stdout)["rooms"]
    assert (room["max_participants"], room["metadata_bytes"]) == (5, 1)


def test_sub_rooms_follow_the_room_that_the_operator_opened(hub: Hub) -> None:
    hub.write_spec(
        "access: {modes: [api-keys], create: operator}\n"
        'rooms: [{match: "voice-*", capacity: 1, overflow: subrooms, empty_timeout: 2m}]\n'
    )
    hub.up("--no-verify")
    headers = {"authorization": f"Bearer {hub.run('access', 'create', 'shop').stdout.strip()}"}

    def ask(room: str, identity: str) -> str:
        url = f"http://127.0.0.1:{hub.ports['web']}/api/livekit/token"
        body = {"room": room, "identity": identity}
        return str(httpx.post(url, json=body, headers=headers, trust_env=False, timeout=30).json()["room"])

    assert hub.run("rooms", "create", "voice-1").returncode == 0
    assert [ask("voice-1", who) for who in ("ann", "bob")] == ["voice-1", "voice-1(2)"]
    assert [ask("voice-2", who) for who in ("ann", "bob")] == ["voice-2", "voice-2(2)"]
    rooms = json.loads(hub.run("rooms", "list", "--json").stdout)["rooms"]
    assert {room["name"]: (room["max_participants"], room["empty_timeout"]) for room in rooms} == {
        "voice-1": (1, 120),
        "voice-1(2)": (1, 120),
    }


@pytest.mark.calls
def test_room_of_the_operator_and_its_call_outlive_media_that_is_killed(hub: Hub) -> None:
    hub.write_spec(CLOSED + 'rooms: [{match: "hall-*", capacity: 5, empty_timeout: 2m, metadata: m}]\n')
    hub.up("--no-verify")
    for room in ("hall-1", "team"):
        assert hub.run("rooms", "create", room).returncode == 0
    before = hub.pids()["media"]
    ann, bob = (hub.token("team", identity) for identity in ("ann", "bob"))
    with taking_part((), hub.env()["LIVEKIT_URL"], ann), taking_part((), hub.env()["LIVEKIT_URL"], bob) as listener:
        listener.wait_received("ann/audio")
        wait_until(lambda: "team" in hub.run("rooms", "list").stdout, "the supervisor has looked")
        os.kill(before, signal.SIGKILL)
        wait_until(lambda: hub.pids()["media"] not in (0, before), "another media")

        def rooms() -> dict[str, tuple[int, int | None, int]]:
            listed = json.loads(hub.run("rooms", "list", "--json").stdout or '{"rooms": []}')["rooms"]
            return {
                room["name"]: (room["empty_timeout"], room["max_participants"], room["metadata_bytes"])
                for room in listed
            }

        wait_until(lambda: rooms() == {"hall-1": (120, 5, 1), "team": (300, None, 0)}, "the rooms are open again")
        heard = listener.last["ann/audio"]
        wait_until(lambda: listener.last["ann/audio"] > heard + 100, "ann is heard again")
        assert "ended" not in listener.last
    assert hub.run("rooms", "close", "hall-1", "--yes").returncode == 0


def test_room_is_opened_in_a_running_hub_alone(closed: Hub) -> None:
    done = closed.run("rooms", "create", "team")
    assert (done.returncode, done.stdout) == (3, "")
    assert "this hub has not been up yet" in done.stderr
    closed.up("--no-verify")
    closed.run("down", "--now")
    done = closed.run("rooms", "create", "team")
    assert (done.returncode, done.stdout) == (1, "")
    assert "the hub is not running" in done.stderr
    assert re.search("`lkhub up.*` starts it", done.stderr)


@pytest.mark.parametrize(("room", "why"), [("", "ROOM is empty"), ("x" * 257, "LiveKit takes 256")])
def test_name_that_livekit_refuses_is_bad_usage(closed: Hub, room: str, why: str) -> None:
    done = closed.run("rooms", "create", room)
    assert done.returncode == 2
    assert why in done.stderr


ROOM, ANN = "a/b+c=d@e:f#g é", "ann /+=@"


def ask(hub: Hub, *arguments: str) -> Any:
    """The JSON of a command, which must succeed."""
    done = hub.run("rooms", *arguments, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@dataclass
class Watcher:
    """A running `rooms watch --json`. Asking once a second misses what ends sooner, so each step waits for the lines of
    the one before."""

    process: subprocess.Popen[str]
    lines: list[dict[str, Any]] = field(default_factory=list)

    def read(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            self.lines.append(json.loads(line))

    def wait(self, event: str, identity: str | None = None, source: str | None = None) -> None:
        """Wait for this line, and forget it and those before."""

        def find() -> bool:
            for number, line in enumerate(self.lines):
                said = (line["event"], line.get("participant", {}).get("identity"), line.get("track", {}).get("source"))
                if said == (event, identity, source):
                    del self.lines[: number + 1]
                    return True
            return False

        wait_until(find, f"{event} of {identity}")


@contextmanager
def watching(hub: Hub) -> Iterator[Watcher]:
    with hub.start("rooms", "watch", "--json") as process:
        watcher = Watcher(process)
        reader = threading.Thread(target=watcher.read)
        reader.start()
        try:
            yield watcher
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(DEADLINE_SECONDS)
            reader.join()
    assert process.returncode == 0


@pytest.mark.calls
def test_operator_sees_a_call_and_ends_it_piece_by_piece(hub: Hub) -> None:
    hub.write_spec("livekit: {room: {enable_remote_unmute: true}}\n")
    hub.up("--no-verify")
    url, token = hub.env()["LIVEKIT_URL"], hub.token(ROOM, "bob")
    with watching(hub) as watcher:
        watcher.wait("watching")
        with taking_part((), url, hub.token(ROOM, ANN)) as ann:
            with taking_part((), url, token) as bob:
                ann.wait_received("bob/audio", "bob/video")
                bob.wait_received(f"{ANN}/audio", f"{ANN}/video")
                watcher.wait("participant_joined", "bob")
                see_call(hub)
                mute_and_unmute(hub, bob, watcher)
                ask(hub, "remove", ROOM, "bob")
                wait_until(lambda: bob.last.get("ended") == DisconnectReason.PARTICIPANT_REMOVED, "bob is out")
                watcher.wait("participant_left", "bob")
            with taking_part((), url, token) as bob:
                watcher.wait("participant_joined", "bob")
                assert ask(hub, "close", ROOM, "--yes")["participants"] == 2
                for each in (ann, bob):
                    wait_until(lambda: each.last.get("ended") == DisconnectReason.ROOM_DELETED, "all are out")  # noqa: B023
                watcher.wait("participant_left", ANN)
                watcher.wait("room_finished")
    done = hub.run("rooms", "show", ROOM)
    assert (done.returncode, done.stdout) == (1, "")


def see_call(hub: Hub) -> None:
    [listed] = ask(hub, "list")["rooms"]
    assert (listed["name"], listed["participants"]) == (ROOM, 2)
    participants = {each["identity"]: each for each in ask(hub, "show", ROOM)["participants"]}
    assert {who: each["state"] for who, each in participants.items()} == {ANN: "active", "bob": "active"}
    tracks = {track["source"]: track for track in participants[ANN]["tracks"]}
    assert tracks.keys() == {"microphone", "camera"}
    assert (tracks["camera"]["width"], tracks["camera"]["height"]) == (320, 180)
    text = hub.run("rooms", "show", listed["sid"]).stdout
    assert "'a/b+c=d@e:f#g é'" in text
    assert "'ann /+=@'  active" in text


def mute_and_unmute(hub: Hub, other: TakingPart, watcher: Watcher) -> None:
    [track] = ask(hub, "mute", ROOM, ANN, "--source", "microphone")["tracks"]
    assert track["muted"] is True
    wait_until(lambda: other.last[f"{ANN}/muted"] == 1, "the other participant sees the mute")
    watcher.wait("track_muted", ANN, "microphone")
    [track] = ask(hub, "mute", ROOM, ANN, "--unmute", "--track", track["sid"])["tracks"]
    assert track["muted"] is False
    wait_until(lambda: other.last[f"{ANN}/muted"] == 0, "the other participant sees that it is over")
    watcher.wait("track_unmuted", ANN, "microphone")
