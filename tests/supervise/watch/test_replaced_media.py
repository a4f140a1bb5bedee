"""The operator's rooms, while media is replaced. The rooms of a media end with its process."""

from collections import defaultdict
from dataclasses import replace
from typing import Any

import pytest
from msgspec import structs

from lkhub.livekit.room_calls import Call, Rooms
from lkhub.livekit.room_info import Room
from lkhub.plan.paths import StatePaths
from lkhub.prepare.hub import PreparedHub
from lkhub.supervise.supervisor import Supervisor
from lkhub.supervise.watch.open_rooms import OpenRooms
from tests.supervise.conftest import MakeHub, pids, supervising, watchers_of

pytestmark = pytest.mark.anyio


class Sfu:
    """The rooms that are open, by the process of media."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor
        self._rooms = defaultdict[int | None, set[str]](set)

    @property
    def rooms(self) -> set[str]:
        return self._rooms[pids(self._supervisor)["media"]]

    async def ask(self, _: str, call: Call[Any]) -> Any:
        if call.method == "CreateRoom":
            self.rooms.add(str(call.body["name"]))
            return Room(str(call.body["name"]))
        return Rooms(tuple(map(Room, sorted(self.rooms))))


def closed(hub: PreparedHub) -> PreparedHub:
    """The hub, with rooms that the operator opens."""
    application = hub.plan.serve.application
    access = structs.replace(application.access, create="operator")
    serve = replace(hub.plan.serve, application=structs.replace(application, access=access))
    return replace(hub, plan=replace(hub.plan, serve=serve))


@pytest.mark.parametrize("by", ["restart", "change"])
async def test_room_that_was_closed_just_before_media_is_replaced_stays_closed(
    paths: StatePaths, said: list[str], make_hub: MakeHub, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    """So somebody does who waits for the end of a call, to have a change made."""
    async with supervising(paths, said) as supervisor:
        sfu, rooms = Sfu(supervisor), watchers_of(supervisor).open_rooms
        monkeypatch.setattr(OpenRooms, "_ask", lambda _, url, call: sfu.ask(url, call))
        await supervisor.apply(closed(make_hub(media={})))
        before = pids(supervisor)
        sfu.rooms.update({"stays", "closed"})
        await rooms.look()
        sfu.rooms.remove("closed")
        if by == "restart":
            await supervisor.restart(["media"])
        else:
            await supervisor.apply(closed(make_hub(media={"say": "changed"})), now=True)
        assert pids(supervisor) != before
        await rooms.look()
        assert sfu.rooms == {"stays"}
