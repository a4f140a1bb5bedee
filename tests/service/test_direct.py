"""Token requests of programs, which are answered before Starlette's middleware."""

from collections.abc import MutableMapping
from dataclasses import replace
from typing import Any

import httpx
import pytest
from msgspec import structs
from starlette.datastructures import Headers

from lkhub.service import app as app_module
from lkhub.service.app import build_app
from lkhub.service.contract import ADDRESSES
from lkhub.service.direct import IndexedHeaders, Service
from lkhub.wire.serve_config import ServeConfig
from tests.service.conftest import LOCAL, Connect, check_error

pytestmark = pytest.mark.anyio

PATHS = ("/api/livekit/token", "/api/token-source")
PAGE = "https://app.example.com"


@pytest.fixture
def through_middleware(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The paths of the requests that Starlette's middleware was asked for."""
    asked: list[str] = []

    class Watched(Service):
        def build_middleware_stack(self):  # type: ignore[no-untyped-def]
            stack = super().build_middleware_stack()

            async def watch(scope, receive, send):  # type: ignore[no-untyped-def]
                asked.append(scope["path"])
                await stack(scope, receive, send)

            return watch

    monkeypatch.setattr(app_module, "Service", Watched)
    return asked


async def ask(client: httpx.AsyncClient, path: str, **headers: str) -> httpx.Response:
    return await client.post(path, json={"room" if path == PATHS[0] else "room_name": "lobby"}, headers=headers)


@pytest.mark.parametrize("path", PATHS)
async def test_program_is_answered_as_a_page_is(connect: Connect, path: str, through_middleware: list[str]) -> None:
    async with connect() as client:
        direct, paged = await ask(client, path), await ask(client, path, origin=LOCAL)
    assert through_middleware == [path], "the page's alone"
    assert direct.status_code == paged.status_code in (200, 201)
    assert direct.json().keys() == paged.json().keys()
    assert direct.headers["x-content-type-options"] == "nosniff"
    assert direct.headers["cache-control"] == paged.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("path", PATHS)
async def test_refusals_are_those_of_the_long_way(connect: Connect, config: ServeConfig, path: str) -> None:
    async with connect() as client:
        for content, kind in ((b"{", "application/json"), (b"{}", "text/plain"), (b'{"x": 1}', "application/json")):
            answers = [
                await client.post(path, content=content, headers={"content-type": kind, **more})
                for more in ({}, {"origin": LOCAL})
            ]
            assert answers[0].status_code >= 400
            assert answers[0].status_code == answers[1].status_code
            assert answers[0].json() == answers[1].json()
        check_error(await client.get(path), 405, "method-not-allowed")
        for host in ("other.example", "127.0.0.1:1"):
            check_error(await ask(client, path, host=host), 421, "wrong-host")


async def test_two_hosts_are_refused(connect: Connect) -> None:
    async with connect() as client:
        request = client.build_request("POST", PATHS[0], json={"room": "lobby"})
        request.headers = httpx.Headers([*request.headers.raw, (b"Host", b"other.example")])
        check_error(await client.send(request), 421, "wrong-host")


async def test_page_of_a_listed_origin_may_read_the_answer(connect: Connect, config: ServeConfig) -> None:
    access = structs.replace(config.application.access, origins=(PAGE,))
    listed = replace(config, application=structs.replace(config.application, access=access))
    async with connect(listed) as client:
        answer = await ask(client, PATHS[0], origin=PAGE)
        assert answer.headers["access-control-allow-origin"] == PAGE
        assert "access-control-allow-origin" not in (await ask(client, PATHS[0])).headers


async def test_bug_is_answered_in_the_one_shape(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise LookupError("secret detail")

    monkeypatch.setattr("lkhub.service.api.find_livekit", fail)
    async with connect() as client:
        client.event_hooks = {}  # the contract has no bugs
        answer = await ask(client, PATHS[0])
    check_error(answer, 500, "internal")
    assert "secret detail" not in answer.text


@pytest.mark.parametrize("origin", [None, LOCAL])
@pytest.mark.parametrize("path", [address.path for address in ADDRESSES if address.method == "POST"])
async def test_client_that_leaves_in_the_middle_of_a_body_is_no_bug(
    config: ServeConfig, path: str, origin: str | None
) -> None:
    """The server logs whatever the application raises, with its traceback: anyone could fill the log."""
    said: list[dict[str, Any]] = [
        {"type": "http.request", "body": b'{"ro', "more_body": True},
        {"type": "http.disconnect"},
    ]
    headers = {"host": "127.0.0.1:8080", "content-type": "application/json", **({"origin": origin} if origin else {})}
    scope = {
        "type": "http",
        "method": "POST",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "http_version": "1.1",
        "scheme": "http",
        "root_path": "",
        "client": ("127.0.0.1", 50000),
        "server": ("127.0.0.1", 8080),
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
    }

    async def receive() -> MutableMapping[str, Any]:
        return said.pop(0) if said else {"type": "http.disconnect"}

    async def send(_: MutableMapping[str, Any]) -> None:
        pass

    await build_app(config)(scope, receive, send)


async def test_bug_reaches_the_server_which_logs_it(config: ServeConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise LookupError

    monkeypatch.setattr("lkhub.service.api.find_livekit", fail)
    transport = httpx.ASGITransport(build_app(config))
    async with httpx.AsyncClient(transport=transport, base_url=LOCAL) as client:
        with pytest.raises(LookupError):
            await ask(client, PATHS[0])


async def test_service_is_started_and_stopped_by_its_server(config: ServeConfig) -> None:
    said: list[str] = []
    coming = iter(("lifespan.startup", "lifespan.shutdown"))

    async def receive() -> dict[str, str]:
        return {"type": next(coming)}

    async def send(message: MutableMapping[str, Any]) -> None:
        said.append(message["type"])

    await build_app(config)({"type": "lifespan", "state": {}}, receive, send)
    assert said == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


def test_headers_are_found_as_starlette_finds_them() -> None:
    raw = [(b"host", b"a"), (b"x-forwarded-for", b"1"), (b"x-forwarded-for", b"2"), (b"cookie", "é".encode("latin-1"))]
    ours, theirs = IndexedHeaders(raw), Headers(raw=raw)
    for name in ("host", "Host", "X-Forwarded-For", "cookie", "missing"):
        assert ours.get(name) == theirs.get(name)
        assert (name in ours) == (name in theirs)
        assert ours.getlist(name) == theirs.getlist(name)
    assert ours["HOST"] == theirs["HOST"] == "a"
    with pytest.raises(KeyError):
        ours["missing"]
    assert list(ours) == list(theirs)
