"""Requests to the OpenID provider, whose answers may be anything."""

import errno
import socket
import ssl
import zlib
from collections.abc import Iterator, Mapping
from functools import cached_property
from http.cookiejar import CookieJar, DefaultCookiePolicy
from ipaddress import ip_address
from typing import Any, TypeAlias
from urllib.parse import urlsplit

import anyio

from lkhub.host.bounded_http import LongAnswerError, bounded_transport
from lkhub.host.http import find_unpacker, httpx
from lkhub.source.json_text import parse_finite_json

Document: TypeAlias = Mapping[str, Any]  # OpenID's and JOSE's: their keys are defined there
"""A JSON object of the provider, of which nothing is known yet."""

# A person waits for the answer. A provider that is well answers in a fraction of this.
ANSWER_SECONDS = 5.0

# The largest documents are sets of keys with certificates: some tens of KB.
MAX_ANSWER_BYTES = 256 * 1024

# Some servers compress all the same, such as one whose documents lie compressed on it.
_HEADERS = {"accept": "application/json", "accept-encoding": "identity"}


class ProviderError(Exception):
    """The provider can't be used now. The text is the reason, for strangers too: it has no secret and no URL, and
    nothing that the provider wrote."""


def is_safe(url: str) -> bool:
    """Whether nobody on the way can read or change what goes to `url`: it is https, or on this machine."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        return False
    return bool(host) and (parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host)))


def is_here(url: str) -> bool:
    """Whether `url` is on this machine."""
    try:
        return is_loopback(urlsplit(url).hostname or "")
    except ValueError:
        return False


def is_loopback(host: str) -> bool:
    """Whether a host without port and brackets is this machine."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


class Fetcher:
    """A client of the provider. `transport` replaces the network in tests."""

    def __init__(self, transport: httpx.AsyncBaseTransport | None = None, seconds: float = ANSWER_SECONDS) -> None:
        self._transport, self._seconds = transport, seconds

    async def get(self, url: str, bearer: str = "") -> Document:
        """The JSON object at `url`, asked for with an access token if there is one."""
        headers = {"authorization": f"Bearer {bearer}"} if bearer else {}
        status, body = await self._ask(url, "GET", headers=headers)
        if status != 200:
            raise ProviderError(f"the OpenID provider answers with status {status}")
        return _parse(body)

    async def post(
        self, url: str, form: Mapping[str, str], login: tuple[str, str] | None = None
    ) -> tuple[int, Document]:
        """Status and JSON object of the answer to a form. `login` is name and secret for HTTP's basic
        authentication."""
        status, body = await self._ask(url, "POST", data=dict(form), auth=login)
        return status, _parse(body)

    async def _ask(self, url: str, method: str, **request: Any) -> tuple[int, bytes]:
        if not is_safe(url):
            raise ProviderError("the OpenID provider names an address that is neither https nor on this machine")
        try:
            with anyio.fail_after(self._seconds):
                async with self._client.stream(
                    method, url, **{**request, "headers": {**_HEADERS, **request.get("headers", {})}}
                ) as answer:
                    body = await _read(answer)
        except TimeoutError:
            raise ProviderError(f"the OpenID provider does not answer within {self._seconds:g} s") from None
        except httpx.TimeoutException:
            raise ProviderError("the OpenID provider does not answer in time") from None
        except LongAnswerError:
            raise ProviderError(f"the OpenID provider answers with more than {MAX_ANSWER_BYTES // 1024} KiB") from None
        except (httpx.HTTPError, httpx.InvalidURL, ValueError, OSError) as error:
            raise ProviderError(f"the OpenID provider can't be reached{_find_reason(error)}") from None
        return answer.status_code, body

    @cached_property
    def _client(self) -> httpx.AsyncClient:
        # OpenSSL's own roots, to which an operator adds the authority of a private provider. Making the context takes
        # 20 ms of CPU, so there is one.
        transport = self._transport or bounded_transport(ssl.create_default_context(), MAX_ANSWER_BYTES)
        # No cookie is kept: those of one person's sign-in would go along with the next person's, and there may be any
        # number of them.
        cookies = CookieJar(DefaultCookiePolicy(allowed_domains=()))
        return httpx.AsyncClient(
            transport=transport, timeout=self._seconds, trust_env=False, follow_redirects=False, cookies=cookies
        )


def _find_reason(error: BaseException) -> str:
    """What the system said below httpx's own error, or "". A host with several addresses has an error for each."""
    below = list(_unfold(error))
    if any(isinstance(each, ssl.SSLCertVerificationError) for each in below):
        return ": its certificate is not trusted"
    if any(isinstance(each, socket.gaierror) for each in below):
        return ": no address is found for its name"
    if any(isinstance(each, ConnectionRefusedError) for each in below):
        return ": nothing listens at its address"
    if any(isinstance(each, OSError) and each.errno in (errno.ENETUNREACH, errno.EHOSTUNREACH) for each in below):
        return ": no network leads to its address"
    return ""


def _unfold(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        if isinstance(error, BaseExceptionGroup):
            for each in error.exceptions:
                yield from _unfold(each)
        error = error.__cause__ or error.__context__


async def _read(answer: httpx.Response) -> bytes:
    unpacker = find_unpacker(answer)
    if unpacker is None:
        raise ProviderError("the OpenID provider answers in an encoding that it was not asked for")
    body = bytearray()
    async for part in answer.aiter_raw():
        try:
            body += unpacker.unpack(part, MAX_ANSWER_BYTES + 1 - len(body))
        except zlib.error:
            raise ProviderError("the OpenID provider's answer is damaged") from None
        if len(body) > MAX_ANSWER_BYTES:
            raise ProviderError(f"the OpenID provider answers with more than {MAX_ANSWER_BYTES // 1024} KiB")
        if unpacker.is_done:
            break
    return bytes(body)


def _parse(body: bytes) -> Document:
    try:
        document = parse_finite_json(body)
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise ProviderError("the OpenID provider answers with something that is no JSON object")
    return document
