"""A thousand callers at once, two services on one PostgreSQL, one of them killed; and real participants."""

import asyncio
import contextlib
import json
import os
import resource
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from lkhub.errors import MachineError
from lkhub.host.http import httpx
from lkhub.host.keyfile import dump_keys
from lkhub.secret import Secret
from lkhub.service.rooms.sfu import Media
from lkhub.store.schema import seats
from lkhub.store.store import Store
from lkhub.wire.application import Application
from lkhub.wire.application import Store as StoreSettings
from lkhub.wire.serve_config import ServeConfig, dump_serve
from tests.kit.hub import Hub
from tests.kit.people import Person
from tests.kit.ports import free_port
from tests.kit.postgres import run_postgres
from tests.service.rooms.kit import preset
from tests.waiting import DEADLINE_SECONDS, until, wait_until

pytestmark = pytest.mark.anyio

CALLERS = 1000
SIXTEENS = [8] + [16] * 62
"""The sizes of 63 sub-rooms for a thousand callers."""


class Service:
    """`lkhub serve` alone: its media does not run."""

    def __init__(self, folder: Path, url: str) -> None:
        self.port = free_port()
        folder.mkdir()
        (folder / "keys").write_text(dump_keys({"APIkey": Secret("s" * 43)}))
        (folder / "keys").chmod(0o600)
        config = ServeConfig(
            name="hub",
            reach="local",
            bind=("127.0.0.1",),
            port=self.port,
            hosts=("127.0.0.1",),
            open_tokens=True,
            livekit_url="ws://127.0.0.1:1",
            media_url="http://127.0.0.1:1",
            keys=str(folder / "keys"),
            authorities=(),
            ca="",
            application=Application(used=True, rooms=(preset("voice", 16),), store=StoreSettings(url)),
        )
        (folder / "serve.json").write_text(dump_serve(config))
        command = [sys.executable, "-m", "lkhub", "serve", "--config", str(folder / "serve.json")]
        self.log = (folder / "log").open("w")
        self.process = subprocess.Popen(command, stdout=self.log, stderr=subprocess.STDOUT)

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def answers(self) -> bool:
        try:
            httpx.get(f"http://127.0.0.1:{self.port}/", trust_env=False)
        except httpx.TransportError:
            return False
        return True


@contextmanager
def running(service: Service) -> Iterator[Service]:
    try:
        wait_until(service.answers, "the service answers")
        yield service
    finally:
        service.kill()
        service.log.close()


@pytest.fixture
def two(tmp_path: Path) -> Iterator[tuple[Service, Service, Store]]:
    """Two services on one PostgreSQL, and its store."""
    with run_postgres() as server:
        url = server.create()
        with running(Service(tmp_path / "a", url)) as first, running(Service(tmp_path / "b", url)) as second:
            store = Store(url)
            yield first, second, store
            store.close()


class Callers:
    """Ask services in turn, as often as it takes: what a service did not answer, the next one is asked for."""

    def __init__(self, *ports: int) -> None:
        self.ports = ports
        self.rooms: dict[str, str] = {}

    async def ask_all(self, identities: list[str]) -> None:
        await asyncio.gather(*(self.ask(number, each) for number, each in enumerate(identities)))

    async def ask(self, number: int, identity: str) -> None:
        while identity not in self.rooms:
            try:
                answer = await ask_for_token(self.ports[number % len(self.ports)], identity)
            except (OSError, EOFError):
                number += 1
                await asyncio.sleep(0.01)
                continue
            self.rooms[identity] = answer["room"]


async def ask_for_token(port: int, identity: str) -> dict[str, Any]:
    """The JSON that a service answers. Each caller has a connection of its own, which httpx can't do for so many."""
    body = json.dumps({"room": "voice", "identity": identity})
    head = (
        f"POST /api/livekit/token HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(f"{head}{body}".encode())
        answer = await reader.read()
    finally:
        writer.close()
    if not answer:
        raise EOFError
    return json.loads(answer.partition(b"\r\n\r\n")[2])  # type: ignore[no-any-return]


def stored(store: Store) -> dict[str, str]:
    """The room of each identity that has a seat."""
    with store.reading() as connection:
        rows = connection.execute(select(seats.c.identity, seats.c.room)).all()
    assert len({row.identity for row in rows}) == len(rows), "an identity has two seats"
    return {row.identity: row.room for row in rows}


async def test_a_thousand_callers_at_once_get_63_sub_rooms(two: tuple[Service, Service, Store]) -> None:
    first, second, store = two
    callers = Callers(first.port, second.port)
    await callers.ask_all([f"caller-{number}" for number in range(CALLERS)])
    assert sorted(Counter(callers.rooms.values()).values()) == SIXTEENS
    assert stored(store) == callers.rooms


async def test_service_that_is_killed_meanwhile_loses_no_seat_and_wastes_none(
    two: tuple[Service, Service, Store],
) -> None:
    first, second, store = two
    callers = Callers(first.port, second.port)

    async def kill() -> None:
        await until(lambda: len(callers.rooms) >= CALLERS / 5)
        await asyncio.to_thread(first.kill)

    await asyncio.gather(callers.ask_all([f"caller-{number}" for number in range(CALLERS)]), kill())
    assert sorted(Counter(callers.rooms.values()).values()) == SIXTEENS
    assert stored(store) == callers.rooms


@pytest.fixture
def many_files() -> Iterator[None]:
    """Each participant of the SDK has several descriptors, and more where the machine has many addresses, since it has
    sockets for each."""
    before, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (before, most))


@pytest.mark.timing
@pytest.mark.usefixtures("many_files")
async def test_two_hundred_real_participants_sit_where_livekit_has_them(hub: Hub) -> None:
    hub.write_spec("rooms: [{match: voice, capacity: 16, overflow: subrooms}]\n")
    hub.up("--no-verify")
    env = hub.env()
    key = env["LIVEKIT_API_KEY"], Secret(env["LIVEKIT_API_SECRET"])
    store = Store(f"sqlite:///{hub.state / 'store.db'}")
    media = Media(f"http://127.0.0.1:{hub.ports['signal']}", lambda: key)
    people: list[Person] = []

    async def join(number: int) -> tuple[str, str]:
        given = await ask_for_token(hub.ports["web"], f"caller-{number}")
        people.append(await Person(given["url"], given["token"], gathers_once=True).join())
        return given["identity"], given["room"]

    try:
        rooms: dict[str, str] = {}
        for start in range(0, 200, 10):
            rooms |= dict(await asyncio.gather(*map(join, range(start, start + 10))))
        assert sorted(Counter(rooms.values()).values()) == [8] + [16] * 12
        listed = {room.name: await media.list_participants(room.name) for room in await media.list_rooms()}
        assert {identity: room for room, present in listed.items() for identity in present} == rooms
        sids = {sid for present in listed.values() for sid in present.values()}

        def confirmed() -> bool:
            with store.reading() as connection:
                return set(connection.execute(select(seats.c.sid)).scalars()) == sids

        await until(confirmed, "every seat is confirmed")
        assert stored(store) == rooms
    finally:
        await asyncio.gather(*(person.leave() for person in people))
        await media.close()
    await until(lambda: not stored(store), "every seat is free again")
    store.close()


@pytest.mark.soak
async def test_seats_outlive_media_that_is_killed(hub: Hub) -> None:
    """Who comes back has the same seat, nobody gets it meanwhile, and who does not come back gives it up."""
    hub.write_spec("rooms: [{match: voice, capacity: 2, overflow: reject}]\n")
    hub.up("--no-verify")
    env, web = hub.env(), hub.ports["web"]
    key = env["LIVEKIT_API_KEY"], Secret(env["LIVEKIT_API_SECRET"])
    store = Store(f"sqlite:///{hub.state / 'store.db'}")
    media = Media(f"http://127.0.0.1:{hub.ports['signal']}", lambda: key)

    async def confirm(*identities: str, other_than: frozenset[str] = frozenset()) -> frozenset[str]:
        """The SIDs that LiveKit gives to these participants, once they and nobody else have seats."""
        sids: frozenset[str] = frozenset()
        while len(sids) < len(identities) or sids & other_than:
            refused = await ask_for_token(web, "carl")
            assert "room" not in refused, "another got the seat of one who comes back"
            with contextlib.suppress(MachineError):
                present = await media.list_participants("voice")
                with store.reading() as connection:
                    taken = dict(connection.execute(select(seats.c.identity, seats.c.sid)).all())
                if present == taken and set(present) == set(identities):
                    sids = frozenset(present.values())
            await asyncio.sleep(0.05)
        return sids

    people: dict[str, Person] = {}
    try:
        for identity in ("ann", "bob"):
            given = await ask_for_token(web, identity)
            people[identity] = await Person(given["url"], given["token"]).join()
        async with asyncio.timeout(DEADLINE_SECONDS):
            before = await confirm("ann", "bob")
            os.kill(hub.pids()["media"], signal.SIGKILL)
            after = await confirm("ann", "bob", other_than=before)
            os.kill(hub.pids()["media"], signal.SIGKILL)
            await people.pop("bob").leave()  # media does not hear it
            while "room" not in (answer := await ask_for_token(web, "carl")):
                assert answer["error"]["code"] == "room-full"
                await asyncio.sleep(0.2)
        assert set(stored(store)) == {"ann", "carl"}
        assert not set((await media.list_participants("voice")).values()) & after
    finally:
        await asyncio.gather(*(person.leave() for person in people.values()))
        await media.close()
        store.close()
