"""Signing in to the web application, sessions, bearer tokens, and what attackers try."""

import hashlib
import time
from base64 import b64decode, urlsafe_b64encode
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import jwt
import pytest
from msgspec import structs
from starlette.responses import JSONResponse, Response

from lkhub.service.contract import SESSION, SIGN_IN, SIGN_OUT
from lkhub.service.oidc import signing_in
from lkhub.service.oidc.callback import CALLBACK
from lkhub.service.oidc.fetch import Fetcher
from lkhub.service.oidc.signing_in import BEGINNINGS, LOGIN_SECONDS, SESSION_SECONDS
from lkhub.store.schema import logins, sessions
from lkhub.wire.application import Oidc
from lkhub.wire.serve_config import ServeConfig
from tests.kit.issuer import AUDIENCE, CLIENT, ISSUER, Issuer, make_key
from tests.service.conftest import ACCESS, SECRET, Applied, Connect, check_error
from tests.service.test_contract import check_body

pytestmark = pytest.mark.anyio

HUB = "https://rtc.example"
JOIN = "/join/lobby"
TOKEN = "/api/livekit/token"


@pytest.fixture
def config(applied: Applied, issuer: Issuer, monkeypatch: pytest.MonkeyPatch) -> ServeConfig:
    """A hub behind its edge, with the provider of `issuer`."""
    transport = httpx.ASGITransport(issuer.app())
    monkeypatch.setattr(signing_in, "Fetcher", lambda: Fetcher(transport))
    oidc = Oidc(ISSUER, CLIENT, "", AUDIENCE, "groups")
    made = applied.config("oidc", access=structs.replace(ACCESS, oidc=oidc, origins=("https://app.rtc.example",)))
    return replace(made, authorities=("rtc.example",))


@pytest.fixture
async def client(connect: Connect, config: ServeConfig) -> AsyncIterator[httpx.AsyncClient]:
    """A browser with cookies."""
    async with connect(config, HUB) as made:
        yield made


@pytest.fixture
async def provider_client(issuer: Issuer) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(issuer.app()), base_url=ISSUER) as made:
        yield made


async def begin(client: httpx.AsyncClient, path: str = JOIN) -> str:
    """The provider's page."""
    answer = await client.post(SIGN_IN.path, json={"path": path})
    assert answer.status_code == 200, answer.text
    return str(answer.json()["url"])


async def sign_in(client: httpx.AsyncClient, provider: httpx.AsyncClient, path: str = JOIN) -> httpx.Response:
    """As a browser does it: to the provider's page, and where that leads."""
    back = (await provider.get(await begin(client, path))).headers["location"]
    return await client.get(back)


async def is_signed_in(client: httpx.AsyncClient) -> bool:
    return bool((await client.get(SESSION.path)).json()["signed_in"])


def claims(answer: httpx.Response) -> dict[str, Any]:
    assert answer.status_code == 200, answer.text
    return jwt.decode(answer.json()["token"], SECRET.reveal(), algorithms=["HS256"])


async def test_person_signs_in_and_gets_a_token(client: httpx.AsyncClient, provider_client: httpx.AsyncClient) -> None:
    assert (await client.get("/api/hub")).json()["sign_in"] is True
    assert not await is_signed_in(client)
    check_error(await client.post(TOKEN, json={"room": "lobby"}), 401, "not-authenticated")
    answer = await sign_in(client, provider_client)
    assert (answer.status_code, answer.headers["location"]) == (303, JOIN)
    state = await client.get(SESSION.path)
    check_body(state, SESSION.answers)
    assert state.json() == {"signed_in": True, "name": "Ann"}
    token = claims(await client.post(TOKEN, json={"room": "lobby"}))
    assert (token["sub"], token["name"], token["video"]["room"]) == ("u-1", "Ann", "lobby")


async def test_provider_is_asked_by_the_book(client: httpx.AsyncClient, config: ServeConfig) -> None:
    answer = await client.post(SIGN_IN.path, json={"path": JOIN})
    check_body(answer, SIGN_IN.answers)
    url = urlsplit(answer.json()["url"])
    query = {name: value[0] for name, value in parse_qs(url.query).items()}
    assert url._replace(query="").geturl() == f"{ISSUER}/authorize"
    assert query["redirect_uri"] == f"{HUB}{CALLBACK}"
    assert (query["response_type"], query["client_id"]) == ("code", CLIENT)
    assert query["code_challenge_method"] == "S256"
    assert query["scope"] == "openid profile"
    assert len(query["state"]) == len(query["code_challenge"]) == 43
    assert len(query["nonce"]) >= 32
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith("__Host-lkhub-login-")
    assert {"Secure", "HttpOnly", "SameSite=Lax", "Path=/"} <= set(cookie.split("; "))
    assert "Domain" not in cookie


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
    assert row.id == hashlib.sha256(value.encode()).digest()
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


async def test_nobody_signs_in_over_a_network_without_tls(connect: Connect, config: ServeConfig) -> None:
    async with connect(config, "http://192.168.1.5:8080", "192.168.1.7") as client:
        assert (
            "https" in check_error(await client.post(SIGN_IN.path, json={"path": JOIN}), 403, "not-allowed")["message"]
        )


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


async def test_two_tabs_may_sign_in_at_the_same_time(
    client: httpx.AsyncClient, provider_client: httpx.AsyncClient
) -> None:
    first, second = await begin(client), await begin(client, "/join/other")
    for page, path in ((first, JOIN), (second, "/join/other")):
        answer = await client.get((await provider_client.get(page)).headers["location"])
        assert (answer.status_code, answer.headers["location"]) == (303, path)


async def test_same_person_is_the_same_participant(
    client: httpx.AsyncClient, provider_client: httpx.AsyncClient
) -> None:
    await sign_in(client, provider_client)
    tokens = [claims(await client.post(TOKEN, json={"room": "lobby", "name": name})) for name in ("Ann", "Ann U.")]
    assert [token["sub"] for token in tokens] == ["u-1", "u-1"]
    check_error(await client.post(TOKEN, json={"room": "lobby", "identity": "bob"}), 403, "not-allowed")


# --- roles


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


async def test_role_is_never_what_a_page_claims(client: httpx.AsyncClient, provider_client: httpx.AsyncClient) -> None:
    await sign_in(client, provider_client)
    check_error(await client.post(TOKEN, json={"room": "lobby", "role": "admin"}), 403, "not-allowed")


async def test_userinfo_of_another_person_is_refused(
    client: httpx.AsyncClient, provider_client: httpx.AsyncClient, issuer: Issuer
) -> None:
    issuer.replies["/userinfo"] = JSONResponse({"sub": "u-2", "groups": ["admin"]})
    answer = await sign_in(client, provider_client)
    assert answer.headers["location"] == f"{JOIN}?sign-in=failed"


async def test_scope_of_the_role_claim_is_asked_for_where_there_is_one(
    client: httpx.AsyncClient, issuer: Issuer
) -> None:
    issuer.metadata = {"scopes_supported": ["openid", "groups"]}
    assert parse_qs(urlsplit(await begin(client)).query)["scope"] == ["openid profile groups"]


# --- attacks on a sign-in


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


@pytest.mark.parametrize(
    "path",
    [
        "https://evil.example/",
        "//evil.example/join/x",
        "/join//evil.example",
        "/\\evil.example",
        "/join/\\evil",
        "/join/x/../../api/hub",
        "/join/x\r\nset-cookie: a=b",
        "/join/x?sign-in=ok",
        "/join/x#i=secret",
        "/join/",
        "/join",
        "/",
        "/api/sign-out",
        "javascript:alert(1)",
        "/join/ü",
        "/join/" + "x" * 2001,
        "",
    ],
    ids=ascii,
)
async def test_sign_in_leads_back_to_rooms_alone(client: httpx.AsyncClient, path: str) -> None:
    check_error(await client.post(SIGN_IN.path, json={"path": path}), 422, "invalid")


@pytest.mark.parametrize(
    "path", ["/join/lobby", "/join/the%20big%20room", "/join/a%2Fb", "/join/room(2)", "/join/%E2%80%AE"]
)
async def test_every_room_can_be_returned_to(client: httpx.AsyncClient, path: str) -> None:
    assert await begin(client, path)


@pytest.mark.parametrize("path", [SIGN_IN.path, SIGN_OUT.path])
@pytest.mark.parametrize("origin", ["https://evil.example", "null", "https://app.rtc.example"])
async def test_other_pages_sign_nobody_in_or_out(client: httpx.AsyncClient, path: str, origin: str) -> None:
    check_error(await client.post(path, json={"path": JOIN}, headers={"origin": origin}), 403, "not-allowed")
    check_error(await client.post(path, data={"path": JOIN}), 415, "wrong-content-type")
    assert (await client.get(path)).status_code == 405


async def test_session_is_for_the_hubs_own_pages(client: httpx.AsyncClient, provider_client: httpx.AsyncClient) -> None:
    """A listed page on another name of the same site is sent the cookie too; it has to prove itself otherwise."""
    await sign_in(client, provider_client)
    listed = {"origin": "https://app.rtc.example"}
    check_error(await client.post(TOKEN, json={"room": "lobby"}, headers=listed), 401, "not-authenticated")
    own = await client.post(TOKEN, json={"room": "lobby"}, headers={"origin": HUB})
    assert own.status_code == 200


async def test_sign_ins_of_one_address_are_few(client: httpx.AsyncClient) -> None:
    for _ in range(BEGINNINGS.times):
        await begin(client)
    limited = await client.post(SIGN_IN.path, json={"path": JOIN})
    check_error(limited, 429, "too-many-requests")
    assert int(limited.headers["retry-after"]) > 0


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


async def test_answer_of_another_issuer_is_refused(
    client: httpx.AsyncClient, provider_client: httpx.AsyncClient, issuer: Issuer
) -> None:
    """Mix-up (RFC 9207)."""
    link = (await provider_client.get(await begin(client))).headers["location"]
    answer = await client.get(link.replace("iss=https%3A%2F%2Fid.example", "iss=https%3A%2F%2Fevil.example"))
    assert answer.headers["location"] == f"{JOIN}?sign-in=failed"
    assert "/token" not in issuer.asked


async def test_person_who_is_refused_by_the_provider_comes_back(
    client: httpx.AsyncClient, provider_client: httpx.AsyncClient, issuer: Issuer
) -> None:
    issuer.denies = True
    answer = await sign_in(client, provider_client)
    assert answer.headers["location"] == f"{JOIN}?sign-in=denied"


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
async def test_secret_of_the_client_goes_as_the_provider_wants_it(
    connect: Connect,
    config: ServeConfig,
    provider_client: httpx.AsyncClient,
    issuer: Issuer,
    tmp_path: Path,
    method: str,
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("s e:c\n")
    access = config.application.access
    oidc = Oidc(ISSUER, CLIENT, str(secret), AUDIENCE, "")
    application = structs.replace(config.application, access=structs.replace(access, oidc=oidc))
    issuer.metadata = {"token_endpoint_auth_methods_supported": [method]}
    async with connect(replace(config, application=application), HUB) as client:
        assert (await sign_in(client, provider_client)).headers["location"] == JOIN
    (login, form) = issuer.logins[0]
    if method == "client_secret_basic":
        assert b64decode(login.removeprefix("Basic ")).decode() == "lkhub:s+e%3Ac"
        assert "client_secret" not in form
    else:
        assert (login, form["client_secret"]) == ("", "s e:c")


# --- a provider that is not well


DOWN = {
    "down": JSONResponse({}, 503),
    "rubbish": Response("<html>maintenance"),
    "another issuer": JSONResponse({"issuer": "https://evil.example"}),
}


@pytest.mark.parametrize("reply", DOWN.values(), ids=DOWN)
async def test_provider_that_is_not_well_is_503_and_recovers(
    client: httpx.AsyncClient, provider_client: httpx.AsyncClient, issuer: Issuer, reply: Response
) -> None:
    issuer.replies["/.well-known/openid-configuration"] = reply
    for _ in range(BEGINNINGS.times + 1):  # nobody is locked out by having tried
        answer = await client.post(SIGN_IN.path, json={"path": JOIN})
    check_error(answer, 503, "unavailable")
    assert "OpenID provider" in answer.json()["error"]["message"]
    assert answer.headers["retry-after"] == "5"


@pytest.mark.parametrize("path", ["/token", "/jwks", "/userinfo"])
async def test_provider_that_fails_on_the_way_leads_back_to_the_room(
    client: httpx.AsyncClient, provider_client: httpx.AsyncClient, issuer: Issuer, path: str
) -> None:
    issuer.replies[path] = Response("<html>", 502)
    answer = await sign_in(client, provider_client)
    assert answer.headers["location"] == f"{JOIN}?sign-in=unavailable"
    issuer.replies.clear()
    assert not await is_signed_in(client)


async def test_who_is_signed_in_stays_so_while_the_provider_is_down(
    client: httpx.AsyncClient, provider_client: httpx.AsyncClient, issuer: Issuer
) -> None:
    await sign_in(client, provider_client)
    for path in ("/.well-known/openid-configuration", "/jwks", "/token"):
        issuer.replies[path] = JSONResponse({}, 500)
    assert claims(await client.post(TOKEN, json={"room": "lobby"}))["sub"] == "u-1"


async def test_store_that_is_gone_is_503(
    client: httpx.AsyncClient, provider_client: httpx.AsyncClient, tmp_path: Path
) -> None:
    await sign_in(client, provider_client)
    (tmp_path / "store.db").rename(tmp_path / "elsewhere.db")
    check_error(await client.get(SESSION.path), 503, "unavailable")


# --- bearer tokens of applications


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


async def test_application_gets_tokens_with_an_access_token(client: httpx.AsyncClient, issuer: Issuer) -> None:
    token = issuer.sign(groups=["admin"], name="Ann")
    answer = claims(await client.post(TOKEN, json={"room": "lobby"}, headers=bearer(token)))
    assert (answer["sub"], answer["name"], answer["video"]["roomAdmin"]) == ("u-1", "Ann", True)


async def test_listed_page_of_another_origin_may_send_one(client: httpx.AsyncClient, issuer: Issuer) -> None:
    headers = {**bearer(issuer.sign()), "origin": "https://app.rtc.example"}
    assert (await client.post(TOKEN, json={"room": "lobby"}, headers=headers)).status_code == 200


async def test_audit_log_names_the_subject_and_has_no_token(
    client: httpx.AsyncClient, issuer: Issuer, applied: Applied
) -> None:
    token = issuer.sign()
    await client.post(TOKEN, json={"room": "lobby"}, headers=bearer(token))
    (entry,) = applied.issued()
    assert (entry.caller, entry.identity) == ("oidc u-1", "u-1")
    assert token not in repr(entry)


async def test_token_that_does_not_count_is_401_and_says_why(client: httpx.AsyncClient, issuer: Issuer) -> None:
    for token, why in (
        (issuer.sign(exp=1), "expired"),
        (issuer.sign(aud=CLIENT), "audience"),
        (Issuer(keys=[make_key("first")]).sign(), "signature"),
        (urlsafe_b64encode(b'{"alg":"none"}').decode() + ".e30.", "algorithm"),
        ("a.b.c", "not a token"),
    ):
        answer = await client.post(TOKEN, json={"room": "lobby"}, headers=bearer(token))
        error = check_error(answer, 401, "not-authenticated")
        assert why in error["message"]
        assert answer.headers["www-authenticate"] == 'Bearer error="invalid_token"'
        assert token not in answer.text


async def test_wrong_token_is_not_mended_by_a_session(
    client: httpx.AsyncClient, provider_client: httpx.AsyncClient
) -> None:
    await sign_in(client, provider_client)
    check_error(await client.post(TOKEN, json={"room": "lobby"}, headers=bearer("a.b.c")), 401, "not-authenticated")


async def test_tokens_that_can_not_be_judged_are_503(client: httpx.AsyncClient, issuer: Issuer) -> None:
    issuer.replies["/.well-known/openid-configuration"] = JSONResponse({}, 500)
    answer = await client.post(TOKEN, json={"room": "lobby"}, headers=bearer(issuer.sign()))
    check_error(answer, 503, "unavailable")
    assert answer.headers["retry-after"] == "5"


async def test_person_with_a_hosts_role_invites(
    client: httpx.AsyncClient, provider_client: httpx.AsyncClient, issuer: Issuer
) -> None:
    await sign_in(client, provider_client)
    check_error(await client.post("/api/invites", json={"room": "lobby"}), 403, "not-allowed")
    issuer.user = {**issuer.user, "groups": ["admin"]}
    await sign_in(client, provider_client)
    made = await client.post("/api/invites", json={"room": "lobby"})
    assert made.json()["link"].startswith("https://rtc.example/join/lobby#i=")
