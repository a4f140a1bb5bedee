"""Who a person is in a room after signing in, and in which role."""

import httpx
import pytest
from starlette.responses import JSONResponse

from tests.kit.issuer import Issuer
from tests.service.conftest import check_error
from tests.service.oidc.kit import JOIN, TOKEN, claims, sign_in

pytestmark = pytest.mark.anyio


async def test_same_person_is_the_same_participant(
    client: httpx.AsyncClient, provider_client: httpx.AsyncClient
) -> None:
    await sign_in(client, provider_client)
    tokens = [claims(await client.post(TOKEN, json={"room": "lobby", "name": name})) for name in ("Ann", "Ann U.")]
    assert [token["sub"] for token in tokens] == ["u-1", "u-1"]
    check_error(await client.post(TOKEN, json={"room": "lobby", "identity": "bob"}), 403, "not-allowed")


@pytest.mark.parametrize("where", ["id-token", "userinfo"])
async def test_role_comes_from_the_provider(
    client: httpx.AsyncClient, provider_client: httpx.AsyncClient, issuer: Issuer, where: str
) -> None:
    if where == "id-token":
        issuer.in_id_token = {"groups": ["staff", "admin"], "name": "Ann"}
    else:
        issuer.user = {**issuer.user, "groups": ["admin"]}
    await sign_in(client, provider_client)
    assert claims(await client.post(TOKEN, json={"room": "lobby"}))["video"]["roomAdmin"] is True


async def test_what_the_provider_signed_goes_before_what_it_answers(
    client: httpx.AsyncClient, provider_client: httpx.AsyncClient, issuer: Issuer
) -> None:
    issuer.in_id_token = {"groups": ["participant"]}
    issuer.user = {**issuer.user, "groups": ["admin"]}
    await sign_in(client, provider_client)
    assert "roomAdmin" not in claims(await client.post(TOKEN, json={"room": "lobby"}))["video"]


async def test_role_is_never_what_a_page_claims(client: httpx.AsyncClient, provider_client: httpx.AsyncClient) -> None:
    await sign_in(client, provider_client)
    check_error(await client.post(TOKEN, json={"room": "lobby", "role": "admin"}), 403, "not-allowed")


async def test_userinfo_of_another_person_is_refused(
    client: httpx.AsyncClient, provider_client: httpx.AsyncClient, issuer: Issuer
) -> None:
    issuer.replies["/userinfo"] = JSONResponse({"sub": "u-2", "groups": ["admin"]})
    answer = await sign_in(client, provider_client)
    assert answer.headers["location"] == f"{JOIN}?sign-in=failed"


async def test_person_with_a_hosts_role_invites(
    client: httpx.AsyncClient, provider_client: httpx.AsyncClient, issuer: Issuer
) -> None:
    await sign_in(client, provider_client)
    check_error(await client.post("/api/invites", json={"room": "lobby"}), 403, "not-allowed")
    issuer.user = {**issuer.user, "groups": ["admin"]}
    await sign_in(client, provider_client)
    made = await client.post("/api/invites", json={"room": "lobby"})
    assert made.json()["link"].startswith("https://rtc.example/join/lobby#i=")
    assert made.json()["role"] == "participant", "those who come are no hosts, unless the host says so"
    made = await client.post("/api/invites", json={"room": "lobby", "role": "admin"})
    assert made.json()["role"] == "admin"
