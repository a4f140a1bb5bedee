"""The service and its clients."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from lkhub.host.keyfile import dump_keys
from lkhub.secret import Secret
from lkhub.service.app import build_app
from lkhub.wire.serve_config import ServeConfig

SECRET = Secret("XYZ" * 15)

LOCAL = "http://127.0.0.1:8080"
LAN = "http://192.168.1.5:8080"

Connect = Callable[..., httpx.AsyncClient]


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
        return httpx.AsyncClient(transport=transport, base_url=url, **settings)

    return make


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
