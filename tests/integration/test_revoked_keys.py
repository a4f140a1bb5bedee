"""What a key signed is refused once the key is revoked, wherever it comes."""

import asyncio
import contextlib
import json
import time
from urllib.parse import urlencode

import httpx
import jwt
import pytest
from anyio.to_thread import run_sync
from livekit.protocol.rtc import SignalResponse
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from lkhub.livekit.tokens import Grant, sign
from lkhub.livekit.webhooks import CONTENT_TYPE
from lkhub.livekit.webhooks import sign as sign_webhook
from tests.kit.hub import Hub
from tests.kit.keys import Key, current_key, done
from tests.waiting import until

pytestmark = [pytest.mark.anyio, pytest.mark.field]


class Line:
    """A participant's own connection for signalling, in the words of LiveKit's protocol: an SDK hides its tokens."""

    def __init__(self, url: str, token: str, **more: str) -> None:
        query = {"access_token": token, "protocol": "15", "sdk": "js", "auto_subscribe": "1", **more}
        self._address = f"{url}/rtc?{urlencode(query)}"
        self.sid = ""
        self.refreshed: list[str] = []
        self.said: list[str] = []

    async def open(self) -> "Line":
        """Raises InvalidStatus where LiveKit refuses."""
        self._socket = await connect(self._address, proxy=None)
        self._task = asyncio.create_task(self._listen())
        return self

    async def _listen(self) -> None:
        with contextlib.suppress(ConnectionClosed):
            async for text in self._socket:
                answer = SignalResponse.FromString(text if isinstance(text, bytes) else text.encode())
                kind = answer.WhichOneof("message") or ""
                if kind == "join":
                    self.sid = answer.join.participant.sid
                if kind == "refresh_token":
                    self.refreshed.append(answer.refresh_token)
                self.said.append(kind)

    async def wait_said(self, kind: str) -> None:
        await until(lambda: kind in self.said, f"LiveKit says {kind}")

    async def close(self) -> None:
        self._task.cancel()
        await self._socket.close()


async def try_to_open(line: Line) -> int:
    """The status that LiveKit answers: 101 where it takes the connection, which is ended then."""
    try:
        await line.open()
    except InvalidStatus as error:
        return error.response.status_code
    await line.close()
    return 101


def issuer(token: str) -> str:
    return str(jwt.decode(token, options={"verify_signature": False})["iss"])


async def ask_everywhere(hub: Hub, token: str, key: Key) -> dict[str, int]:
    """What everything answers that takes a token: this one, or one that the key signs for it."""
    calls = {
        "RoomService": ("ListRooms", "CreateRoom", "DeleteRoom", "ListParticipants", "RemoveParticipant"),
        "AgentDispatchService": ("ListDispatch",),
        "Egress": ("ListEgress",),
        "Ingress": ("ListIngress",),
    }
    media, web = (f"http://127.0.0.1:{hub.ports[name]}" for name in ("signal", "web"))
    grants = ("roomList", "roomCreate", "roomRecord", "ingressAdmin", "roomAdmin", "agent")
    admin = sign(Grant("", {**dict.fromkeys(grants, True), "room": "gone"}), *key)
    body = json.dumps({"event": "room_started", "id": "EV_old", "room": {"sid": "RM_x", "name": "x"}})
    found: dict[str, int] = {}
    async with httpx.AsyncClient(trust_env=False) as client:
        for service, methods in calls.items():
            for method in methods:
                answer = await client.post(
                    f"{media}/twirp/livekit.{service}/{method}",
                    json={"name": "gone", "room": "gone", "identity": "gone"},
                    headers={"Authorization": f"Bearer {admin}"},
                )
                found[method] = answer.status_code
        for path, with_token in {
            "/rtc/validate": token,
            "/rtc/v1/validate": token,
            "/rtc/v1": token,
            "/agent": admin,
        }.items():
            answer = await client.get(media + path, headers={"Authorization": f"Bearer {with_token}"})
            found[path] = answer.status_code
        answer = await client.post(f"{media}/whip/v1", headers={"Authorization": f"Bearer {token}"})
        found["/whip/v1"] = answer.status_code
        answer = await client.post(
            f"{web}/api/webhooks/livekit",
            content=body,
            headers={"Authorization": sign_webhook(body.encode(), *key, time.time()), "content-type": CONTENT_TYPE},
        )
        found["webhook"] = answer.status_code
    return found


async def test_nothing_that_the_old_key_signed_is_accepted_after_its_revocation(hub: Hub) -> None:
    """A join, a resumed connection, a token that media refreshed with it, and every API; and the call goes on."""
    hub.write_spec("access: {modes: [api-keys]}\n")
    await run_sync(hub.up, "--no-verify")
    url, old = (await run_sync(hub.env))["LIVEKIT_URL"], current_key(hub)
    first = await run_sync(hub.token, "room", "ann")
    ann = await Line(url, first).open()
    try:
        await ann.wait_said("join")
        done(await run_sync(lambda: hub.run("keys", "rotate")))
        new = current_key(hub)
        await until(lambda: ann.refreshed and issuer(ann.refreshed[-1]) == new[0], "a token of the new key")
        sid = ann.sid
        of_old = [first, *(token for token in ann.refreshed if issuer(token) == old[0])]
        for token in of_old:
            ann = await Line(url, token, reconnect="1", sid=sid).open()
            await ann.wait_said("offer")
            assert "join" not in ann.said, "it goes on with its session"
        before = await ask_everywhere(hub, first, old)
        done(await run_sync(lambda: hub.run("keys", "revoke", old[0], "--yes")))
        for token in of_old:
            assert await try_to_open(Line(url, token)) == 401
            assert await try_to_open(Line(url, token, reconnect="1", sid=sid)) == 401
        after = await ask_everywhere(hub, first, old)
        assert 401 not in before.values(), before
        assert after == dict.fromkeys(before, 401)
        assert await try_to_open(Line(url, ann.refreshed[-1], reconnect="1", sid=sid)) == 101
    finally:
        await ann.close()
