import json
from pathlib import Path
from typing import Any

import anyio
import anyio.abc
import jwt
import pytest

from lkhub.errors import MachineError
from lkhub.host.keyfile import dump_keys
from lkhub.host.processes import ProcessId
from lkhub.livekit.tokens import PROBE_ROOM_PREFIX
from lkhub.plan.process import Health
from lkhub.secret import Secret
from lkhub.supervise.participants import count_participants, resume_clients
from lkhub.supervise.timings import USUAL
from lkhub.wire.message import VERSION

pytestmark = pytest.mark.anyio

SECRET = Secret("XYZ" * 15)
MEDIA = ProcessId(1, "a start")
NOWHERE = "/nowhere/keys.yaml"

SECONDS = USUAL.participants


async def serve_once(listener: anyio.abc.Listener[anyio.abc.SocketStream], body: bytes, seen: list[str]) -> None:
    async def answer(stream: anyio.abc.SocketStream) -> None:
        async with stream:
            seen.append((await stream.receive()).decode())
            await stream.send(
                b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body)
            )

    await listener.serve(answer)


async def count_with_engine(path: str, body: Any) -> int | None:
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    async with await anyio.create_unix_listener(path) as listener, anyio.create_task_group() as tasks:
        tasks.start_soon(serve_once, listener, text, [])
        people = await count_participants(Health(socket=path), MEDIA, NOWHERE, SECONDS)
        tasks.cancel_scope.cancel()
    Path(path).unlink()
    return people


async def test_people_in_all_rooms_are_counted_and_probes_are_not(short_dir: Path) -> None:
    path = str(short_dir / "m.sock")
    rooms = [
        {"name": "lobby", "participants": 2},
        {"name": f"{PROBE_ROOM_PREFIX}udp-1234", "participants": 2},
        {"name": "other", "participants": 1},
    ]
    assert await count_with_engine(path, {"state": "running", "pid": 1, "rooms": rooms}) == 3
    assert await count_with_engine(path, {"state": "running", "pid": 1, "rooms": []}) == 0


@pytest.mark.parametrize(
    "body",
    [
        b"nonsense",
        {},
        {"state": "running", "pid": 1},
        [],
        {"pid": 1, "rooms": [{}]},
        {"pid": 1, "rooms": None},
        {"pid": 2, "rooms": []},
        {"rooms": []},
    ],
    ids=repr,
)
async def test_answer_that_cannot_be_read_is_unknown(short_dir: Path, body: Any) -> None:
    assert await count_with_engine(str(short_dir / "m.sock"), body) is None


async def test_media_that_is_gone_is_unknown(short_dir: Path) -> None:
    assert await count_participants(Health(socket=str(short_dir / "m.sock")), MEDIA, NOWHERE, SECONDS) is None
    assert await count_participants(Health(url="http://127.0.0.1:1"), MEDIA, NOWHERE, SECONDS) is None


async def test_server_of_the_users_is_asked_for_its_rooms_with_a_token(short_dir: Path) -> None:
    keys = short_dir / "keys.yaml"
    keys.write_text(dump_keys({"API": SECRET}))
    body = json.dumps(
        {"rooms": [{"name": "lobby", "num_participants": 2}, {"name": "empty", "num_participants": 0}]}
    ).encode()
    seen: list[str] = []
    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener, anyio.create_task_group() as tasks:
        tasks.start_soon(serve_once, listener, body, seen)
        port = listener.extra(anyio.abc.SocketAttribute.local_port)
        people = await count_participants(Health(url=f"http://127.0.0.1:{port}/"), MEDIA, str(keys), SECONDS)
        tasks.cancel_scope.cancel()
    assert people == 2
    assert seen[0].startswith("POST /twirp/livekit.RoomService/ListRooms ")
    token = seen[0].partition("Bearer ")[2].split()[0]
    assert jwt.decode(token, SECRET.reveal(), algorithms=["HS256"])["video"] == {"roomList": True}


@pytest.mark.parametrize("body", [b"{}", b"nonsense", b'{"rooms": [{"name": 7}]}', b'{"rooms": [{}]}'])
async def test_answer_of_the_users_server_that_cannot_be_read_is_unknown(short_dir: Path, body: bytes) -> None:
    keys = short_dir / "keys.yaml"
    keys.write_text(dump_keys({"API": SECRET}))
    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener, anyio.create_task_group() as tasks:
        tasks.start_soon(serve_once, listener, body, [])
        port = listener.extra(anyio.abc.SocketAttribute.local_port)
        assert await count_participants(Health(url=f"http://127.0.0.1:{port}/"), MEDIA, str(keys), SECONDS) is None
        tasks.cancel_scope.cancel()


WIRE = Path(__file__).parents[1] / "golden/wire"


@pytest.mark.parametrize("version", [VERSION, VERSION + 1])
async def test_clients_are_resumed_by_the_message_that_the_engine_tests(short_dir: Path, version: int) -> None:
    path, wanted = str(short_dir / "m.sock"), json.loads((WIRE / "resume-request.json").read_text())
    config = json.dumps({key: value for key, value in wanted.items() if key != "version"})
    answer = json.loads((WIRE / "resume-answer.json").read_text()) | {"version": version}
    seen: list[str] = []
    async with await anyio.create_unix_listener(path) as listener, anyio.create_task_group() as tasks:
        tasks.start_soon(serve_once, listener, json.dumps(answer).encode(), seen)
        if version == VERSION:
            assert await resume_clients(path, config, SECONDS) == answer["participants"]
        else:
            with pytest.raises(MachineError, match="its messages are of version"):
                await resume_clients(path, config, SECONDS)
        tasks.cancel_scope.cancel()
    assert json.loads(seen[0].partition("\r\n\r\n")[2]) == wanted
