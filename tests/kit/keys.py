"""The keys of a hub, and what happens to people who are in a call while they change."""

import json
import subprocess
from dataclasses import dataclass, field
from typing import Any

import httpx

from lkhub.host.keyfile import load_keys
from lkhub.livekit.tokens import Grant, join_grant, sign
from lkhub.secret import Secret
from tests.kit.hub import Hub
from tests.kit.people import Person

Key = tuple[str, Secret]

ACCEPTED, REFUSED = [200, 200, 200], [401, 401, 401]


def done(ran: subprocess.CompletedProcess[str]) -> str:
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def list_keys(hub: Hub) -> list[dict[str, Any]]:
    keys: list[dict[str, Any]] = json.loads(done(hub.run("keys", "list", "--json")))["keys"]
    return keys


def current_key(hub: Hub) -> Key:
    return next(iter(load_keys(str(hub.state / "keys.yaml")).items()))


async def ask(url: str, key: Key) -> list[int]:
    """The status of three requests with tokens of this key: two to join, and one to an API for servers."""
    joins, lists = sign(Grant("late", join_grant("room")), *key), sign(Grant("", {"roomList": True}), *key)
    url = url.replace("ws", "http", 1)
    async with httpx.AsyncClient(trust_env=False) as client:
        answers = (
            await client.get(f"{url}/rtc/validate", headers={"Authorization": f"Bearer {joins}"}),
            await client.get(f"{url}/rtc/validate", params={"access_token": joins}),
            await client.post(
                f"{url}/twirp/livekit.RoomService/ListRooms", json={}, headers={"Authorization": f"Bearer {lists}"}
            ),
        )
    return [answer.status_code for answer in answers]


@dataclass
class Diary:
    """What happens to a participant that should notice nothing."""

    events: list[str] = field(default_factory=list)

    def keep(self, person: Person) -> None:
        name = person.room.local_participant.identity
        for event in ("reconnecting", "reconnected", "disconnected", "participant_disconnected", "track_unsubscribed"):
            person.room.on(event, lambda *_, what=event: self.events.append(f"{name}: {what}"))
