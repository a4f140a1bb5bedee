from collections.abc import AsyncIterator
from dataclasses import replace

import httpx
import pytest
from msgspec import structs

from lkhub.service.oidc import signing_in
from lkhub.service.oidc.fetch import Fetcher
from lkhub.service.oidc.provider import Provider
from lkhub.wire.application import Oidc
from lkhub.wire.serve_config import ServeConfig
from tests.kit.issuer import AUDIENCE, CLIENT, ISSUER, Issuer
from tests.service.conftest import ACCESS, Applied, Connect
from tests.service.oidc.kit import HUB


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def issuer() -> Issuer:
    return Issuer()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def fetcher(issuer: Issuer) -> Fetcher:
    return Fetcher(httpx.ASGITransport(issuer.app()))


@pytest.fixture
def provider(fetcher: Fetcher, clock: Clock) -> Provider:
    return Provider(ISSUER, fetcher, clock)


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
