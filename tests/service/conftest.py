"""The service and its clients."""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from msgspec import structs

from lkhub.host.keyfile import dump_keys
from lkhub.secret import Secret
from lkhub.service.app import build_app
from lkhub.service.contract import ADDRESSES
from lkhub.service.reasons import WRONG_HOST
from lkhub.service.roles import PLAIN
from lkhub.store.api_keys import create_api_key, revoke_api_key
from lkhub.store.issued import Entry, list_issued
from lkhub.store.store import Store
from lkhub.wire.application import Access, Application
from lkhub.wire.application import Store as StoreSettings
from lkhub.wire.serve_config import ServeConfig

SECRET = Secret("XYZ" * 15)

ACCESS = Access(
    roles={
        "participant": structs.replace(PLAIN, metadata=4096),
        "speaker": structs.replace(PLAIN, rooms=("voice-*",), agents=("helper",)),
        "admin": structs.replace(PLAIN, admin=True),
    },
    default_role="participant",
)

LOCAL = "http://127.0.0.1:8080"
LAN = "http://192.168.1.5:8080"

Connect = Callable[..., httpx.AsyncClient]
Jump = Callable[[float], None]


@pytest.fixture
def config(tmp_path: Path) -> ServeConfig:
    """The service of a hub for this machine."""
    keys = tmp_path / "keys.yaml"
    keys.write_text(dump_keys({"APIcurrent": SECRET, "APIold": Secret("OLD" * 15)}))
    return ServeConfig(
        name="my-hub",
        reach="local",
        bind=("127.0.0.1",),
        port=8080,
        hosts=("localhost", "127.0.0.1", "[::1]"),
        open_tokens=True,
        livekit_url="ws://127.0.0.1:7880",
        media_url="http://127.0.0.1:1",
        keys=str(keys),
        authorities=(),
        ca="",
    )


@pytest.fixture
def lan_config(config: ServeConfig) -> ServeConfig:
    """The service of a hub on a LAN."""
    hosts = ("localhost", "192.168.1.5", "127.0.0.1")
    return replace(config, reach="lan", bind=("192.168.1.5", "127.0.0.1"), hosts=hosts, open_tokens=False)


@pytest.fixture
def connect(config: ServeConfig) -> Connect:
    """`connect()` is a client on this machine; `url` is the listener that it talks to, `come_from` its own address."""

    def make(
        config: ServeConfig = config, url: str = LOCAL, come_from: str = "127.0.0.1", **settings: Any
    ) -> httpx.AsyncClient:
        transport = httpx.ASGITransport(build_app(config), raise_app_exceptions=False, client=(come_from, 50000))
        hooks = {"response": [check_documented]}
        return httpx.AsyncClient(transport=transport, base_url=url, event_hooks=hooks, **settings)

    return make


ADDRESS_OF = {(address.method, address.path): address for address in ADDRESSES}


async def check_documented(answer: httpx.Response) -> None:
    """Whatever a test asks for, the contract has the answer: its status, its code, its headers."""
    address = ADDRESS_OF.get((answer.request.method, answer.request.url.path))
    if address is None:
        return
    if answer.status_code in address.statuses:
        assert set(address.headers) <= {name.title() for name in answer.headers}, answer.headers
        return
    code = json.loads(await answer.aread())["error"]["code"]
    rows = [row for row in (*address.refusals, WRONG_HOST) if (row.status, row.code) == (answer.status_code, code)]
    assert rows, f"{address.method} {address.path} answers {answer.status_code} {code}, which is not in its refusals"
    always = set(rows[0].headers).intersection(*(row.headers for row in rows))
    assert {name.lower() for name in always} <= set(answer.headers), f"{answer.status_code} {code}: {answer.headers}"


@pytest.fixture
def jump(monkeypatch: pytest.MonkeyPatch) -> Jump:
    """`jump(seconds)`: the time of day is so far from the right one. Other clocks go on."""
    real, offset = time.time, [0.0]
    monkeypatch.setattr(time, "time", lambda: real() + offset[0])

    def move(seconds: float) -> None:
        offset[0] = seconds

    return move


class Applied:
    """The service of a hub on a LAN whose spec has keys for applications, and its store."""

    def __init__(self, config: ServeConfig, folder: Path) -> None:
        self._config, self._url = config, f"sqlite:///{folder}/store.db"
        self.store = Store(self._url)

    def config(self, *modes: Any, access: Access = ACCESS, **changes: Any) -> ServeConfig:
        """Its configuration. `changes` are of Application."""
        application = Application(
            used=True, access=structs.replace(access, modes=modes), store=StoreSettings(self._url)
        )
        return replace(self._config, application=structs.replace(application, **changes))

    def create_key(self, *roles: str, rooms: Sequence[str] = ("*",), ttl: float | None = None) -> tuple[str, str]:
        """A new API key: its id, and the header that has it."""
        with self.store.writing() as connection:
            key, text = create_api_key(connection, "shop", rooms, roles, ttl)
        return key.id, f"Bearer {text}"

    def revoke(self, identifier: str) -> None:
        with self.store.writing() as connection:
            assert revoke_api_key(connection, identifier)

    def issued(self) -> list[Entry]:
        """The audit log, the newest first."""
        with self.store.reading() as connection:
            return list_issued(connection, 1000)


@pytest.fixture
def applied(lan_config: ServeConfig, tmp_path: Path) -> Iterator[Applied]:
    made = Applied(lan_config, tmp_path)
    yield made
    made.store.close()


def check_error(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """The one shape of an error; its content."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    body = answer.json()
    assert set(body) == {"error"}
    error: dict[str, Any] = body["error"]
    assert set(error) in ({"code", "message"}, {"code", "message", "hint"})
    assert error["code"] == code
    assert error["message"]
    return error
