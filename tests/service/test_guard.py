"""A foreign page, a name that was rebound to 127.0.0.1, a proxy in front: none of them gets a token."""

from urllib.parse import urljoin

import pytest

from lkhub.service.guard import FORWARDING_HEADERS, _stay_here
from lkhub.wire.serve_config import ServeConfig
from tests.service.conftest import LAN, Connect, check_error

pytestmark = pytest.mark.anyio

TOKEN = "/api/livekit/token"
PATHS = ("/", "/join/lobby", "/api/hub", "/api/health", "/assets/x.js", "/nowhere")


@pytest.mark.parametrize("host", ["127.0.0.1:8080", "localhost:8080", "LOCALHOST:8080", "[::1]:8080"])
async def test_hub_answers_to_its_own_names(connect: Connect, host: str) -> None:
    async with connect() as client:
        assert (await client.get("/api/hub", headers={"host": host})).status_code == 200


FOREIGN_HOSTS = (
    *("evil.example", "evil.example:8080", "127.0.0.1", "127.0.0.1:80", "127.0.0.1:8081", "localhost.:8080", ""),
    *("localhost:8080.evil.example", "evil.example@127.0.0.1:8080", "127.0.0.1:8080@evil.example", "127.1:8080"),
    *("0.0.0.0:8080", "[::]:8080", "2130706433:8080", "127.0.0.1:08080", "127.0.0.1:8080 ", "192.168.1.5:8080"),
)


@pytest.mark.parametrize("host", FOREIGN_HOSTS)
@pytest.mark.parametrize("path", PATHS)
async def test_name_that_is_not_the_hubs_gets_421_everywhere(connect: Connect, host: str, path: str) -> None:
    async with connect() as client:
        error = check_error(await client.get(path, headers={"host": host}), 421, "wrong-host")
    assert "lkhub status" in error["hint"]


async def test_rebound_name_gets_no_token(connect: Connect) -> None:
    """The page of evil.example, whose name now points to 127.0.0.1, is same-origin to itself."""
    headers = {"host": "evil.example:8080", "origin": "http://evil.example:8080"}
    async with connect() as client:
        check_error(await client.post(TOKEN, json={"room": "lobby"}, headers=headers), 421, "wrong-host")


async def test_port_80_may_be_left_out(connect: Connect, config: ServeConfig) -> None:
    async with connect(ServeConfig(**{**vars(config), "port": 80}), url="http://127.0.0.1:80") as client:
        for host in ("127.0.0.1", "127.0.0.1:80"):
            assert (await client.get("/api/hub", headers={"host": host})).status_code == 200


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("host", ["127.0.0.1:8080", "evil.example"])
async def test_every_answer_has_the_security_headers(connect: Connect, path: str, host: str) -> None:
    async with connect() as client:
        headers = (await client.get(path, headers={"host": host})).headers
    assert "default-src 'self'" in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert "access-control-allow-origin" not in headers


FOREIGN_ORIGINS = (
    *("http://evil.example", "http://evil.example:8080", "null", "", "http://127.0.0.1", "http://127.0.0.1:8081"),
    *("http://127.0.0.1:8080.evil.example", "http://127.0.0.1:8080@evil.example", "http://evil.example/127.0.0.1:8080"),
    *(
        "file://127.0.0.1:8080",
        "http://[",
        "127.0.0.1:8080",
        "http://localhost:8080",
        "chrome-extension://127.0.0.1:8080",
    ),
    "http://127.0.0.1:8080 http://evil.example",
)


@pytest.mark.parametrize("origin", FOREIGN_ORIGINS)
async def test_page_of_another_origin_gets_no_token(connect: Connect, origin: str) -> None:
    async with connect() as client:
        answer = await client.post(TOKEN, json={"room": "lobby"}, headers={"origin": origin})
    check_error(answer, 403, "not-allowed")


@pytest.mark.parametrize("origin", ["http://127.0.0.1:8080", "HTTP://127.0.0.1:8080", None])
async def test_hubs_own_page_and_a_program_get_a_token(connect: Connect, origin: str | None) -> None:
    headers = {"origin": origin} if origin else {}
    async with connect() as client:
        assert (await client.post(TOKEN, json={"room": "lobby"}, headers=headers)).status_code == 200


SIMPLE_TYPES = (
    "text/plain",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x",
    "",
    "application/jsonp",
)


@pytest.mark.parametrize("content_type", [*SIMPLE_TYPES, "text/plain; application/json", "text/json", "*/*"])
async def test_body_that_a_foreign_page_may_send_unasked_is_refused(connect: Connect, content_type: str) -> None:
    async with connect() as client:
        answer = await client.post(TOKEN, content=b'{"room": "lobby"}', headers={"content-type": content_type})
    check_error(answer, 415, "wrong-content-type")


async def test_body_without_a_type_is_refused(connect: Connect) -> None:
    async with connect() as client:
        check_error(await client.post(TOKEN, content=b'{"room": "lobby"}'), 415, "wrong-content-type")


@pytest.mark.parametrize("content_type", ["application/json", "Application/JSON; charset=utf-8", "application/json ;x"])
async def test_json_may_have_parameters(connect: Connect, content_type: str) -> None:
    async with connect() as client:
        answer = await client.post(TOKEN, content=b'{"room": "lobby"}', headers={"content-type": content_type})
    assert answer.status_code == 200


async def test_preflight_of_a_foreign_page_is_not_allowed(connect: Connect) -> None:
    headers = {"origin": "http://evil.example", "access-control-request-method": "POST"}
    async with connect() as client:
        answer = await client.options(TOKEN, headers=headers)
    assert answer.status_code >= 400
    assert not [name for name in answer.headers if name.startswith("access-control")]


PROXIES = (
    *FORWARDING_HEADERS,
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-forwarded-port",
    "X-FORWARDED-FOR",
)


@pytest.mark.parametrize("header", [*PROXIES, "via", "forwarded", "x-real-ip", "cf-connecting-ip"])
async def test_what_came_through_a_proxy_is_not_local(connect: Connect, header: str) -> None:
    async with connect() as client:
        answer = await client.post(TOKEN, json={"room": "lobby"}, headers={header: "127.0.0.1"})
        check_error(answer, 403, "not-allowed")
        assert (await client.get("/api/hub", headers={header: "127.0.0.1"})).json()["tokens"] == "link"


async def test_request_from_another_machine_is_not_local(connect: Connect, config: ServeConfig) -> None:
    async with connect(come_from="192.168.1.77") as client:
        check_error(await client.post(TOKEN, json={"room": "lobby"}), 403, "not-allowed")


async def test_request_to_another_listener_is_not_local(connect: Connect, config: ServeConfig) -> None:
    """This machine's own LAN address arrives with a client address that says nothing."""
    both = ServeConfig(**{**vars(config), "bind": ["192.168.1.5", "127.0.0.1"], "hosts": ["192.168.1.5", "127.0.0.1"]})
    for come_from in ("127.0.0.1", "192.168.1.5"):
        async with connect(both, url=LAN, come_from=come_from) as client:
            check_error(await client.post(TOKEN, json={"room": "lobby"}), 403, "not-allowed")
            assert (await client.get("/api/hub")).json()["tokens"] == "link"


async def test_ipv6_loopback_is_local(connect: Connect) -> None:
    async with connect(url="http://[::1]:8080", come_from="::1") as client:
        assert (await client.post(TOKEN, json={"room": "lobby"})).status_code == 200
        assert (await client.get("/api/hub")).json()["tokens"] == "open"


async def test_lan_hub_gives_out_no_tokens(connect: Connect, lan_config: ServeConfig) -> None:
    async with connect(lan_config) as here, connect(lan_config, url=LAN, come_from="192.168.1.77") as there:
        for client in (here, there):
            error = check_error(await client.post(TOKEN, json={"room": "lobby"}), 403, "not-allowed")
            assert "lkhub token --link" in error["hint"]
            assert "`access: {modes: [api-keys]}`" in error["hint"], "what the author of an application needs"
            assert (await client.get("/api/hub")).json()["tokens"] == "link"


@pytest.mark.parametrize("path", ["/trust/", "/api/hub/", "/assets", "/api/health/?a=b"])
@pytest.mark.parametrize("host", ["rtc.example.com", "RTC.example.com", "127.0.0.1:8080"])
async def test_redirect_stays_where_the_browser_is(connect: Connect, config: ServeConfig, path: str, host: str) -> None:
    """An edge or a proxy asks the service without TLS also for a browser that came with it."""
    behind_edge = ServeConfig(**{**vars(config), "authorities": ["rtc.example.com"]})
    async with connect(behind_edge) as client:
        answer = await client.get(path, headers={"host": host})
        assert answer.status_code == 307
        target = answer.headers["location"]
        assert target.startswith("/")
        assert target.partition("?")[0].strip("/") == path.partition("?")[0].strip("/")
        assert (await client.get(target, headers={"host": host})).status_code != 307


@pytest.mark.parametrize(
    "location", [b"https://other.example/x", b"http://rtc.example.com.other.example/", b"/trust?a=b", b""]
)
def test_redirect_that_names_another_host_or_none_stays_as_it_is(location: bytes) -> None:
    assert _stay_here(location, "rtc.example.com") == location


@pytest.mark.parametrize("path", ["//evil.example/", "//evil.example/trust/", "/\\evil.example/", "///trust/"])
async def test_redirect_leads_to_no_other_host(connect: Connect, path: str) -> None:
    async with connect() as client:
        answer = await client.get(f"http://127.0.0.1:8080{path}")
    target = answer.headers.get("location", "/")
    assert urljoin("https://rtc.example.com/", target).startswith("https://rtc.example.com/")
