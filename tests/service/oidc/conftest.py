import httpx
import pytest

from lkhub.service.oidc.fetch import Fetcher
from lkhub.service.oidc.provider import Provider
from tests.kit.issuer import ISSUER, Issuer


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
