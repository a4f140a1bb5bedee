import json
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import anyio.abc
import anyio.lowlevel
import jwt
import pytest

from lkhub import __version__
from lkhub.host.keyfile import dump_keys
from lkhub.host.peer import Peer
from lkhub.livekit.tokens import DEFAULT_TTL_SECONDS, MAX_NAME_BYTES
from lkhub.service import askers as askers_module
from lkhub.service.bodies import MAX_BODY_BYTES
from lkhub.wire.request_info import RequestInfo, find_request_info
from lkhub.wire.serve_config import FORWARDED_HEADER, ServeConfig
from tests.service.conftest import SECRET, Connect, check_error

pytestmark = pytest.mark.anyio

TOKEN = "/api/livekit/token"
JSON = {"content-type": "application/json"}


def claims(token: str) -> dict[str, Any]:
    return jwt.decode(token, SECRET.reveal(), algorithms=["HS256"])


async def test_hub_tells_the_page_what_it_must_know(connect: Connect) -> None:
    async with connect() as client:
        assert (await client.get("/api/hub")).json() == {
            "name": "my-hub",
            "version": __version__,
            "livekit_url": "ws://127.0.0.1:7880",
            "reach": "local",
            "tokens": "open",
        }


async def test_request_info_identifies_the_process_and_the_route(connect: Connect) -> None:
    async with connect() as client:
        first = (await client.get("/api/request-info")).json()
        again = await client.get(
            "/api/request-info", headers={"x-forwarded-for": "198.51.100.7", FORWARDED_HEADER: "yes"}
        )
        unsaid = await client.get("/api/request-info", headers={"x-forwarded-for": "10.0.0.3", FORWARDED_HEADER: "no"})
    assert (first["client"], first["forwarded"]) == ("127.0.0.1", None)
    assert again.json() == {"instance": first["instance"], "client": "198.51.100.7", "forwarded": True}
    assert find_request_info(again.text) == RequestInfo(first["instance"], "198.51.100.7", True), "as lkhub reads it"
    assert again.headers["cache-control"] == "no-store"
    assert unsaid.json() == {"instance": first["instance"], "client": "10.0.0.3", "forwarded": False}
    async with connect() as client:
        assert (await client.get("/api/request-info")).json()["instance"] != first["instance"]


async def test_token_is_for_one_room_and_a_plain_participant(connect: Connect) -> None:
    async with connect() as client:
        answer = await client.post(TOKEN, json={"room": "lobby", "identity": "ann"})
    body = answer.json()
    assert set(body) == {"token", "url", "room", "identity", "expires_at"}
    assert (body["url"], body["room"], body["identity"]) == ("ws://127.0.0.1:7880", "lobby", "ann")
    token = claims(body["token"])
    assert (token["iss"], token["sub"], token["exp"]) == ("APIcurrent", "ann", body["expires_at"])
    assert abs(token["exp"] - time.time() - DEFAULT_TTL_SECONDS) < 60
    assert token["video"]["room"] == "lobby"
    assert not {"roomAdmin", "roomCreate", "roomList", "roomRecord", "ingressAdmin", "hidden"} & set(token["video"])
    assert answer.headers["cache-control"] == "no-store"


async def test_token_carries_what_was_asked_for(connect: Connect) -> None:
    wanted = {"room": "a/b ü", "identity": "ann", "name": "Ann Ü.", "metadata": "{}", "attributes": {"a": "b"}}
    async with connect() as client:
        token = claims((await client.post(TOKEN, json=wanted)).json()["token"])
    assert (token["name"], token["metadata"], token["attributes"]) == ("Ann Ü.", "{}", {"a": "b"})
    assert token["video"]["room"] == "a/b ü"


async def test_guests_never_throw_each_other_out(connect: Connect) -> None:
    async with connect() as client:
        guests = {(await client.post(TOKEN, json={"room": "lobby"})).json()["identity"] for _ in range(20)}
    assert len(guests) == 20
    assert all(guest.startswith("guest-") for guest in guests)


WRONG: tuple[tuple[Any, str], ...] = (
    ({}, "room"),
    ({"room": ""}, "room"),
    ({"room": None}, "room"),
    ({"room": 5}, "room"),
    ({"room": "x" * (MAX_NAME_BYTES + 1)}, "room"),
    ({"room": "é" * (MAX_NAME_BYTES // 2 + 1)}, "room: has more than 256 bytes"),
    ({"room": "lobby", "identity": ""}, "identity"),
    ({"room": "lobby", "identity": "x" * (MAX_NAME_BYTES + 1)}, "identity"),
    ({"room": "lobby", "name": 5}, "name"),
    ({"room": "lobby", "name": "€" * 86}, "name: has more than 256 bytes"),
    ({"room": "lobby", "attributes": {"a": 1}}, "attributes"),
    ({"room": "lobby", "attributes": []}, "attributes"),
    ({"room": "lobby", "grants": {"roomAdmin": True}}, "grants"),
    ({"room": "lobby", "ttl": 10**9}, "ttl"),
    ([], "body"),
    (None, "body"),
    ("lobby", "body"),
)


@pytest.mark.parametrize(("body", "named"), WRONG, ids=lambda value: str(value)[:40])
async def test_wrong_body_names_what_is_wrong(connect: Connect, body: Any, named: str) -> None:
    async with connect() as client:
        error = check_error(await client.post(TOKEN, content=json.dumps(body), headers=JSON), 422, "invalid")
    assert named in error["message"]
    assert '{"room": "NAME"}' in error["hint"]


async def test_all_faults_are_reported_at_once(connect: Connect) -> None:
    async with connect() as client:
        error = check_error(await client.post(TOKEN, json={"room": "", "name": 5, "x": 1}), 422, "invalid")
    assert all(name in error["message"] for name in ("room", "name", "x"))


NOT_JSON = (
    b"",
    b"{",
    b"nonsense",
    b"\xff\xfe",
    b'{"room": }',
    b"[" * 60_000,
    b'{"a":' * 10_000,
    b"9" * 6000,
    b"\x00",
)


@pytest.mark.parametrize("body", NOT_JSON, ids=lambda body: repr(body[:15]))
async def test_body_that_is_not_json_is_refused(connect: Connect, body: bytes) -> None:
    async with connect() as client:
        check_error(await client.post(TOKEN, content=body, headers=JSON), 400, "bad-request")


@pytest.mark.parametrize("body", [b'{"room": "\\ud800"}', b'{"\\ud800": 1}', b'{"room": "a", "name": "\\ud800"}'])
async def test_text_that_is_no_text_is_refused(connect: Connect, body: bytes) -> None:
    async with connect() as client:
        check_error(await client.post(TOKEN, content=body, headers=JSON), 400, "bad-request")


async def test_number_that_is_none_is_refused(connect: Connect) -> None:
    async with connect() as client:
        check_error(await client.post(TOKEN, content=b'{"room": NaN}', headers=JSON), 422, "invalid")


@pytest.mark.parametrize("field", ["room", "identity", "name"])
@pytest.mark.parametrize("unseen", ["\0", "\r", "\n", "\x1b", "\u202e", "\u2066", "\u200b", "\u2028"], ids=ascii)
async def test_name_with_what_cannot_be_seen_is_refused(connect: Connect, field: str, unseen: str) -> None:
    body = {"room": "lobby", "identity": "ann", field: f"an{unseen}n"}
    async with connect() as client:
        error = check_error(await client.post(TOKEN, json=body), 422, "invalid")
    assert error["message"].startswith(f"{field}: has U+{ord(unseen):04X} ")
    assert unseen not in error["message"]


async def test_wrong_values_are_not_repeated(connect: Connect) -> None:
    """What a person typed into the wrong field may be a password."""
    async with connect() as client:
        answer = await client.post(TOKEN, json={"room": ["XYZXYZXYZ"], "identity": {"XYZXYZXYZ": 1}})
    assert "XYZ" not in answer.text


async def test_body_at_the_limit_is_read_and_one_byte_more_is_not(connect: Connect) -> None:
    frame = json.dumps({"room": "lobby", "metadata": ""})
    body = json.dumps({"room": "lobby", "metadata": "x" * (MAX_BODY_BYTES - len(frame))}).encode()
    assert len(body) == MAX_BODY_BYTES
    async with connect() as client:
        assert (await client.post(TOKEN, content=body, headers=JSON)).status_code == 200
        check_error(await client.post(TOKEN, content=body + b" ", headers=JSON), 413, "too-large")


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({str(number): 1 for number in range(5000)}, "the body has 5,000 fields"),
        ({"attributes": {str(number): 1 for number in range(5000)}}, "4,991 more"),
        ({"attributes": {str(number): 1 for number in range(3)}}, "room: missing; attributes.0: "),
        ({"room": "", "grants": {}}, "room: empty; grants: unknown"),
    ],
    ids=["fields", "values", "few", "plain"],
)
async def test_few_of_many_faults_are_told(connect: Connect, body: dict[str, Any], told: str) -> None:
    async with connect() as client:
        answer = await client.post(TOKEN, json=body)
    check_error(answer, 422, "invalid")
    assert told in answer.json()["error"]["message"]
    assert len(answer.content) < 1000


async def test_body_without_end_is_not_read_to_its_end(connect: Connect) -> None:
    sent = 0

    async def stream() -> AsyncIterator[bytes]:
        nonlocal sent
        while sent < 100 * MAX_BODY_BYTES:
            sent += 16 * 1024
            yield b" " * 16 * 1024

    async with connect() as client:
        check_error(await client.post(TOKEN, content=stream(), headers=JSON), 413, "too-large")


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH"])
async def test_token_is_for_post_alone(connect: Connect, method: str) -> None:
    async with connect() as client:
        check_error(await client.request(method, TOKEN), 405, "method-not-allowed")


async def test_unknown_address_has_the_one_shape(connect: Connect) -> None:
    async with connect() as client:
        check_error(await client.get("/api/nowhere"), 404, "not-found")
        check_error(await client.get("/.env"), 404, "not-found")


@pytest.mark.parametrize("damage", [None, b"", b"\xff", b"API: short"], ids=repr)
async def test_keys_that_are_gone_or_damaged_are_reported_in_the_one_shape(
    connect: Connect, config: ServeConfig, damage: bytes | None
) -> None:
    keys = Path(config.keys)
    if damage is None:
        keys.unlink()
    else:
        keys.write_bytes(damage)
    async with connect() as client:
        answer = await client.post(TOKEN, json={"room": "lobby"})
    check_error(answer, 503, "unavailable")
    assert config.keys not in answer.text, "no path of this machine for whoever asks"


async def test_new_keys_are_used_at_once(connect: Connect, config: ServeConfig) -> None:
    async with connect() as client:
        await client.post(TOKEN, json={"room": "lobby"})
        await anyio.lowlevel.checkpoint()  # a client comes in a later turn of the loop than the one before it
        Path(config.keys).write_text(dump_keys({"APInew": SECRET}))
        assert claims((await client.post(TOKEN, json={"room": "lobby"})).json()["token"])["iss"] == "APInew"


@pytest.mark.parametrize(("answer", "status"), [(b"200 OK", 200), (b"404 Not Found", 503), (b"500 x", 503)])
async def test_health_is_that_of_media(connect: Connect, config: ServeConfig, answer: bytes, status: int) -> None:
    async def serve(stream: anyio.abc.SocketStream) -> None:
        async with stream:
            await stream.receive()
            await stream.send(b"HTTP/1.1 %s\r\nconnection: close\r\ncontent-length: 0\r\n\r\n" % answer)

    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, serve)
        port = listener.extra(anyio.abc.SocketAttribute.local_port)
        async with connect(replace(config, media_url=f"http://127.0.0.1:{port}")) as client:
            health = await client.get("/api/health")
        tasks.cancel_scope.cancel()
    assert health.status_code == status
    assert set(health.json()) == {"status"}, "no findings for strangers"


async def test_health_of_media_that_is_gone_is_503(connect: Connect) -> None:
    async with connect() as client:
        answer = await client.get("/api/health")
    assert (answer.status_code, answer.json()) == (503, {"status": "unavailable"})


# --- a proxy that does not say that it is one


class Looks:
    """Instead of reading the system's tables."""

    def __init__(self, peer: Peer | Exception | None) -> None:
        self.peer, self.asked = peer, list[tuple[Any, Any]]()

    def __call__(self, ours: Any, theirs: Any) -> Peer | None:
        self.asked.append((ours, theirs))
        if isinstance(self.peer, Exception):
            raise self.peer
        return self.peer


@pytest.mark.parametrize(
    ("peer", "told"),
    [
        (Peer("root", False, 7, "nginx", ("0.0.0.0:80",)), True),
        (Peer("www-data", True), True),
        (Peer("me", False, 7, "python3"), False),
        (Peer("other", False), False),
        (None, False),
        (OSError("no /proc"), False),
        (ValueError("another table"), False),
    ],
    ids=repr,
)
async def test_asker_that_listens_for_others_is_kept_and_answered(
    connect: Connect, config: ServeConfig, monkeypatch: pytest.MonkeyPatch, peer: Any, told: bool
) -> None:
    looks = Looks(peer)
    monkeypatch.setattr(askers_module, "find_peer", looks)
    path = Path(config.keys).with_name("asker.json")
    async with connect(replace(config, askers=str(path))) as client:
        for _ in range(3):
            assert (await client.post(TOKEN, json={"room": "lobby"})).status_code == 200
        assert looks.asked == [(("127.0.0.1", 8080), ("127.0.0.1", 50000))], "not at each of many requests"
    assert path.exists() is told


async def test_clients_that_get_no_token_are_not_examined(
    connect: Connect, lan_config: ServeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = Looks(None)
    monkeypatch.setattr(askers_module, "find_peer", looks)
    async with connect(replace(lan_config, askers="/nowhere/asker.json")) as client:
        await client.post(TOKEN, json={"room": "lobby"})
        await client.get("/api/hub")
    assert looks.asked == []
