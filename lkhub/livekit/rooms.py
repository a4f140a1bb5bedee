"""The client of LiveKit's RoomService."""

import ssl
from typing import TypeVar
from urllib.parse import urlsplit

from lkhub.errors import MachineError
from lkhub.host.http import PLAIN, httpx, read_body
from lkhub.livekit.room_calls import Call, read_answer
from lkhub.livekit.twirp import address, authorize
from lkhub.secret import Secret

T = TypeVar("T")

# A server answers in milliseconds, but another operator's server may be far away. LiveKit itself waits up to 3 s for
# the participant that a call is about (measured).
ANSWER_SECONDS = 6.0


class NoAnswerError(MachineError):
    """The server at this address can't be reached, or does not answer as LiveKit does."""

    def __init__(self, base: str, kind: str) -> None:
        super().__init__(
            f"LiveKit does not answer at {base} ({kind})", hints=("`lkhub status` shows whether the hub runs",)
        )


class RoomService:
    """The rooms of the LiveKit at `url` (ws, wss, http or https)."""

    def __init__(self, url: str, key: str, secret: Secret) -> None:
        parts = urlsplit(url)
        self._base = parts._replace(scheme=parts.scheme.replace("ws", "http")).geturl().rstrip("/")
        self._key, self._secret = key, secret
        # Preparing for TLS costs 25 ms of CPU, and on loopback there is none. By itself httpx trusts certifi's roots
        # alone, and not what the system and SSL_CERT_FILE have.
        trusted = ssl.create_default_context() if self._base.startswith("https:") else False
        self._client = httpx.Client(timeout=ANSWER_SECONDS, trust_env=False, verify=trusted)

    def __enter__(self) -> "RoomService":
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def ask(self, call: Call[T]) -> T:
        """The answer to a call. Raises NoAnswerError, and MachineError with the server's reason where it refuses."""
        headers = authorize(call.video, self._key, self._secret)
        url = address(self._base, call.method, call.service)
        try:
            with self._client.stream("POST", url, json=call.body, headers={**PLAIN, **headers}) as answer:
                body = read_body(answer, call.max_bytes, ANSWER_SECONDS)
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            raise NoAnswerError(self._base, type(error).__name__) from error
        return read_answer(call, self._base, answer.status_code, body)
