"""API keys of a hub that runs: what their tokens may do at LiveKit, and what survives the death of the service."""

import json
import os
import signal
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.kit.hub import Hub, make_hub
from tests.waiting import wait_until

SPEC = """
access:
  modes: [api-keys]
  create: operator
  limits: {caller: off, room: off}
  roles:
    moderator: {admin: true}
    host: {create: true}
"""


@pytest.fixture(scope="module")
def running() -> Iterator[Hub]:
    with make_hub() as hub:
        hub.write_spec(SPEC)
        hub.up("--no-verify")
        yield hub


def create_key(hub: Hub, *roles: str) -> str:
    options = [part for role in roles for part in ("--role", role)]
    return hub.run("access", "create", "test", *options).stdout.strip()


def ask(hub: Hub, key: str, **body: Any) -> httpx.Response:
    url = f"http://127.0.0.1:{hub.ports['web']}/api/livekit/token"
    headers = {"authorization": f"Bearer {key}"}
    return httpx.post(url, json={"room": "lobby"} | body, headers=headers, trust_env=False, timeout=30)


def call(hub: Hub, token: str, method: str, **body: Any) -> int:
    """The status of LiveKit's answer to a call of its RoomService with this token."""
    url = f"http://127.0.0.1:{hub.ports['signal']}/twirp/livekit.RoomService/{method}"
    return httpx.post(url, json=body, headers={"authorization": f"Bearer {token}"}, trust_env=False).status_code


def test_livekit_lets_a_token_do_what_its_role_says(running: Hub) -> None:
    key = create_key(running, "participant", "moderator", "host")
    tokens = {role: ask(running, key, role=role).json()["token"] for role in ("participant", "moderator", "host")}
    assert call(running, tokens["host"], "CreateRoom", name="lobby") == 200
    for role, may in (("participant", False), ("moderator", True)):
        assert (call(running, tokens[role], "ListParticipants", room="lobby") == 200) is may
        assert call(running, tokens[role], "ListParticipants", room="hall") != 200, "a role is for one room"
        assert call(running, tokens[role], "CreateRoom", name="hall") != 200
        assert call(running, tokens[role], "ListRooms") != 200


def test_revoked_key_is_refused_by_the_next_request(running: Hub) -> None:
    key = create_key(running)
    for _ in range(3):
        assert ask(running, key).status_code == 200
    assert running.run("access", "revoke", key.split("_")[1]).returncode == 0
    assert ask(running, key).status_code == 401


def test_every_token_that_was_given_away_is_in_the_log_after_a_kill(running: Hub) -> None:
    key = create_key(running)
    given: list[str] = []
    stop = threading.Event()

    def ask_again(number: int) -> None:
        count = 0
        while not stop.is_set():
            count += 1
            identity = f"user-{number}-{count}"
            try:
                if ask(running, key, identity=identity).status_code == 200:
                    given.append(identity)
            except httpx.TransportError:
                continue

    threads = [threading.Thread(target=ask_again, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    try:
        wait_until(lambda: len(given) >= 20, "tokens")
        killed = running.pids()["serve"]
        os.kill(killed, signal.SIGKILL)
        before = len(given)
        wait_until(lambda: len(given) >= before + 20, "tokens of the service that is started again")
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert running.pids()["serve"] != killed
    logged = json.loads(running.run("access", "log", "-n", "100000", "--json").stdout)["issued"]
    assert set(given) <= {entry["identity"] for entry in logged}
