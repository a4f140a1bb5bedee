"""Sessions of those who signed in, and their cookies."""

import hashlib
import time
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from msgspec import structs

from lkhub.service.contract import SESSION, SIGN_OUT
from lkhub.service.oidc.signing_in import SESSION_SECONDS
from lkhub.store.schema import sessions
from lkhub.wire.serve_config import ServeConfig
from tests.kit.issuer import ISSUER
from tests.service.conftest import Applied, Connect, check_error
from tests.service.oidc.kit import HUB, TOKEN, is_signed_in, sign_in
from tests.service.test_contract import check_body

pytestmark = pytest.mark.anyio


async def test_session_cookie_is_for_this_host_alone(
    client: httpx.AsyncClient, provider_client: httpx.AsyncClient, applied: Applied
) -> None:
    cookies = (await sign_in(client, provider_client)).headers.get_list("set-cookie")
    gone, session = cookies
    assert "Max-Age=0" in gone, "the sign-in's own cookie goes"
    assert session.startswith("__Host-lkhub-session=")
    parts = {"Secure", "HttpOnly", "SameSite=Strict", "Path=/", f"Max-Age={SESSION_SECONDS}"}
    assert parts <= set(session.split("; "))
    value = session.partition("=")[2].partition(";")[0]
    with applied.store.reading() as connection:
        (row,) = connection.execute(sessions.select()).all()
    assert row.id == hashlib.sha256(f"{ISSUER} {value}".encode()).digest()
    assert value not in repr(row)


async def test_hub_on_loopback_without_tls_has_cookies_without_the_prefix(
    connect: Connect, config: ServeConfig, provider_client: httpx.AsyncClient
) -> None:
    """Browsers keep `__Host-` cookies for https alone."""
    async with connect(config, "http://127.0.0.1:8080") as client:
        answer = await sign_in(client, provider_client)
        assert answer.headers.get_list("set-cookie")[1].startswith("lkhub-session=")
        assert "Secure" not in answer.headers["set-cookie"]
        assert await is_signed_in(client)


async def test_person_signs_out(
    client: httpx.AsyncClient, provider_client: httpx.AsyncClient, applied: Applied
) -> None:
    await sign_in(client, provider_client)
    stolen = dict(client.cookies)
    answer = await client.post(SIGN_OUT.path, json={})
    check_body(answer, SIGN_OUT.answers)
    assert not await is_signed_in(client)
    assert not client.cookies
    client.cookies.update(stolen)
    assert not await is_signed_in(client), "the session has ended, not its cookie alone"


async def test_session_expires(client: httpx.AsyncClient, provider_client: httpx.AsyncClient, applied: Applied) -> None:
    await sign_in(client, provider_client)
    with applied.store.writing() as connection:
        connection.execute(sessions.update().values(expires=time.time() - 1))
    assert not await is_signed_in(client)
    check_error(await client.post(TOKEN, json={"room": "lobby"}), 401, "not-authenticated")


async def test_session_outlives_the_service(
    connect: Connect, config: ServeConfig, client: httpx.AsyncClient, provider_client: httpx.AsyncClient
) -> None:
    await sign_in(client, provider_client)
    async with connect(config, HUB, cookies=client.cookies) as later:
        assert await is_signed_in(later)


async def test_session_ends_with_the_provider_that_vouched_for_it(
    connect: Connect, config: ServeConfig, client: httpx.AsyncClient, provider_client: httpx.AsyncClient
) -> None:
    """Another person may have the same subject at another provider, and its roles are not those of this one."""
    await sign_in(client, provider_client)
    access = config.application.access
    assert access.oidc
    other = structs.replace(access.oidc, issuer="https://other.example")
    application = structs.replace(config.application, access=structs.replace(access, oidc=other))
    async with connect(replace(config, application=application), HUB, cookies=client.cookies) as later:
        assert not await is_signed_in(later)
        check_error(await later.post(TOKEN, json={"room": "lobby"}), 401, "not-authenticated")


async def test_session_is_for_the_hubs_own_pages(client: httpx.AsyncClient, provider_client: httpx.AsyncClient) -> None:
    """A listed page on another name of the same site is sent the cookie too; it has to prove itself otherwise."""
    await sign_in(client, provider_client)
    listed = {"origin": "https://app.rtc.example"}
    check_error(await client.post(TOKEN, json={"room": "lobby"}, headers=listed), 401, "not-authenticated")
    own = await client.post(TOKEN, json={"room": "lobby"}, headers={"origin": HUB})
    assert own.status_code == 200


async def test_store_that_is_gone_is_503(
    client: httpx.AsyncClient, provider_client: httpx.AsyncClient, tmp_path: Path
) -> None:
    await sign_in(client, provider_client)
    (tmp_path / "store.db").rename(tmp_path / "elsewhere.db")
    check_error(await client.get(SESSION.path), 503, "unavailable")
