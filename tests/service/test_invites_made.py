"""Invites that hosts, people and applications make over HTTP."""

import time
from dataclasses import replace
from typing import Any

import httpx
import pytest
from msgspec import structs

from lkhub.livekit.tokens import Grant, join_grant, sign
from lkhub.secret import Secret
from lkhub.service.access import api_keys
from lkhub.service.contract import INVITE
from lkhub.service.invites import MADE, PARTICIPANTS_SECONDS
from lkhub.store.invites import KEPT_SECONDS, list_invites
from lkhub.wire.application import RoomPreset
from tests.service.conftest import ACCESS, LAN, SECRET, Applied, Connect, check_error
from tests.service.test_contract import check_body
from tests.service.test_invites import claims, client, config, take

__all__ = ["client", "config"]

pytestmark = pytest.mark.anyio


def participant(room: str = "lobby", *, admin: bool = True, secret: Secret = SECRET, **more: Any) -> dict[str, str]:
    video = {**join_grant(room), **({"roomAdmin": True} if admin else {})}
    token = sign(Grant("ann", video, **more), "APIcurrent", secret)
    return {"authorization": f"Bearer {token}"}


async def make(client: httpx.AsyncClient, headers: dict[str, str], **body: Any) -> httpx.Response:
    return await client.post(INVITE.path, json={"room": "lobby", **body}, headers=headers)


async def test_host_in_the_call_makes_an_invite_and_not_its_own_token(
    client: httpx.AsyncClient, applied: Applied
) -> None:
    headers = participant()
    answer = await make(client, headers)
    assert answer.status_code == 201
    check_body(answer, INVITE.answers)
    made = answer.json()
    assert made["link"].startswith("http://192.168.1.5:8080/join/lobby#i=")
    assert headers["authorization"].removeprefix("Bearer ") not in answer.text
    assert abs(made["expires_at"] - time.time() - 86400) < 60
    with applied.store.reading() as connection:
        (invite,) = list_invites(connection)
    assert (invite.id, invite.role, invite.creator) == (made["id"], "participant", "participant ann")
    assert claims(await take(client, made["link"].partition("#i=")[2]))["video"]["room"] == "lobby"


@pytest.mark.parametrize("room", ["lobby ", ".."])
async def test_invite_whose_link_would_lead_elsewhere_is_not_made(
    client: httpx.AsyncClient, applied: Applied, room: str
) -> None:
    check_error(await make(client, participant(room), room=room), 422, "invalid")
    with applied.store.reading() as connection:
        assert list_invites(connection) == []


@pytest.mark.parametrize(
    "headers",
    [
        participant(admin=False),
        participant("vault"),
    ],
    ids=["no-host", "host-of-another-room"],
)
async def test_who_is_no_host_makes_none(client: httpx.AsyncClient, applied: Applied, headers: dict[str, str]) -> None:
    check_error(await make(client, headers), 403, "not-allowed")
    with applied.store.reading() as connection:
        assert list_invites(connection) == []


@pytest.mark.parametrize(
    "headers",
    [
        participant(secret=Secret("wrong" * 10)),
        participant(ttl_seconds=-120),
        {"authorization": "Bearer a.b.c"},
        {"authorization": "Bearer"},
        {},
    ],
    ids=["wrong-key", "expired", "no-token", "empty", "none"],
)
async def test_who_proves_nothing_makes_none(client: httpx.AsyncClient, headers: dict[str, str]) -> None:
    check_error(await make(client, headers), 401, "not-authenticated")


async def test_participant_gives_nobody_more_than_the_default_role(client: httpx.AsyncClient) -> None:
    check_error(await make(client, participant(), role="admin"), 403, "not-allowed")


async def test_invite_of_a_participant_ends_before_it_is_forgotten_how_the_participant_came(
    client: httpx.AsyncClient, applied: Applied
) -> None:
    """Ended invites are kept for 30 days, and the log of tokens for 90."""
    assert PARTICIPANTS_SECONDS + 16 * 86400 <= KEPT_SECONDS
    assert (await make(client, participant(), ttl=PARTICIPANTS_SECONDS)).status_code == 201
    refused = await make(client, participant(), ttl=PARTICIPANTS_SECONDS + 1)
    check_error(refused, 422, "invalid")
    assert "14 days" in refused.json()["error"]["message"]
    _, key = applied.create_key("speaker")
    made = await make(client, {"authorization": key}, room="voice-1", role="speaker", ttl=365 * 86400)
    assert made.status_code == 201, "an application is known by its key"


async def test_application_makes_invites_of_its_roles_and_rooms(client: httpx.AsyncClient, applied: Applied) -> None:
    _, key = applied.create_key("speaker", rooms=("voice-*",))
    made = await make(client, {"authorization": key}, room="voice-1", role="speaker", uses=3, ttl=60)
    assert made.status_code == 201, made.text
    assert (made.json()["role"], made.json()["uses"]) == ("speaker", 3)
    check_error(await make(client, {"authorization": key}), 403, "not-allowed")
    check_error(await make(client, {"authorization": key}, room="voice-1", role="admin"), 403, "not-allowed")


async def test_application_gives_no_role_that_its_key_does_not_have(
    client: httpx.AsyncClient, applied: Applied
) -> None:
    _, key = applied.create_key("speaker")
    assert (await make(client, {"authorization": key}, room="voice-1")).json()["role"] == "speaker"


async def test_role_that_does_not_lead_there_is_refused(client: httpx.AsyncClient, applied: Applied) -> None:
    _, key = applied.create_key("speaker")
    check_error(await make(client, {"authorization": key}, role="speaker"), 422, "invalid")


@pytest.mark.parametrize(
    "changes",
    [
        {"rooms": (RoomPreset("*", None, "reject", None, None, "", (), ("admin",)),)},
        {"access": structs.replace(ACCESS, default_role="speaker")},
    ],
    ids=["preset", "role"],
)
async def test_nobody_makes_an_invite_by_which_nobody_gets_in(
    connect: Connect, applied: Applied, changes: dict[str, Any]
) -> None:
    _, key = applied.create_key()
    async with connect(applied.config("api-keys", **changes), LAN, "192.168.1.7") as client:
        check_error(await make(client, participant()), 403, "not-allowed")
        check_error(await make(client, {"authorization": key}), 422, "invalid")
    with applied.store.reading() as connection:
        assert list_invites(connection) == []


async def test_invites_are_not_made_without_end(client: httpx.AsyncClient) -> None:
    headers = participant()
    for _ in range(MADE.times):
        assert (await make(client, headers)).status_code == 201
    assert (await make(client, headers)).headers["retry-after"]


@pytest.mark.parametrize("change", [{"uses": 0}, {"uses": -1}, {"ttl": 0}, {"ttl": 10**9}, {"room": ""}, {"more": 1}])
async def test_invite_of_another_shape_is_refused(client: httpx.AsyncClient, change: dict[str, Any]) -> None:
    check_error(await make(client, participant(), **change), 422, "invalid")


async def test_open_mode_has_no_hosts(connect: Connect, applied: Applied) -> None:
    config = applied.config("open")
    config = replace(config, application=structs.replace(config.application, used=True))
    async with connect(config, LAN, "192.168.1.7") as client:
        check_error(await make(client, {}), 403, "not-allowed")


async def test_revoked_key_makes_none_from_the_next_request_on(
    client: httpx.AsyncClient, applied: Applied, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else an invite that is good for a year could be made when `lkhub access revoke` has just named the open ones."""
    monkeypatch.setattr(api_keys, "FRESH_SECONDS", 3600.0)  # what the service has read says that the key is good
    identifier, key = applied.create_key()
    assert (await make(client, {"authorization": key})).status_code == 201
    applied.revoke(identifier)
    check_error(await make(client, {"authorization": key}, ttl=364 * 86400), 401, "not-authenticated")
    with applied.store.reading() as connection:
        assert len(list_invites(connection)) == 1
