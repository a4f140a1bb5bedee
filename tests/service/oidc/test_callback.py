"""What attackers and broken providers send back to a sign-in."""

from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from lkhub.service.oidc.callback import CALLBACK
from lkhub.service.oidc.signing_in import LOGIN_SECONDS
from lkhub.store.schema import logins
from lkhub.wire.serve_config import ServeConfig
from tests.kit.issuer import CLIENT, ISSUER, Issuer
from tests.service.conftest import Applied, Connect, check_error
from tests.service.oidc.kit import HUB, JOIN, begin, is_signed_in, sign_in

pytestmark = pytest.mark.anyio


async def test_callback_is_replayed_in_vain(client: httpx.AsyncClient, provider_client: httpx.AsyncClient) -> None:
    page = await begin(client)
    cookies = dict(client.cookies)
    back = (await provider_client.get(page)).headers["location"]
    assert (await client.get(back)).status_code == 303
    client.cookies.clear()
    client.cookies.update(cookies)
    check_error(await client.get(back), 400, "bad-request")
    assert not await is_signed_in(client)


async def test_code_of_another_sign_in_is_refused(
    client: httpx.AsyncClient, provider_client: httpx.AsyncClient
) -> None:
    """PKCE: the code belongs to the verifier of the sign-in that asked for it."""
    stolen = parse_qs(urlsplit((await provider_client.get(await begin(client))).headers["location"]).query)["code"][0]
    own = parse_qs(urlsplit(await begin(client)).query)["state"][0]
    answer = await client.get(CALLBACK, params={"code": stolen, "state": own, "iss": ISSUER})
    assert answer.headers["location"] == f"{JOIN}?sign-in=failed"
    assert not await is_signed_in(client)


async def test_attacker_signs_nobody_in_as_itself(
    connect: Connect, config: ServeConfig, client: httpx.AsyncClient, provider_client: httpx.AsyncClient
) -> None:
    """Login CSRF: a link with the attacker's state and code, opened by somebody else."""
    link = (await provider_client.get(await begin(client))).headers["location"]
    async with connect(config, HUB) as victim:
        check_error(await victim.get(link), 400, "bad-request")
        await begin(victim)
        check_error(await victim.get(link), 400, "bad-request")
        assert not await is_signed_in(victim)
    assert (await client.get(link)).status_code == 303, "and the attacker's own sign-in is not used up by that"


async def test_cookie_that_an_attacker_chose_fits_no_state(
    client: httpx.AsyncClient, provider_client: httpx.AsyncClient
) -> None:
    link = (await provider_client.get(await begin(client))).headers["location"]
    name = next(iter(client.cookies))
    for value in ("", "x", parse_qs(urlsplit(link).query)["state"][0]):
        client.cookies.clear()
        client.cookies.set(name, value, domain="rtc.example")
        check_error(await client.get(link), 400, "bad-request")


@pytest.mark.parametrize("odd", ["%C3%A9", "%ED%A0%80", "%FF"])
async def test_state_that_no_hub_makes_fits_no_cookie(client: httpx.AsyncClient, odd: str) -> None:
    cookie = {"cookie": "__Host-lkhub-login-12345678=x"}
    check_error(await client.get(f"{CALLBACK}?state=12345678{odd}&code=x", headers=cookie), 400, "bad-request")


@pytest.mark.parametrize(
    "query", ["", "state=", "state=x", "code=x", "state=x&state=y", "state=%00", "state=%F0%9F%A4%A1"]
)
async def test_callback_without_a_sign_in_is_refused(client: httpx.AsyncClient, query: str) -> None:
    await begin(client)
    check_error(await client.get(f"{CALLBACK}?{query}"), 400, "bad-request")


async def test_person_sees_a_page_that_says_what_to_do(client: httpx.AsyncClient) -> None:
    answer = await client.get(f"{CALLBACK}?state=x", headers={"accept": "text/html"})
    assert answer.status_code == 400
    assert "This sign-in is over" in answer.text
    assert "open the room" in answer.text.lower()


async def test_sign_in_that_takes_too_long_is_over(
    client: httpx.AsyncClient, provider_client: httpx.AsyncClient, applied: Applied
) -> None:
    link = (await provider_client.get(await begin(client))).headers["location"]
    with applied.store.writing() as connection:
        connection.execute(logins.update().values(expires=logins.c.expires - LOGIN_SECONDS))
    check_error(await client.get(link), 400, "bad-request")


ID_TOKENS: dict[str, dict[str, Any]] = {
    "another nonce": {"nonce": "replayed"},
    "no nonce": {"nonce": None},
    "another audience": {"aud": "other-client"},
    "expired": {"exp": 1},
    "another issuer": {"iss": "https://evil.example"},
    "several audiences": {"aud": [CLIENT, "other"]},
    "issued to another client": {"azp": "other"},
    "no subject": {"sub": None},
}


@pytest.mark.parametrize("change", ID_TOKENS.values(), ids=ID_TOKENS)
async def test_id_token_that_does_not_count_signs_nobody_in(
    client: httpx.AsyncClient, provider_client: httpx.AsyncClient, issuer: Issuer, change: dict[str, Any]
) -> None:
    issuer.in_id_token = change
    answer = await sign_in(client, provider_client)
    assert answer.headers["location"] == f"{JOIN}?sign-in=failed"
    assert not await is_signed_in(client)


@pytest.mark.parametrize(
    ("named", "other"), [(False, "&iss=https%3A%2F%2Fevil.example"), (True, "")], ids=["named", "not-named"]
)
async def test_answer_of_another_issuer_is_refused(
    client: httpx.AsyncClient, provider_client: httpx.AsyncClient, issuer: Issuer, named: bool, other: str
) -> None:
    """Mix-up (RFC 9207). An answer without a name is another's too, where the provider names itself in each."""
    issuer.metadata["authorization_response_iss_parameter_supported"] = named
    link = (await provider_client.get(await begin(client))).headers["location"]
    assert "&iss=https%3A%2F%2Fid.example" in link
    answer = await client.get(link.replace("&iss=https%3A%2F%2Fid.example", other))
    assert answer.headers["location"] == f"{JOIN}?sign-in=failed"
    assert "/token" not in issuer.asked
