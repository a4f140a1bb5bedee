"""Calls: the hub decides about seats and makes the tokens."""

from pathlib import Path

import httpx

from echochat.config import Config


class CallError(Exception):
    """No token. `status` is for the browser; `again` is when to ask again, in seconds, where the hub says it."""

    def __init__(self, status: int, message: str, again: str = "") -> None:
        super().__init__(message)
        self.status, self.again = status, again


async def ask_hub(config: Config, room: str, user: str) -> dict[str, str]:
    """A token for the user: `{token, url, room}`, where `room` may be a sub-room such as `general(2)`."""
    if not config.livekit_enabled:
        raise CallError(503, "calls are not set up")
    file = Path(config.hub_key_file)
    key = file.read_text().strip() if file.exists() else ""
    if not key:
        raise CallError(503, f"{file} has no API key; `(umask 077; lkhub access create echochat > {file})` makes one")
    try:
        async with httpx.AsyncClient(trust_env=False, timeout=10) as client:
            answer = await client.post(
                f"{config.hub_url}/api/livekit/token",
                json={"room": room, "identity": user, "name": user},
                headers={"Authorization": f"Bearer {key}"},
            )
    except httpx.HTTPError:
        raise CallError(503, "the media server does not answer") from None
    body = answer.json()
    if answer.status_code != 200:
        raise CallError(answer.status_code, body["error"]["message"], answer.headers.get("retry-after", ""))
    return {"token": body["token"], "url": body["url"], "room": body["room"]}
