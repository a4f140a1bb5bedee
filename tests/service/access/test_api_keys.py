"""Callers with an API key: which of them are let in, and from when to when."""

import hmac
import time
from collections.abc import AsyncIterator
from typing import Any

import anyio
import httpx
import jwt
import pytest
from starlette.requests import Request

from lkhub.service.access import api_keys as mode_module
from lkhub.service.access.api_keys import WRONG_KEYS, ApiKeyMode
from lkhub.store.api_keys import PREFIX, ApiKey, list_api_keys
from tests.service.conftest import LAN, SECRET, Applied, Connect, check_error

pytestmark = pytest.mark.anyio

TOKEN = "/api/livekit/token"
ROOM = {"room": "lobby", "identity": "ann"}


@pytest.fixture
async def client(connect: Connect, applied: Applied) -> AsyncIterator[httpx.AsyncClient]:
    """A stranger's client of a hub with API keys."""
    async with connect(applied.config("api-keys"), url=LAN, come_from="192.168.1.77") as made:
        yield made


async def ask(client: httpx.AsyncClient, bearer: str, **body: Any) -> httpx.Response:
    return await client.post(TOKEN, json=ROOM | body, headers={"authorization": bearer})


async def test_key_gets_a_token(client: httpx.AsyncClient, applied: Applied) -> None:
    identifier, bearer = applied.create_key("participant", "admin")
    answer = await ask(client, bearer, role="admin")
    assert answer.status_code == 200
    token = jwt.decode(answer.json()["token"], SECRET.reveal(), algorithms=["HS256"])
    assert token["video"]["roomAdmin"] is True
    entry = applied.issued()[0]
    assert (entry.caller, entry.identity, entry.room) == (f"api-key {identifier}", "ann", "lobby")
    assert (entry.role, entry.address) == ("admin", "192.168.1.77")


async def test_log_has_neither_token_nor_key(client: httpx.AsyncClient, applied: Applied) -> None:
    _, bearer = applied.create_key("participant")
    token = (await ask(client, bearer)).json()["token"]
    with applied.store.reading() as connection:
        dump = "\n".join(connection.connection.iterdump())
    assert "lobby" in dump
    assert token not in dump
    assert bearer.split("_", 2)[2] not in dump


async def test_request_without_a_key_is_told_what_to_send(client: httpx.AsyncClient) -> None:
    answer = await client.post(TOKEN, json=ROOM)
    error = check_error(answer, 401, "not-authenticated")
    assert answer.headers["www-authenticate"] == "Bearer"
    assert "Authorization: Bearer" in error["hint"]


WRONG = (
    *("Bearer lkhub_", "Bearer lkhub_a_b", "Bearer nonsense", "Basic lkhub_a_b", "lkhub_a_b", "Bearer", ""),
    *("Bearer lkhub_\xff_x", "Bearer lkhub_a_" + "x" * 4000),
)


@pytest.mark.parametrize("header", WRONG, ids=lambda header: ascii(header)[:30])
async def test_what_is_not_a_key(client: httpx.AsyncClient, header: str) -> None:
    answer = await client.post(TOKEN, json=ROOM, headers={b"authorization": header.encode("latin-1")})
    check_error(answer, 401, "not-authenticated")
    assert answer.headers["www-authenticate"] == "Bearer"


async def test_key_with_one_character_changed_is_wrong(client: httpx.AsyncClient, applied: Applied) -> None:
    _, bearer = applied.create_key()
    for wrong in (bearer[:-1] + ("a" if bearer[-1] != "a" else "b"), bearer + "x", bearer[:-1], bearer.upper()):
        check_error(await ask(client, wrong), 401, "not-authenticated")
    assert (await ask(client, bearer)).status_code == 200


async def test_scheme_may_have_any_case(client: httpx.AsyncClient, applied: Applied) -> None:
    _, bearer = applied.create_key()
    assert (await ask(client, bearer.replace("Bearer ", "bEARER  "))).status_code == 200


async def test_key_that_was_made_after_the_start_works_at_once(client: httpx.AsyncClient, applied: Applied) -> None:
    for _ in range(3):
        _, bearer = applied.create_key()
        assert (await ask(client, bearer)).status_code == 200


async def test_revoked_key_gets_nothing_more_from_the_next_request_on(
    client: httpx.AsyncClient, applied: Applied, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mode_module, "FRESH_SECONDS", 3600.0)  # what the service has read says that the key is good
    identifier, bearer = applied.create_key()
    assert (await ask(client, bearer)).status_code == 200
    applied.revoke(identifier)
    error = check_error(await ask(client, bearer), 401, "not-authenticated")
    assert "revoked" in error["message"]
    assert error["hint"]
    assert len(applied.issued()) == 1


async def test_revoked_key_is_refused_also_where_no_token_is_given(
    client: httpx.AsyncClient, applied: Applied, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An open stream of events asks in the same way: it would be told for ever what happens in the rooms."""
    monkeypatch.setattr(mode_module, "FRESH_SECONDS", 0.0)
    identifier, bearer = applied.create_key()
    headers = {"authorization": bearer, "last-event-id": "none"}
    check_error(await client.get("/api/events", headers=headers), 400, "bad-request")
    applied.revoke(identifier)
    error = check_error(await client.get("/api/events", headers=headers), 401, "not-authenticated")
    assert "revoked" in error["message"]


async def test_key_ends_when_it_says(
    client: httpx.AsyncClient, applied: Applied, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, bearer = applied.create_key(ttl=60)
    assert (await ask(client, bearer)).status_code == 200
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 61)
    error = check_error(await ask(client, bearer), 401, "not-authenticated")
    assert "ended on" in error["message"]


async def test_key_is_for_its_rooms_and_roles(client: httpx.AsyncClient, applied: Applied) -> None:
    _, bearer = applied.create_key("speaker", rooms=["voice-*", "hall"])
    assert (await ask(client, bearer, room="voice-1")).status_code == 200
    check_error(await ask(client, bearer, room="lobby"), 403, "not-allowed")
    check_error(await ask(client, bearer, room="hall"), 403, "not-allowed")  # the role does not lead there
    check_error(await ask(client, bearer, room="voice-1", role="admin"), 403, "not-allowed")
    check_error(await ask(client, bearer, room="voice-1", role="boss"), 422, "invalid")


async def test_key_without_roles_has_the_default_role(client: httpx.AsyncClient, applied: Applied) -> None:
    _, bearer = applied.create_key()
    assert (await ask(client, bearer)).status_code == 200
    check_error(await ask(client, bearer, role="admin"), 403, "not-allowed")
    assert applied.issued()[0].role == "participant"


async def test_application_vouches_for_its_users(client: httpx.AsyncClient, applied: Applied) -> None:
    _, bearer = applied.create_key()
    for identity in ("Kx", "kX", "kx", "\u212ax", " Kx"):
        answer = await ask(client, bearer, identity=identity)
        assert answer.json()["identity"] == identity, "byte for byte"


async def test_same_user_gets_a_token_as_often_as_it_asks(client: httpx.AsyncClient, applied: Applied) -> None:
    _, bearer = applied.create_key()
    answers = [(await ask(client, bearer)).json() for _ in range(30)]
    assert {(answer["room"], answer["identity"]) for answer in answers} == {("lobby", "ann")}


async def test_wrong_keys_are_limited_by_address_and_right_ones_work_on(
    connect: Connect, applied: Applied, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = applied.config("api-keys")
    _, bearer = applied.create_key()
    reads = 0

    def count(connection: Any) -> Any:
        nonlocal reads
        reads += 1
        return list_api_keys(connection)

    monkeypatch.setattr(mode_module, "list_api_keys", count)
    monkeypatch.setattr(mode_module, "READ_AGAIN_SECONDS", 0.0)
    transport = connect(config, url=LAN, come_from="192.168.1.77")._transport
    elsewhere = connect(config, url=LAN, come_from="192.168.1.78")
    async with httpx.AsyncClient(transport=transport, base_url=LAN) as client, elsewhere:
        assert (await ask(client, bearer)).status_code == 200
        for number in range(WRONG_KEYS.times):
            check_error(await ask(client, f"Bearer {PREFIX}{number}_x"), 401, "not-authenticated")
        before = reads
        for number in range(10):
            answer = await ask(client, f"Bearer {PREFIX}{number}_x")
            check_error(answer, 429, "too-many-requests")
            assert 1 <= int(answer.headers["retry-after"]) <= WRONG_KEYS.seconds
        assert reads - before <= 1, "the store is not asked for each of them"
        assert (await ask(client, bearer)).status_code == 200
        check_error(await ask(elsewhere, f"Bearer {PREFIX}1_x"), 401, "not-authenticated")


async def test_many_wrong_keys_at_once_share_a_look_into_the_store(
    client: httpx.AsyncClient, applied: Applied, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads = 0

    def count(connection: Any) -> Any:
        nonlocal reads
        reads += 1
        return list_api_keys(connection)

    monkeypatch.setattr(mode_module, "list_api_keys", count)
    async with anyio.create_task_group() as tasks:
        for number in range(15):
            tasks.start_soon(ask, client, f"Bearer {PREFIX}{number}_x")
    assert reads <= 3


async def test_keys_are_compared_in_constant_time(
    client: httpx.AsyncClient, applied: Applied, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the function made for it, and on digests: what a wrong key has in common with a right one takes no effect. A
    key that does not exist is compared too."""
    compared: list[tuple[bytes, bytes]] = []
    real = hmac.compare_digest

    def watch(first: bytes, second: bytes) -> bool:
        compared.append((first, second))
        return real(first, second)

    monkeypatch.setattr(hmac, "compare_digest", watch)
    _, bearer = applied.create_key()
    for given in (bearer, bearer[:-1], f"Bearer {PREFIX}none_x"):
        compared.clear()
        await ask(client, given)
        assert compared
        assert {len(part) for pair in compared for part in pair} == {32}


async def test_hub_with_keys_and_open_tokens_takes_both(connect: Connect, applied: Applied) -> None:
    _, bearer = applied.create_key("admin")
    async with connect(applied.config("api-keys", "open"), url=LAN, come_from="192.168.1.77") as client:
        assert (await client.post(TOKEN, json=ROOM)).status_code == 200
        assert (await ask(client, bearer)).status_code == 200
        check_error(await ask(client, bearer + "x"), 401, "not-authenticated")
    assert [entry.role for entry in applied.issued()] == ["admin", "participant"]


class SlowStorage:
    """A store whose answer takes until `ready`."""

    def __init__(self, keys: list[ApiKey]) -> None:
        self.keys, self.reads = keys, 0
        self.asked, self.ready = anyio.Event(), anyio.Event()

    async def read(self, _: Any) -> list[ApiKey]:
        self.reads += 1
        self.asked.set()
        await self.ready.wait()
        return self.keys


async def test_requests_that_come_while_the_keys_are_read_wait_for_no_second_look(
    applied: Applied, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mode_module, "READ_AGAIN_SECONDS", 3600.0)
    _, bearer = applied.create_key()
    with applied.store.reading() as connection:
        storage = SlowStorage(list_api_keys(connection))
    mode = ApiKeyMode(applied.config("api-keys"), storage)  # type: ignore[arg-type]
    request = Request({"type": "http", "headers": [(b"authorization", bearer.encode())], "client": ("::1", 1)})
    with anyio.fail_after(30):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(mode.identify, request)
            await storage.asked.wait()
            for _ in range(5):
                tasks.start_soon(mode.identify, request)
            await anyio.wait_all_tasks_blocked()
            storage.ready.set()
    assert storage.reads == 1
