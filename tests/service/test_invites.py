"""Invites over HTTP: taking one, and what strangers try."""

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import httpx
import jwt
import pytest
from msgspec import structs

from lkhub.service import storage
from lkhub.service.contract import INVITE, REDEEM
from lkhub.service.invites import WRONG_SECRETS
from lkhub.store.invites import create_invite, list_invites, revoke_invite
from lkhub.store.store import Store
from lkhub.wire.application import Application, Limits, Rate, RoomPreset
from lkhub.wire.application import Store as StoreSettings
from lkhub.wire.serve_config import ServeConfig
from tests.service.conftest import LAN, SECRET, Applied, Connect, check_error
from tests.service.test_contract import check_body
from tests.waiting import until

pytestmark = pytest.mark.anyio

TAB = "tab-of-a-browser-1"


def add(store: Store, room: str = "lobby", role: str = "participant", **more: Any) -> str:
    given = {"uses": None, "creator": "test", "now": time.time(), "expires": None, **more}
    with store.writing() as connection:
        return create_invite(connection, room=room, role=role, **given)[1].reveal()


@pytest.fixture
def config(applied: Applied) -> ServeConfig:
    return applied.config("api-keys")


@pytest.fixture
async def client(connect: Connect, config: ServeConfig) -> Any:
    async with connect(config, LAN, "192.168.1.7") as made:
        yield made


async def take(client: httpx.AsyncClient, secret: str, tab: str = TAB, **more: Any) -> httpx.Response:
    body = {"secret": secret, "room": "lobby", "tab": tab, **more}
    return await client.post(REDEEM.path, json=body)


def claims(answer: httpx.Response) -> dict[str, Any]:
    assert answer.status_code == 200, answer.text
    return jwt.decode(answer.json()["token"], SECRET.reveal(), algorithms=["HS256"])


async def test_invite_gives_a_token_of_its_room_and_role(client: httpx.AsyncClient, applied: Applied) -> None:
    answer = await take(client, add(applied.store), name="Ann Ü.")
    check_body(answer, REDEEM.answers)
    assert answer.headers["cache-control"] == "no-store"
    token = claims(answer)
    assert (token["video"]["room"], token["name"], token["sub"]) == ("lobby", "Ann Ü.", answer.json()["identity"])
    assert "roomAdmin" not in token["video"]
    assert answer.json()["url"] == "ws://127.0.0.1:7880"


async def test_role_is_the_invites(client: httpx.AsyncClient, applied: Applied) -> None:
    assert claims(await take(client, add(applied.store, role="admin")))["video"]["roomAdmin"] is True


async def test_role_that_the_spec_has_no_more_gives_nothing(client: httpx.AsyncClient, applied: Applied) -> None:
    check_error(await take(client, add(applied.store, role="gone", uses=1)), 403, "not-allowed")


async def test_reload_is_the_same_person_and_no_other_use(client: httpx.AsyncClient, applied: Applied) -> None:
    secret = add(applied.store, uses=1)
    first, again = await take(client, secret), await take(client, secret)
    assert first.json()["identity"] == again.json()["identity"]
    other = await take(client, secret, "tab-of-a-browser-2")
    assert check_error(other, 403, "invite-used")["hint"]


async def test_two_tabs_are_two_people(client: httpx.AsyncClient, applied: Applied) -> None:
    secret = add(applied.store)
    first, other = await take(client, secret), await take(client, secret, "tab-of-a-browser-2")
    assert first.json()["identity"] != other.json()["identity"]


async def test_what_has_ended_says_so(client: httpx.AsyncClient, applied: Applied) -> None:
    check_error(await take(client, add(applied.store, expires=time.time() - 1)), 403, "invite-expired")
    secret = add(applied.store)
    with applied.store.writing() as connection:
        revoke_invite(connection, list_invites(connection)[0].id, time.time())
    check_error(await take(client, secret), 403, "invite-revoked")


async def test_secret_of_another_room_is_no_invite(client: httpx.AsyncClient, applied: Applied) -> None:
    secret = add(applied.store, "vault")
    check_error(await take(client, secret), 404, "invite-unknown")


async def test_use_that_leads_into_no_room_is_given_back(connect: Connect, applied: Applied) -> None:
    secret = add(applied.store, uses=1)
    closed = RoomPreset("*", None, "reject", None, None, "", (), ("admin",))
    async with connect(applied.config("api-keys", rooms=(closed,)), LAN, "192.168.1.7") as client:
        check_error(await take(client, secret), 403, "not-allowed")
    async with connect(applied.config("api-keys"), LAN, "192.168.1.7") as client:
        assert (await take(client, secret, "tab-of-a-browser-2")).status_code == 200


async def test_use_of_who_was_let_in_is_not_given_back(connect: Connect, applied: Applied) -> None:
    """A page that is loaded anew may be refused, and its invite is still used up: it would let another person in."""
    secret = add(applied.store, uses=1)
    closed = RoomPreset("*", None, "reject", None, None, "", (), ("admin",))
    async with connect(applied.config("api-keys"), LAN, "192.168.1.7") as client:
        assert (await take(client, secret)).status_code == 200
    async with connect(applied.config("api-keys", rooms=(closed,)), LAN, "192.168.1.7") as client:
        check_error(await take(client, secret), 403, "not-allowed")
    async with connect(applied.config("api-keys"), LAN, "192.168.1.7") as client:
        check_error(await take(client, secret, "tab-of-a-browser-2"), 403, "invite-used")
        assert (await take(client, secret)).status_code == 200


async def test_use_is_not_given_back_while_the_same_tab_gets_in(
    connect: Connect, config: ServeConfig, applied: Applied
) -> None:
    """A tab may ask from two addresses at once, one of which has asked too often. With each new tab it would let in
    another person."""
    everyone, secret = add(applied.store), add(applied.store, uses=1)
    access = structs.replace(config.application.access, limits=Limits(None, Rate(1, 60), None))
    application = structs.replace(config.application, access=access)
    config = replace(config, authorities=("rtc.example.com",), application=application)
    async with connect(config, "https://rtc.example.com", "127.0.0.1") as client:

        async def come(invite: str, tab: str, address: str) -> httpx.Response:
            body = {"secret": invite, "room": "lobby", "tab": tab}
            return await client.post(REDEEM.path, json=body, headers={"x-forwarded-for": address})

        found: dict[str, int] = {}

        async def note(address: str) -> None:
            found[address] = (await come(secret, TAB, address)).status_code

        assert (await come(everyone, TAB, "203.0.113.1")).status_code == 200
        async with anyio.create_task_group() as tasks:
            for address in ("203.0.113.1", "203.0.113.2"):
                tasks.start_soon(note, address)
        assert found == {"203.0.113.1": 429, "203.0.113.2": 200}
        check_error(await come(secret, "tab-of-a-browser-2", "203.0.113.3"), 403, "invite-used")


async def test_uses_are_exact_with_a_hundred_at_once(client: httpx.AsyncClient, applied: Applied) -> None:
    secret = add(applied.store, uses=7)
    found: list[int] = []

    async def one(number: int) -> None:
        while (answer := await take(client, secret, f"tab-of-a-browser-{number}")).status_code == 429:
            await anyio.sleep(0.01)
        found.append(answer.status_code)

    async with anyio.create_task_group() as tasks:
        for number in range(100):
            tasks.start_soon(one, number)
    assert (found.count(200), found.count(403)) == (7, 93)


async def test_what_was_taken_is_in_the_audit_log(client: httpx.AsyncClient, applied: Applied) -> None:
    secret = add(applied.store)
    answer = await take(client, secret)
    (entry,) = applied.issued()
    with applied.store.reading() as connection:
        (invite,) = list_invites(connection)
    assert (entry.caller, entry.identity, entry.room) == (f"invite {invite.id}", answer.json()["identity"], "lobby")
    assert secret not in repr(entry)


# --- strangers


async def test_guesses_of_one_address_are_few(client: httpx.AsyncClient, applied: Applied) -> None:
    secret = add(applied.store)
    for number in range(WRONG_SECRETS.times):
        check_error(await take(client, f"wrong{number}"), 404, "invite-unknown")
    limited = await take(client, "wrong")
    check_error(limited, 429, "too-many-requests")
    assert 0 < int(limited.headers["retry-after"]) <= 60
    check_error(await take(client, secret), 429, "too-many-requests")


async def test_other_addresses_are_not_in_the_way(connect: Connect, config: ServeConfig, applied: Applied) -> None:
    """One service: the limit is of its process."""
    secret = add(applied.store)
    config = replace(config, authorities=("rtc.example.com",))
    async with connect(config, "https://rtc.example.com", "127.0.0.1") as client:
        for _ in range(WRONG_SECRETS.times + 1):
            await client.post(
                REDEEM.path,
                json={"secret": "wrong", "room": "lobby", "tab": TAB},
                headers={"x-forwarded-for": "2001:db8:0:1::5"},
            )
        answers = [
            await client.post(
                REDEEM.path, json={"secret": secret, "room": "lobby", "tab": TAB}, headers={"x-forwarded-for": address}
            )
            for address in ("2001:db8:0:1::6", "2001:db8:0:2::5", "203.0.113.9")
        ]
    assert [answer.status_code for answer in answers] == [429, 200, 200], "an IPv6 network counts as one address"
    assert answers[1].json()["url"] == "wss://rtc.example.com"


async def test_guesses_at_once_are_as_few(client: httpx.AsyncClient) -> None:
    found: list[int] = []

    async def guess(tab: int) -> None:  # one of a tab's requests waits for the other
        found.append((await take(client, "wrong", f"tab-of-a-browser-{tab}")).status_code)

    async with anyio.create_task_group() as tasks:
        for tab in range(200):
            tasks.start_soon(guess, tab)
    assert found.count(404) == WRONG_SECRETS.times
    assert found.count(429) == 200 - WRONG_SECRETS.times


@pytest.mark.parametrize(
    "change",
    [
        {"secret": ""},
        {"secret": "x" * 65},
        {"secret": None},
        {"tab": "short"},
        {"tab": "x" * 65},
        {"room": ""},
        {"room": "a\u202eb"},
        {"name": "a\nb"},
        {"role": "admin"},
        {"identity": "ann"},
        {"uses": 99},
    ],
    ids=str,
)
async def test_request_of_another_shape_is_refused(
    client: httpx.AsyncClient, applied: Applied, change: dict[str, Any]
) -> None:
    secret = add(applied.store, uses=1)
    body = {"secret": secret, "room": "lobby", "tab": TAB, **change}
    check_error(await client.post(REDEEM.path, json=body), 422, "invalid")
    assert (await take(client, secret)).status_code == 200, "and uses nothing up"


@pytest.mark.parametrize("path", [REDEEM.path, INVITE.path])
async def test_page_of_another_site_takes_and_makes_none(
    client: httpx.AsyncClient, applied: Applied, path: str
) -> None:
    body = {"secret": add(applied.store), "room": "lobby", "tab": TAB} if path == REDEEM.path else {"room": "lobby"}
    foreign = await client.post(path, json=body, headers={"origin": "https://evil.example"})
    check_error(foreign, 403, "not-allowed")
    check_error(await client.post(path, data=body), 415, "wrong-content-type")


# --- a hub that keeps nothing


@pytest.fixture
def plain(lan_config: ServeConfig, tmp_path: Path) -> ServeConfig:
    """A hub with none of the modes."""
    return replace(lan_config, application=Application(store=StoreSettings(f"sqlite:///{tmp_path}/late.db")))


@pytest.fixture
def late(plain: ServeConfig) -> Iterator[Store]:
    store = Store(plain.application.store.url)
    yield store
    store.close()


async def test_hub_with_none_of_the_modes_takes_invites_too(connect: Connect, plain: ServeConfig, late: Store) -> None:
    async with connect(plain, LAN, "192.168.1.7") as client:
        assert claims(await take(client, add(late)))["video"]["room"] == "lobby"
        check_error(await take(client, "wrong"), 404, "invite-unknown")


async def test_guesses_are_few_at_a_hub_with_none_of_the_modes(
    connect: Connect, plain: ServeConfig, late: Store
) -> None:
    async with connect(plain, LAN, "192.168.1.7") as client:
        for number in range(WRONG_SECRETS.times):
            check_error(await take(client, f"wrong{number}"), 404, "invite-unknown")
        check_error(await take(client, "wrong"), 429, "too-many-requests")
        check_error(await take(client, add(late)), 429, "too-many-requests")


async def test_hub_without_a_store_opens_none_for_a_stranger(
    connect: Connect, plain: ServeConfig, tmp_path: Path
) -> None:
    async with connect(plain, LAN, "192.168.1.7") as client:
        check_error(await take(client, "wrong"), 404, "invite-unknown")
        check_error(await client.post(INVITE.path, json={"room": "lobby"}), 403, "not-allowed")
    assert not (tmp_path / "late.db").exists()


async def test_invite_that_is_made_while_the_hub_runs_works(
    connect: Connect, plain: ServeConfig, request: pytest.FixtureRequest
) -> None:
    async with connect(plain, LAN, "192.168.1.7") as client:
        check_error(await take(client, "wrong"), 404, "invite-unknown")
        store: Store = request.getfixturevalue("late")
        assert (await take(client, add(store))).status_code == 200


async def test_store_that_is_damaged_is_503(connect: Connect, plain: ServeConfig, tmp_path: Path) -> None:
    (tmp_path / "late.db").write_bytes(b"no database" * 1000)
    async with connect(plain, LAN, "192.168.1.7") as client:
        check_error(await take(client, "x" * 16), 503, "unavailable")


async def test_late_store_whose_index_was_removed_is_opened_anew(
    connect: Connect, plain: ServeConfig, late: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`lkhub invite` waits for the service to close it, and would fail for as long as nobody comes with an invite."""
    monkeypatch.setattr(storage, "WATCH_SECONDS", 0.05)
    late.close()
    index = Path(f"{plain.application.store.url.removeprefix('sqlite:///')}-shm")
    async with connect(plain, LAN, "192.168.1.7") as client:
        check_error(await take(client, "wrong"), 404, "invite-unknown")
        index.unlink()
        await until(index.exists)
