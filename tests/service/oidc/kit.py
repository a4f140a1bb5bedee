"""A browser that signs in to the hub's web application."""

from typing import Any

import httpx
import jwt

from lkhub.service.contract import SESSION, SIGN_IN
from tests.service.conftest import SECRET

HUB = "https://rtc.example"
JOIN = "/join/lobby"
TOKEN = "/api/livekit/token"


async def begin(client: httpx.AsyncClient, path: str = JOIN) -> str:
    """The provider's page."""
    answer = await client.post(SIGN_IN.path, json={"path": path})
    assert answer.status_code == 200, answer.text
    return str(answer.json()["url"])


async def sign_in(client: httpx.AsyncClient, provider: httpx.AsyncClient, path: str = JOIN) -> httpx.Response:
    """As a browser does it: to the provider's page, and where that leads."""
    back = (await provider.get(await begin(client, path))).headers["location"]
    return await client.get(back)


async def is_signed_in(client: httpx.AsyncClient) -> bool:
    return bool((await client.get(SESSION.path)).json()["signed_in"])


def claims(answer: httpx.Response) -> dict[str, Any]:
    assert answer.status_code == 200, answer.text
    return jwt.decode(answer.json()["token"], SECRET.reveal(), algorithms=["HS256"])


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}
