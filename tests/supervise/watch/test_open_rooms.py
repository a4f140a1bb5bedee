"""The operator's rooms after media was started anew."""

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest

from lkhub.errors import MachineError
from lkhub.livekit.room_calls import Call, Rooms
from lkhub.livekit.room_info import Room
from lkhub.supervise.watch import open_rooms
from lkhub.supervise.watch.open_rooms import OpenRooms

pytestmark = pytest.mark.anyio


class Media:
    """The rooms of one media after another, and the code with which it refuses to open a room."""

    def __init__(self, *rooms: str) -> None:
        self.rooms = [Room(name) for name in rooms]
        self.refuses: dict[str, str] = {}

    def start_anew(self) -> None:
        self.rooms = []

    async def answer(self, _: str, call: Call[Any]) -> Any:
        if call.method == "ListRooms":
            return Rooms(tuple(self.rooms))
        return self._open(call.body)

    def _open(self, body: Mapping[str, Any]) -> Room:
        if code := self.refuses.get(body["name"]):
            raise MachineError("LiveKit refuses CreateRoom", code=code)
        self.rooms = [each for each in self.rooms if each.name != body["name"]]
        self.rooms.append(Room(body["name"], metadata=body.get("metadata", "")))
        return self.rooms[-1]


class Watched:
    """A supervisor with media, as far as OpenRooms knows one."""

    def __init__(self, media: Media, monkeypatch: pytest.MonkeyPatch) -> None:
        self.said: list[str] = []
        self.child = SimpleNamespace(plan=SimpleNamespace(knows_participants=True), state="running", process=1)
        serve = SimpleNamespace(application=None)
        hub = SimpleNamespace(plan=SimpleNamespace(urls=SimpleNamespace(local_media=""), serve=serve))
        supervisor = SimpleNamespace(
            in_force=SimpleNamespace(hub=hub), children={"media": self.child}, say=self.said.append
        )
        self.rooms = OpenRooms(supervisor)  # type: ignore[arg-type]
        monkeypatch.setattr(open_rooms, "is_closed", lambda _: True)
        monkeypatch.setattr(self.rooms, "_ask", media.answer)


async def test_room_that_media_does_not_take_any_more_keeps_no_other_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A limit of LiveKit's is lower than before. Nothing that is tried again would change that."""
    media = Media("long", "team")
    watched = Watched(media, monkeypatch)
    await watched.rooms.look()
    media.start_anew()
    media.refuses["long"] = "invalid_argument"
    watched.child.process = 2
    await watched.rooms.look()
    assert [room.name for room in media.rooms] == ["team"]
    assert any("the room long is not open again" in text for text in watched.said)


async def test_room_that_was_opened_again_is_left_alone_while_others_are_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its operator may have closed it meanwhile."""
    media = Media("team", "slow")
    watched = Watched(media, monkeypatch)
    await watched.rooms.look()
    media.start_anew()
    media.refuses["slow"] = "unavailable"
    watched.child.process = 2
    with pytest.raises(MachineError):
        await watched.rooms.look()
    assert [room.name for room in media.rooms] == ["team"]
    media.start_anew()  # `lkhub rooms close team`
    media.refuses.clear()
    await watched.rooms.look()
    assert [room.name for room in media.rooms] == ["slow"]
