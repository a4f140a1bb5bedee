"""A receiver that knows one key, before, during and after a rotation."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from livekit.api import TokenVerifier, WebhookReceiver

from lkhub.host.keyfile import Keys
from lkhub.secret import Secret
from lkhub.service.webhooks.receiver_keys import ReceiverKeys
from lkhub.service.webhooks.sender import Sender
from lkhub.wire.application import Receiver
from tests.service.webhooks.test_sender import BODY, Told, listen

pytestmark = pytest.mark.anyio

SECRETS: Keys = {name: Secret(name[3:] * 16) for name in ("APIold", "APInew", "APIlast")}


class Application(Told):
    """It knows one key, and answers as its framework does when LiveKit's own receiver refuses an event. Some give no
    answer and end the connection, as Python's http.server does: `status` is 0."""

    def __init__(self, knows: str, status: int = 401) -> None:
        super().__init__()
        self.knows, self.status = knows, status
        self.taken: list[str] = []
        self.refused = 0

    @property
    def answer(self) -> bytes:
        headers, body = self.requests[-1]
        try:
            verifier = TokenVerifier(self.knows, SECRETS[self.knows].reveal())
            WebhookReceiver(verifier).receive(body.decode(), headers["authorization"])
        except Exception:
            self.refused += 1
            if not self.status:
                raise ConnectionAbortedError from None
            return b"HTTP/1.1 %d No\r\ncontent-length: 0\r\n\r\n" % self.status
        self.taken.append(self.knows)
        return b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"

    @answer.setter
    def answer(self, _: bytes) -> None: ...


class Ring:
    def __init__(self, *names: str) -> None:
        self.names = names

    def __call__(self) -> Keys:
        return {name: SECRETS[name] for name in self.names}


@asynccontextmanager
async def sending(application: Application, ring: Ring) -> AsyncIterator[Sender]:
    async with listen(application) as port:
        sender = Sender(Receiver(f"http://127.0.0.1:{port}/", (), True), ReceiverKeys(ring), 30.0)
        try:
            yield sender
        finally:
            await sender.close()


@pytest.mark.parametrize("status", [400, 401, 403, 500, 0])
async def test_receiver_that_knows_one_key_gets_no_other_signature_in_a_rotation(status: int) -> None:
    application, ring = Application("APIold", status), Ring("APIold")
    async with sending(application, ring) as sender:
        assert await sender.send(BODY) == ""
        ring.names = ("APInew", "APIold")
        assert await sender.send(BODY) == ""
        ring.names = ("APIlast", "APInew", "APIold")
        assert await sender.send(BODY) == ""
        assert application.refused == 0
        application.knows = "APInew"  # started again with its new .env
        assert await sender.send(BODY) == ""
        assert application.refused > 0
        refused = application.refused
        assert await sender.send(BODY) == ""
        assert application.refused == refused, "it is remembered which key was taken"
        ring.names = ("APIlast", "APInew")
        assert await sender.send(BODY) == ""
        assert (application.refused, application.taken) == (refused, ["APIold"] * 3 + ["APInew"] * 3)


async def test_service_that_starts_during_a_rotation_begins_with_the_old_key() -> None:
    for knows, refused in (("APIold", 0), ("APInew", 1)):
        application = Application(knows)
        async with sending(application, Ring("APInew", "APIold")) as sender:
            assert [await sender.send(BODY) for _ in range(3)] == [""] * 3
        assert (application.refused, len(application.taken)) == (refused, 3)


async def test_revoked_key_signs_nothing() -> None:
    application, ring = Application("APIold"), Ring("APInew", "APIold")
    async with sending(application, ring) as sender:
        assert await sender.send(BODY) == ""
        ring.names = ("APInew",)
        assert await sender.send(BODY) == "answered 401"
        assert await sender.send(BODY) == "answered 401"
    assert application.taken == ["APIold"]
    assert len(application.requests) == 3


@pytest.mark.parametrize("status", [301, 404, 413, 429, 502, 503])
async def test_receiver_with_other_trouble_is_asked_once(status: int) -> None:
    application = Application("APIlast", status)
    async with sending(application, Ring("APInew", "APIold")) as sender:
        assert (await sender.send(BODY)).startswith(f"answered {status}")
    assert len(application.requests) == 1
