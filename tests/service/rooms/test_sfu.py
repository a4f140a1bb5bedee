"""What media is asked about rooms."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from lkhub.errors import MachineError
from lkhub.host.http import httpx
from lkhub.livekit.room_info import Room
from lkhub.secret import Secret
from lkhub.service.rooms import sfu
from lkhub.service.rooms.sfu import Media
from lkhub.wire.application import Dispatch
from tests.kit.room_service import make_participant, make_room
from tests.service.rooms.kit import preset

pytestmark = pytest.mark.anyio


class FakeMedia:
    """Answers each method with what it was given."""

    def __init__(self) -> None:
        self.answers: dict[str, Any] = {}
        self.asked: list[tuple[str, dict[str, Any]]] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        method = request.url.path.rsplit(".", 1)[1]
        self.asked.append((method, json.loads(request.content)))
        answer = self.answers.get(method, {})
        if isinstance(answer, Exception):
            raise answer
        return httpx.Response(200, json=answer)


@pytest.fixture
def fake() -> FakeMedia:
    return FakeMedia()


@pytest.fixture
async def media(fake: FakeMedia, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Media]:
    monkeypatch.setattr(sfu, "local_client", lambda _: httpx.AsyncClient(transport=httpx.MockTransport(fake)))
    made = Media("http://127.0.0.1:7880/", lambda: ("API", Secret("S" * 43)))
    yield made
    await made.close()


async def test_participants_that_livekit_counts_are_listed(media: Media, fake: FakeMedia) -> None:
    fake.answers["RoomService/ListRooms"] = {"rooms": [make_room("a")]}
    people = [make_participant("ann"), make_participant("bot", kind="AGENT")]
    fake.answers["RoomService/ListParticipants"] = {"participants": people}
    assert [room.name for room in await media.list_rooms()] == ["a"]
    assert await media.list_participants("a") == {"ann": people[0]["sid"]}


@pytest.mark.parametrize(("metadata", "called"), [("", ["RoomService/UpdateRoomMetadata"]), ("own", [])])
async def test_metadata_is_given_to_a_room_that_has_none(
    media: Media, fake: FakeMedia, metadata: str, called: list[str]
) -> None:
    fake.answers["RoomService/UpdateRoomMetadata"] = make_room("a")
    await media.apply(Room("a", metadata=metadata), preset(metadata="m"))
    assert fake.asked == [(method, {"room": "a", "metadata": "m"}) for method in called]


async def test_agents_that_are_missing_are_called(media: Media, fake: FakeMedia) -> None:
    fake.answers["AgentDispatchService/ListDispatch"] = {"agent_dispatches": [{"agent_name": "here"}]}
    await media.apply(Room("a"), preset(agents=(Dispatch("here", ""), Dispatch("scribe", "de"))))
    assert fake.asked[1:] == [
        ("AgentDispatchService/CreateDispatch", {"room": "a", "agent_name": "scribe", "metadata": "de"})
    ]


async def test_preset_without_either_asks_nothing(media: Media, fake: FakeMedia) -> None:
    await media.apply(Room("a"), preset(capacity=2, empty_timeout=5))
    assert fake.asked == []


@pytest.mark.parametrize("failure", [httpx.ConnectError("no"), httpx.ReadTimeout("no")])
async def test_media_that_does_not_answer_is_told(media: Media, fake: FakeMedia, failure: Exception) -> None:
    fake.answers["RoomService/ListRooms"] = failure
    with pytest.raises(MachineError, match=r"LiveKit does not answer at http://127\.0\.0\.1:7880"):
        await media.list_rooms()
