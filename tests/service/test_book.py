"""How often tokens are given away, to identities that look like whose, and what is noted."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from msgspec import structs

from lkhub.service import book as book_module
from lkhub.service.access import api_keys
from lkhub.service.rooms.opening import Opening
from lkhub.wire.application import Limits, Rate
from lkhub.wire.serve_config import ServeConfig
from tests.service.conftest import ACCESS, LAN, LOCAL, Applied, Connect, check_error
from tests.service.rooms.kit import preset

pytestmark = pytest.mark.anyio

TOKEN = "/api/livekit/token"


class Asks:
    """Clients of one service, which counts them together."""

    def __init__(self, connect: Connect, config: ServeConfig) -> None:
        self._app = connect(config)._transport.app  # type: ignore[attr-defined]

    @asynccontextmanager
    async def client(self, address: str, bearer: str = "", url: str = LAN) -> AsyncIterator[httpx.AsyncClient]:
        headers = {"authorization": bearer} if bearer else {}
        transport = httpx.ASGITransport(self._app, raise_app_exceptions=False, client=(address, 50000))
        async with httpx.AsyncClient(transport=transport, base_url=url, headers=headers) as made:
            yield made

    async def ask(self, address: str, bearer: str = "", url: str = LAN, **body: Any) -> httpx.Response:
        async with self.client(address, bearer, url) as client:
            return await client.post(TOKEN, json={"room": "lobby"} | body)


def limited(applied: Applied, *modes: str, **limits: Rate) -> ServeConfig:
    return applied.config(*modes, access=structs.replace(ACCESS, limits=Limits(**limits)))


async def test_key_is_limited_wherever_it_comes_from(connect: Connect, applied: Applied) -> None:
    _, bearer = applied.create_key()
    _, other = applied.create_key()
    asks = Asks(connect, limited(applied, "api-keys", caller=Rate(3, 3600)))
    for number in range(3):
        assert (await asks.ask(f"192.168.1.{number}", bearer)).status_code == 200
    answer = await asks.ask("192.168.1.9", bearer)
    error = check_error(answer, 429, "too-many-requests")
    assert "this caller" in error["message"]
    assert 3590 < int(answer.headers["retry-after"]) <= 3600
    assert (await asks.ask("192.168.1.9", other)).status_code == 200
    assert len(applied.issued()) == 4


async def test_strangers_are_limited_by_address_and_keys_are_not(connect: Connect, applied: Applied) -> None:
    _, bearer = applied.create_key()
    asks = Asks(connect, limited(applied, "api-keys", "open", address=Rate(2, 3600)))
    for _ in range(2):
        assert (await asks.ask("2001:db8::1")).status_code == 200
    check_error(await asks.ask("2001:db8::2"), 429, "too-many-requests")
    assert (await asks.ask("2001:db8:0:1::1")).status_code == 200
    assert (await asks.ask("2001:db8::1", bearer)).status_code == 200


async def test_room_is_limited_for_all_callers_together(connect: Connect, applied: Applied) -> None:
    _, bearer = applied.create_key()
    asks = Asks(connect, limited(applied, "api-keys", "open", room=Rate(2, 3600)))
    assert (await asks.ask("192.168.1.7")).status_code == 200
    assert (await asks.ask("192.168.1.8", bearer)).status_code == 200
    check_error(await asks.ask("192.168.1.9", bearer), 429, "too-many-requests")
    assert (await asks.ask("192.168.1.9", bearer, room="hall")).status_code == 200


async def test_request_that_one_limit_refuses_does_not_use_the_others_up(connect: Connect, applied: Applied) -> None:
    _, bearer = applied.create_key()
    asks = Asks(connect, limited(applied, "api-keys", caller=Rate(2, 3600), room=Rate(1, 3600)))
    assert (await asks.ask("192.168.1.7", bearer)).status_code == 200
    check_error(await asks.ask("192.168.1.7", bearer), 429, "too-many-requests")
    assert (await asks.ask("192.168.1.7", bearer, room="hall")).status_code == 200


async def test_request_that_is_not_allowed_uses_no_limit_up(connect: Connect, applied: Applied) -> None:
    _, bearer = applied.create_key()
    asks = Asks(connect, limited(applied, "api-keys", caller=Rate(1, 3600)))
    check_error(await asks.ask("192.168.1.7", bearer, role="admin"), 403, "not-allowed")
    assert (await asks.ask("192.168.1.7", bearer)).status_code == 200


async def test_programs_of_this_machine_are_not_limited_by_address(connect: Connect, applied: Applied) -> None:
    config = replace(limited(applied, "open", address=Rate(1, 3600)), reach="local", open_tokens=True)
    asks = Asks(connect, config)
    for _ in range(3):
        assert (await asks.ask("127.0.0.1", url=LOCAL)).status_code == 200


async def test_stranger_gets_no_identity_that_looks_like_anothers(connect: Connect, applied: Applied) -> None:
    _, bearer = applied.create_key()
    asks = Asks(connect, applied.config("api-keys", "open"))
    assert (await asks.ask("192.168.1.7", identity="paypal")).status_code == 200
    for identity in ("paypaI", "PayPal", "\u0440\u0430\u0443\u0440\u0430l", "ｐａｙｐａｌ", " paypal"):
        answer = await asks.ask("192.168.1.8", identity=identity)
        error = check_error(answer, 409, "identity-taken")
        assert identity not in error["message"]
        assert (await asks.ask("192.168.1.8", identity=identity, room="hall")).status_code == (
            200 if identity == "paypaI" else 409
        )
        assert (await asks.ask("192.168.1.8", bearer, identity=identity)).status_code == 200
    assert (await asks.ask("192.168.1.9", identity="someone")).status_code == 200


async def test_stranger_that_reloads_its_page_is_the_same_person(connect: Connect, applied: Applied) -> None:
    asks = Asks(connect, applied.config("open"))
    for _ in range(20):
        assert (await asks.ask("192.168.1.7", identity="ann")).json()["identity"] == "ann"


async def test_stranger_does_not_get_the_identity_of_an_applications_user(connect: Connect, applied: Applied) -> None:
    _, bearer = applied.create_key()
    asks = Asks(connect, applied.config("api-keys", "open"))
    assert (await asks.ask("192.168.1.7", bearer, identity="kX")).status_code == 200
    check_error(await asks.ask("192.168.1.8", identity="kX"), 409, "identity-taken")
    check_error(await asks.ask("192.168.1.8", identity="Kx"), 409, "identity-taken")
    assert (await asks.ask("192.168.1.7", bearer, identity="Kx")).status_code == 200


async def test_what_is_old_is_forgotten_while_tokens_are_given_away(
    connect: Connect, applied: Applied, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(book_module, "_FORGOTTEN_EVERY_SECONDS", 0.0)
    asks = Asks(connect, applied.config("open"))
    await asks.ask("192.168.1.7", identity="old")
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + book_module.KEPT_SECONDS + 1)
    await asks.ask("192.168.1.7", identity="new")
    assert [entry.identity for entry in applied.issued()] == ["new"]


async def test_what_is_old_is_looked_for_once_an_hour(
    connect: Connect, applied: Applied, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is a transaction of its own, which a token waits for."""
    hours, looked = [0.0], []
    clock = SimpleNamespace(time=time.time, monotonic=lambda: hours[0] * 3600)
    monkeypatch.setattr(book_module, "time", clock)
    monkeypatch.setattr(book_module, "forget_issued", lambda *_: looked.append(hours[0]))
    asks = Asks(connect, applied.config("open"))
    for hour in (0.5, 1.0, 1.0, 1.5, 1.99, 2.0, 2.5):
        hours[0] = hour
        assert (await asks.ask("192.168.1.7")).status_code == 200
    assert looked == [1.0, 2.0]


async def test_token_and_its_seat_are_noted_together(connect: Connect, applied: Applied) -> None:
    _, bearer = applied.create_key()
    rooms = (preset("voice-*", capacity=2), preset("hall", capacity=1, overflow="reject"))
    asks = Asks(connect, applied.config("api-keys", rooms=rooms))

    async def take(room: str, identity: str) -> httpx.Response:
        return await asks.ask("192.168.1.7", bearer, room=room, identity=identity)

    answers = [await take("voice-1", each) for each in ("ann", "bob", "cat", "ann")]
    rooms_given = ["voice-1", "voice-1", "voice-1(2)", "voice-1"]
    assert [answer.json()["room"] for answer in answers] == rooms_given
    assert [entry.room for entry in reversed(applied.issued())] == rooms_given
    assert (await take("hall", "ann")).status_code == 200
    full = await take("hall", "bob")
    assert "full" in check_error(full, 409, "room-full")["message"]
    assert 0 < int(full.headers["retry-after"]) <= 60
    assert len(applied.issued()) == 5, "a token that was refused is not noted"


async def test_revoked_key_is_given_no_token_though_there_is_a_seat(
    connect: Connect, applied: Applied, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api_keys, "FRESH_SECONDS", 3600.0)
    identifier, bearer = applied.create_key()
    asks = Asks(connect, applied.config("api-keys", rooms=(preset(capacity=2),)))
    assert (await asks.ask("192.168.1.7", bearer, identity="ann")).status_code == 200
    applied.revoke(identifier)
    check_error(await asks.ask("192.168.1.7", bearer, identity="bob"), 401, "not-authenticated")
    assert [entry.identity for entry in applied.issued()] == ["ann"]


async def test_look_alike_is_refused_in_a_sub_room_too(connect: Connect, applied: Applied) -> None:
    asks = Asks(connect, applied.config("open", rooms=(preset("voice-*", capacity=1),)))
    assert (await asks.ask("192.168.1.7", room="voice-1", identity="paypal")).status_code == 200
    answer = await asks.ask("192.168.1.8", room="voice-1(2)", identity="paypaI")
    check_error(answer, 409, "identity-taken")


async def test_identity_that_is_refused_takes_no_seat(connect: Connect, applied: Applied) -> None:
    asks = Asks(connect, applied.config("open", rooms=(preset("voice-*", capacity=2),)))
    for who, identity in enumerate(("ann", "bob", "carl")):
        assert (await asks.ask(f"192.168.1.{who}", room="voice-1", identity=identity)).status_code == 200
    for identity in ("Ann", "ANN", "B0b"):
        check_error(await asks.ask("192.168.1.9", room="voice-1(2)", identity=identity), 409, "identity-taken")
    answer = await asks.ask("192.168.1.9", room="voice-1", identity="dave")
    assert answer.json()["room"] == "voice-1(2)", "one seat of it is free"


async def test_room_of_a_seat_is_opened_once_the_seat_is_noted(
    connect: Connect, applied: Applied, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[tuple[str, int]] = []

    async def prepare(_: Opening, room: str) -> None:
        opened.append((room, len(applied.issued())))

    monkeypatch.setattr(Opening, "prepare", prepare)
    _, bearer = applied.create_key()
    access = structs.replace(ACCESS, create="operator")
    asks = Asks(connect, applied.config("api-keys", "open", access=access, rooms=(preset("voice-*", capacity=1),)))
    for identity in ("ann", "bob"):
        assert (await asks.ask("192.168.1.7", bearer, room="voice-1", identity=identity)).status_code == 200
    check_error(await asks.ask("192.168.1.8", room="voice-1", identity="AnN"), 409, "identity-taken")
    assert opened == [("voice-1", 1), ("voice-1(2)", 2)]
