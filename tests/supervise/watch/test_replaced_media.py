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
from lkhub.render.serve import render_serve
from lkhub.supervise.adopt import adopt
from lkhub.supervise.supervisor import Supervisor
from lkhub.supervise.watch.open_rooms import OpenRooms
from tests.supervise.conftest import MakeHub, pids, supervising, watchers_of

pytestmark = pytest.mark.anyio


class Sfu:
    """The rooms that are open, by the process of media."""

    def __init__(self, supervisor: Supervisor) -> None:
        self.watched = supervisor
        self._rooms = defaultdict[int | None, set[str]](set)

    @property
    def rooms(self) -> set[str]:
        return self._rooms[pids(self.watched)["media"]]

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
    plan = replace(hub.plan, serve=serve)
    return replace(hub, plan=plan, files={**hub.files, plan.paths.render("serve.json"): render_serve(plan).text})


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


@pytest.mark.parametrize("waits", [False, True])
async def test_rooms_stay_open_when_media_was_taken_over_and_is_replaced(
    paths: StatePaths, said: list[str], make_hub: MakeHub, monkeypatch: pytest.MonkeyPatch, *, waits: bool
) -> None:
    """The supervisor was killed, and lkhub or the spec is another one since: its first change replaces media."""
    people: list[int | None] = [1 if waits else 0]
    async with supervising(paths, said, leave=True) as first:
        sfu = Sfu(first)
        monkeypatch.setattr(OpenRooms, "_ask", lambda _, url, call: sfu.ask(url, call))
        await first.apply(closed(make_hub(media={})))
        before = pids(first)
        sfu.rooms.add("team")
        await watchers_of(first).open_rooms.look()
    async with supervising(paths, said) as second:
        sfu.watched, rooms = second, watchers_of(second).open_rooms

        async def count() -> int | None:
            return people[0]

        monkeypatch.setattr(second.calls, "count", count)
        await adopt(second)
        assert (await second.apply(closed(make_hub(media={"say": "changed"})))).pending == waits
        if waits:
            people[0] = 0
            await second.apply_pending()
        assert pids(second) != before
        await rooms.look()
        assert sfu.rooms == {"team"}


@pytest.mark.parametrize("taken_over", [False, True])
async def test_rooms_that_joins_open_are_left_to_joins(
    paths: StatePaths, said: list[str], make_hub: MakeHub, monkeypatch: pytest.MonkeyPatch, *, taken_over: bool
) -> None:
    """They would stand open, with what the first of them had asked for, whoever comes next."""
    async with supervising(paths, said, leave=taken_over) as first:
        asked: list[str] = []

        async def ask(*_: object) -> Rooms:
            asked.append("media")
            return Rooms((Room("team"),))

        monkeypatch.setattr(OpenRooms, "_ask", ask)
        hub = make_hub(media={})
        await first.apply(replace(hub, files={**hub.files, paths.render("serve.json"): render_serve(hub.plan).text}))
        await watchers_of(first).open_rooms.look()
    if taken_over:
        async with supervising(paths, said) as second:
            await adopt(second)
            await watchers_of(second).open_rooms.look()
    assert asked == []
