"""Events through a real service that is killed at any moment, to a receiver that fails half the time."""

import asyncio
import base64
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import jwt
import pytest
from msgspec import structs

import lkhub
from lkhub.livekit.webhooks import sign
from lkhub.store.api_keys import create_api_key
from lkhub.store.store import Store
from lkhub.wire.application import LIVEKIT_WEBHOOKS, Receiver
from lkhub.wire.application import Store as StoreSettings
from lkhub.wire.serve_config import ServeConfig, dump_serve
from tests.kit.ports import free_port
from tests.service.conftest import ACCESS, SECRET
from tests.waiting import until

pytestmark = [pytest.mark.anyio, pytest.mark.integration]


class Service:
    """`lkhub serve` with its store, which may be killed and started again."""

    def __init__(self, config: ServeConfig, folder: Path, *receivers: Receiver) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        application = structs.replace(
            config.application, used=True, webhooks=receivers, store=StoreSettings(f"sqlite:///{folder}/store.db")
        )
        self._file = folder / "serve.json"
        self._file.write_text(dump_serve(replace(config, port=self.port, application=application)))
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        environ = dict(os.environ, PYTHONPATH=str(Path(lkhub.__file__).parents[1]))
        argv = [sys.executable, "-m", "lkhub", "serve", "--config", str(self._file)]
        self._process = subprocess.Popen(argv, env=environ)

    def stop(self) -> int:
        """Its exit status."""
        assert self._process
        self._process.terminate()
        return self._process.wait(60)

    def kill(self) -> None:
        if self._process:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
            self._process = None


@pytest.fixture
def services() -> Iterator[list[Service]]:
    started: list[Service] = []
    yield started
    for service in started:
        service.kill()


class HalfReceiver:
    """An application that fails at half of all requests, before or after it has kept the event."""

    def __init__(self, seed: int, patience: int) -> None:
        self.luck = random.Random(seed)
        self.patience = patience
        self.took: dict[str, list[int]] = defaultdict(list)
        self.failed: Counter[str] = Counter()
        self.sent: Counter[str] = Counter()

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().lower().splitlines()
                headers = dict(line.split(": ", 1) for line in head[1:] if line)
                status = self.judge(await reader.readexactly(int(headers["content-length"])))
                writer.write(b"HTTP/1.1 %d X\r\ncontent-length: 0\r\n\r\n" % status)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    def judge(self, body: bytes) -> int:
        data = json.loads(body)
        id, number, room = data["id"], data["n"], data["room"]["name"]
        self.sent[id] += 1
        if self.luck.random() < 0.5 and self.failed[id] < self.patience:
            self.failed[id] += 1
            return 500
        self.took[room].append(number)
        return 200


async def post(client: httpx.AsyncClient, url: str, room: str, number: int) -> None:
    """As LiveKit sends an event: again until it is taken."""
    body = json.dumps({"event": "track_published", "id": f"EV_{room}_{number}", "n": number, "room": {"name": room}})
    while True:
        token = sign(body.encode(), "APIcurrent", SECRET, time.time())
        try:
            answer = await client.post(url, content=body, headers={"authorization": token})
            if answer.status_code == 200:
                return
        except httpx.TransportError:
            pass
        await asyncio.sleep(0.05)


@pytest.mark.parametrize(
    ("rooms", "events", "kills", "patience"),
    [(60, 3, 2, 1), pytest.param(500, 20, 3, 1000, marks=[pytest.mark.soak, pytest.mark.long])],
    ids=["few", "many"],
)
async def test_every_event_arrives_in_the_order_of_its_room(
    config: ServeConfig, tmp_path: Path, services: list[Service], rooms: int, events: int, kills: int, patience: int
) -> None:
    receiver = HalfReceiver(1, patience)
    server = await asyncio.start_server(receiver, "127.0.0.1", 0)
    hook = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    service = Service(config, tmp_path, Receiver(hook, (), True))
    services.append(service)
    service.start()
    luck = random.Random(2)
    total = rooms * events
    answered = 0

    async def play(client: httpx.AsyncClient, room: str) -> None:
        nonlocal answered
        for number in range(events):
            await post(client, service.url + LIVEKIT_WEBHOOKS, room, number)
            answered += 1

    async def disturb() -> None:
        """Some while events come in, and one while they are only delivered."""
        for _ in range(kills - 1):
            wanted = luck.randrange(answered, max(answered + 1, total))
            await until(lambda: answered > wanted or answered == total, "many events", 600)  # noqa: B023
            service.kill()
            service.start()
        await until(lambda: answered == total and len(receiver.sent) > total // 2, "half of the deliveries", 600)
        service.kill()
        service.start()

    limits = httpx.Limits(max_connections=100)
    async with httpx.AsyncClient(limits=limits, timeout=60, trust_env=False) as client:
        playing = [play(client, f"room-{number}") for number in range(rooms)]
        await asyncio.gather(disturb(), *playing)
    await until(lambda: sum(len(set(took)) for took in receiver.took.values()) == total, "every event", 600)
    for took in receiver.took.values():
        assert list(dict.fromkeys(took)) == list(range(events)), "in order, repeats left out"
    repeats = sum(len(took) - len(set(took)) for took in receiver.took.values())
    assert repeats <= kills * 8, "only what was under way when the service was killed"
    server.close()
    print(f"\n{total} events, {receiver.sent.total()} requests, {repeats} repeated")


async def test_deliveries_are_signed_with_the_oldest_key_of_the_hub(
    config: ServeConfig, tmp_path: Path, services: list[Service]
) -> None:
    seen: list[tuple[dict[str, str], bytes]] = []

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().splitlines()
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in head[1:] if line)}
        seen.append((headers, await reader.readexactly(int(headers["content-length"]))))
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(take, "127.0.0.1", 0)
    hook = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    service = Service(config, tmp_path, Receiver(hook, (), True))
    services.append(service)
    service.start()
    async with httpx.AsyncClient(trust_env=False) as client:
        await post(client, service.url + LIVEKIT_WEBHOOKS, "lobby", 1)
    await until(lambda: seen)
    headers, body = seen[0]
    claims = jwt.decode(headers["authorization"], "OLD" * 15, algorithms=["HS256"])
    assert claims["sha256"] == base64.b64encode(hashlib.sha256(body).digest()).decode()
    assert claims["iss"] == "APIold", "until the receiver refuses it, it is taken for one that knows the old key"
    server.close()


async def test_service_that_stops_ends_its_streams_in_silence(
    config: ServeConfig, tmp_path: Path, services: list[Service], capfd: pytest.CaptureFixture[str]
) -> None:
    store = Store(f"sqlite:///{tmp_path}/store.db")
    with store.writing() as connection:
        _, key = create_api_key(connection, "app", ("*",), (), None)
    store.close()
    access = structs.replace(ACCESS, modes=("api-keys",))
    service = Service(replace(config, application=structs.replace(config.application, access=access)), tmp_path)
    services.append(service)
    service.start()
    headers = {"authorization": f"Bearer {key}", "last-event-id": "0"}
    came: list[str] = []

    async def read() -> None:
        async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
            await post(client, service.url + LIVEKIT_WEBHOOKS, "lobby", 1)
            async with client.stream("GET", f"{service.url}/api/events", headers=headers) as answer:
                async for line in answer.aiter_lines():
                    came.append(line)  # noqa: PERF401 (it is looked at meanwhile)

    reading = asyncio.ensure_future(read())
    await until(lambda: "event: track_published" in came)
    assert await asyncio.to_thread(service.stop) in (0, -signal.SIGTERM)
    await asyncio.wait_for(reading, 60)
    told = capfd.readouterr()
    assert "Traceback" not in told.out + told.err
    assert "rror" not in told.out + told.err
