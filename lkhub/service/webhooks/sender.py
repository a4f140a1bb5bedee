"""Sending one event to one receiver."""

import asyncio
import errno
import os
import socket
import ssl
import time
from functools import partial
from ipaddress import ip_address

import anyio.to_thread
from anyio import CapacityLimiter

from lkhub import __version__
from lkhub.host.bounded_http import LongAnswerError, bounded_transport
from lkhub.host.http import httpx
from lkhub.livekit.webhooks import CONTENT_TYPE, NO_ANSWER, may_be_the_key, sign
from lkhub.receiver_addresses import find_refused
from lkhub.service.webhooks.receiver_keys import ReceiverKeys, SigningKey
from lkhub.wire.application import Receiver

# How long a receiver may take for an event, from the look-up of its name to its answer.
ANSWER_SECONDS = 10.0

# An answer is not read any further, since only its status matters. Where it is longer, or takes longer, the connection
# is closed.
MAX_ANSWER_BYTES = 4096
REST_SECONDS = 1.0

# Of the time for an event, the part in which a receiver with several addresses is reached at one of them.
_CONNECTING = 0.5

# Each takes a thread for as long as name servers do not answer. The threads are the receiver's own, so that one whose
# name leads nowhere delays no other.
LOOKUPS_AT_ONCE = 2


class Sender:
    """One receiver. `keys` says which key the receiver knows."""

    def __init__(self, receiver: Receiver, keys: ReceiverKeys, seconds: float = ANSWER_SECONDS) -> None:
        self._receiver, self._keys, self._seconds = receiver, keys, seconds
        self._url = httpx.URL(receiver.url)
        self._limiter = CapacityLimiter(LOOKUPS_AT_ONCE)
        # Connections are kept by address, and two names may have the same one, so each receiver has its own. A client
        # of httpx would keep cookies, and parse the address of a redirect.
        trusted = ssl.create_default_context() if self._url.scheme == "https" else False
        self._connections = bounded_transport(trusted, MAX_ANSWER_BYTES)

    async def close(self) -> None:
        """Close the connections."""
        await self._connections.aclose()

    async def send(self, body: str) -> str:
        """Why the receiver did not take the event, "" where it did."""
        try:
            async with asyncio.timeout(self._seconds):
                addresses = await _look_up(self._url, self._limiter)
                if refused := find_refused(addresses, allow_private=self._receiver.allow_private):
                    return refused
                return await self._send_to(addresses, body.encode())
        except TimeoutError:
            return f"no answer within {self._seconds:g} s"
        except socket.gaierror:
            return "its name leads nowhere"
        except httpx.HTTPError as error:
            return f"the connection failed: {_describe(error)}"
        except (OSError, ValueError) as error:
            return f"the connection failed: {type(error).__name__}"

    async def _send_to(self, addresses: list[str], body: bytes) -> str:
        """Sign with the key that the receiver knows. If that may be another one by now, try the others."""
        problem = ""
        for key in self._keys.list_for(self._receiver.url):
            try:
                problem = await self._post(addresses, body, key)
            except (httpx.RemoteProtocolError, httpx.ReadError) as error:
                # As some servers do whose handler raises an error: that may be about the signature too.
                problem = _describe_closed(error)
                continue
            if not problem:
                self._keys.note_taken(self._receiver.url, key[0])
            if not may_be_the_key(problem):
                break
        return problem

    async def _post(self, addresses: list[str], body: bytes, key: SigningKey) -> str:
        """Connect to the addresses that were checked, and look nothing up again. Returns why the receiver did not take
        the event, "" where it did."""
        headers = {
            "host": self._url.netloc.decode(),
            "content-type": CONTENT_TYPE,
            "authorization": sign(body, *key, time.time()),
            "user-agent": f"lkhub/{__version__}",
        }
        for number, address in enumerate(addresses, 1):
            url = self._url.copy_with(host=address)
            extensions: dict[str, object] = {"sni_hostname": self._url.raw_host.decode()}
            if number < len(addresses):  # packets to one address may lead nowhere, and the next one answers
                extensions["timeout"] = {"connect": self._seconds * _CONNECTING / len(addresses)}
            request = httpx.Request("POST", url, content=body, headers=headers, extensions=extensions)
            try:
                answer = await self._connections.handle_async_request(request)
            except (httpx.ConnectError, httpx.ConnectTimeout):
                if number == len(addresses):
                    raise
                continue
            return await _judge(answer)
        raise AssertionError("a name has an address")


async def _judge(answer: httpx.Response) -> str:
    read = 0
    try:
        if answer.is_success:  # only then is the connection worth keeping
            async with asyncio.timeout(REST_SECONDS):
                async for part in answer.aiter_raw():
                    read += len(part)
                    if read > MAX_ANSWER_BYTES:
                        break
    except (httpx.HTTPError, TimeoutError):
        pass  # its status came, and says that it took the event
    finally:
        await answer.aclose()
    if answer.is_success:
        return ""
    return f"answered {answer.status_code}" + (", and redirects are not followed" if answer.is_redirect else "")


async def _look_up(url: httpx.URL, limiter: CapacityLimiter) -> list[str]:
    """The addresses of a host, each once. Raises OSError."""
    host = url.raw_host.decode()
    try:
        return [str(ip_address(host))]
    except ValueError:
        pass
    port = url.port or (443 if url.scheme == "https" else 80)
    look_up = partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
    # The thread may go on for as long as the system waits for a name server.
    found = await anyio.to_thread.run_sync(look_up, limiter=limiter, abandon_on_cancel=True)
    return list(dict.fromkeys(str(row[4][0]) for row in found))


def _describe_closed(error: httpx.HTTPError) -> str:
    closed = isinstance(error, httpx.RemoteProtocolError)
    return NO_ANSWER if closed else f"the connection failed: {_describe(error)}"


def _describe(error: httpx.HTTPError) -> str:
    """What the system or OpenSSL said. The text of httpx itself may have an address only."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, LongAnswerError):
            return str(cause)
        if isinstance(cause, ssl.SSLError):
            return cause.verify_message if isinstance(cause, ssl.SSLCertVerificationError) else "TLS failed"
        if isinstance(cause, OSError) and cause.errno and cause.errno in errno.errorcode:
            return os.strerror(cause.errno).lower()  # asyncio's own text has the address
        cause = cause.__cause__ or cause.__context__
    return type(error).__name__
