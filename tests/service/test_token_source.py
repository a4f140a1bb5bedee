"""LiveKit's TokenSource, as its SDKs speak it (livekit-client 2.23, TokenSource.endpoint)."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import jwt
import pytest
from msgspec import structs

from lkhub.service.roles import PLAIN
from lkhub.wire.application import Access, RoomPreset
from tests.service.conftest import ACCESS, LAN, SECRET, Applied, Connect, check_error

pytestmark = pytest.mark.anyio

SOURCE = "/api/token-source"
JSON = {"content-type": "application/json"}

# As livekit-client 2.23 sends it.
FULL = {
    "room_name": "voice-1",
    "participant_name": "Åsa",
    "participant_identity": "i",
    "participant_metadata": '{"a":1}',
    "participant_attributes": {"k": "v"},
    "room_config": {"agents": [{"agent_name": "helper", "metadata": "m", "deployment": "prod"}]},
}
CAMEL = {
    "roomName": "voice-1",
    "participantName": "Åsa",
    "participantIdentity": "i",
    "participantMetadata": '{"a":1}',
    "participantAttributes": {"k": "v"},
    "roomConfig": {"agents": [{"agentName": "helper", "metadata": "m", "deployment": "prod"}]},
}


def claims(answer: httpx.Response) -> dict[str, Any]:
    assert answer.status_code == 201, answer.text
    body = answer.json()
    assert set(body) == {"server_url", "participant_token"}
    assert body["server_url"] == "ws://127.0.0.1:7880"
    return jwt.decode(body["participant_token"], SECRET.reveal(), algorithms=["HS256"])


@pytest.fixture
def speaker(applied: Applied) -> str:
    """The key of an application whose users speak."""
    return applied.create_key("speaker")[1]


@pytest.fixture
async def client(connect: Connect, applied: Applied, speaker: str) -> AsyncIterator[httpx.AsyncClient]:
    headers = {"authorization": speaker}
    async with connect(applied.config("api-keys"), url=LAN, come_from="192.168.1.77", headers=headers) as made:
        yield made


@pytest.mark.parametrize("body", [FULL, CAMEL], ids=["snake", "camel"])
async def test_everything_that_livekits_client_sends(client: httpx.AsyncClient, body: dict[str, Any]) -> None:
    answer = await client.post(SOURCE, json=body)
    token = claims(answer)
    assert (token["sub"], token["name"], token["metadata"]) == ("i", "Åsa", '{"a":1}')
    assert (token["attributes"], token["video"]["room"]) == ({"k": "v"}, "voice-1")
    assert token["roomConfig"] == {"agents": [{"agentName": "helper", "metadata": "m", "deployment": "prod"}]}
    assert answer.headers["cache-control"] == "no-store"


async def test_token_can_be_used_by_a_client_whose_clock_is_behind(client: httpx.AsyncClient) -> None:
    """livekit-client asks again for each use of a token whose `nbf` is in its future, or which has no `exp`."""
    token = claims(await client.post(SOURCE, json={"room_name": "voice-1"}))
    assert token["exp"] - token["nbf"] > PLAIN.ttl


@pytest.mark.parametrize("body", [{}, dict.fromkeys(FULL)], ids=["empty", "nulls"])
async def test_nothing_need_be_said(connect: Connect, body: dict[str, Any]) -> None:
    async with connect() as client:
        first, second = [claims(await client.post(SOURCE, json=body)) for _ in range(2)]
    assert first["sub"] != second["sub"]
    assert first["video"]["room"].startswith("room-")
    assert first["video"]["room"] != second["video"]["room"]


async def test_caller_of_one_room_need_not_name_it(connect: Connect, applied: Applied) -> None:
    _, bearer = applied.create_key(rooms=["lobby"])
    async with connect(applied.config("api-keys"), url=LAN, headers={"authorization": bearer}) as client:
        assert claims(await client.post(SOURCE, json={}))["video"]["room"] == "lobby"


async def test_caller_of_some_rooms_has_to_name_one(client: httpx.AsyncClient) -> None:
    error = check_error(await client.post(SOURCE, json={}), 422, "invalid")
    assert "name a room" in error["hint"]


WRONG: tuple[tuple[Any, str], ...] = (
    ({"room_name": 5}, "room_name"),
    ({"room_name": "a\u202eb"}, "room_name: has U+202E"),
    ({"room_name": "x" * 257}, "room_name"),
    ({"participant_identity": "a\nb"}, "participant_identity: has U+000A"),
    ({"participant_name": ["a"]}, "participant_name"),
    ({"participant_metadata": {"a": 1}}, "participant_metadata"),
    ({"participant_attributes": {"a": 1}}, "participant_attributes"),
    ({"room_name": "a", "roomName": "b"}, "roomName"),
    ({"video": {"roomAdmin": True}}, "video"),
    ({"room_config": []}, "room_config"),
    ({"room_config": {"egress": {}}}, "room_config.egress"),
    ({"room_config": {"agents": [{"agent_name": 5}]}}, "room_config.agents[0].agent_name"),
    ({"room_config": {"nonsense": 1}}, "room_config.nonsense: unknown field"),
    ([], "body"),
)


@pytest.mark.parametrize(("body", "named"), WRONG, ids=lambda value: ascii(value)[:40])
async def test_wrong_body_names_what_is_wrong(client: httpx.AsyncClient, body: Any, named: str) -> None:
    error = check_error(await client.post(SOURCE, json=body), 422, "invalid")
    assert named in error["message"]


@pytest.mark.parametrize(
    "settings",
    [
        {"agents": [{"agent_name": "spy"}]},
        {"agents": [{}]},
        {"empty_timeout": 5},
        {"max_participants": 5},
        {"metadata": "mine"},
    ],
    ids=str,
)
async def test_room_config_beyond_the_role(client: httpx.AsyncClient, settings: Any) -> None:
    check_error(await client.post(SOURCE, json=FULL | {"room_config": settings}), 403, "not-allowed")


async def test_both_endpoints_judge_alike(client: httpx.AsyncClient) -> None:
    for path, room in ((SOURCE, "room_name"), ("/api/livekit/token", "room")):
        check_error(await client.post(path, json={room: "lobby"}), 403, "not-allowed")
        check_error(
            await client.post(path, json={room: "voice-1"}, headers={"authorization": ""}), 401, "not-authenticated"
        )
        check_error(
            await client.post(path, content=b"{}", headers={"content-type": "text/plain"}), 415, "wrong-content-type"
        )
        check_error(
            await client.post(path, json={room: "voice-1"}, headers={"origin": "http://evil.example"}),
            403,
            "not-allowed",
        )
        check_error(
            await client.post(path, content=b'{"%s": "a", "%s": "b"}' % ((room.encode(),) * 2), headers=JSON),
            400,
            "bad-request",
        )
        check_error(await client.post(path, content=b'{"a":' * 10_000, headers=JSON), 400, "bad-request")
        check_error(await client.post(path, content=b" " * 10_000_000, headers=JSON), 413, "too-large")
        check_error(await client.get(path), 405, "method-not-allowed")


async def test_room_for_other_roles(connect: Connect, applied: Applied) -> None:
    stage = RoomPreset("stage", None, "reject", None, None, "", (), ("admin",))
    access: Access = structs.replace(ACCESS, default_role="participant")
    _, bearer = applied.create_key()
    config = applied.config("api-keys", access=access, rooms=(stage,))
    async with connect(config, url=LAN, headers={"authorization": bearer}) as client:
        error = check_error(await client.post(SOURCE, json={"room_name": "stage"}), 403, "not-allowed")
    assert "admin" in error["hint"]
