"""What a caller gets of what it wants."""

from typing import Any

import jwt
import pytest
from msgspec.structs import replace
from starlette.requests import Request

from lkhub.livekit.room_config import AgentDispatch, RoomConfig
from lkhub.secret import Secret
from lkhub.service.access.caller import Caller
from lkhub.service.errors import ApiError
from lkhub.service.roles import PLAIN
from lkhub.service.tokens import Issued, Issuer, Judged, Wanted
from lkhub.wire.application import Access, Application, Dispatch, RoomPreset

pytestmark = pytest.mark.anyio

SECRET = Secret("S" * 43)
REQUEST = Request({"type": "http", "headers": []})

KEY = Caller(kind="api-key", id="k1", roles=("participant", "speaker", "admin"), vouches=True)
OPEN = Caller(kind="open")
USER = Caller(kind="oidc", id="ann@example.com", name="Ann", identity="ann", roles=("participant",))

ROLES = {
    "participant": replace(PLAIN, metadata=10),
    "speaker": replace(PLAIN, rooms=("voice-*",), ttl=60, agents=("helper", "bot-*")),
    "admin": replace(PLAIN, admin=True, create=True),
}


def preset(match: str, **settings: Any) -> RoomPreset:
    plain = RoomPreset(match, None, "reject", None, None, "", (), ())
    return replace(plain, **settings)


PRESETS = (
    preset("stage", roles=("speaker", "admin")),
    preset("small", capacity=2),
    preset("many", capacity=2, overflow="subrooms"),
)
APPLICATION = Application(used=True, access=Access(roles=ROLES, default_role="participant"), rooms=PRESETS)


class FakeBook:
    """Remembers in which order it was asked, and refuses if it is told to. `room` is the one in which it has a seat."""

    def __init__(self, refuses: str = "", room: str = "") -> None:
        self.refuses, self.room, self.said = refuses, room, list[tuple[Any, ...]]()

    def admit(self, caller: Caller, judged: Judged, request: Request) -> None:
        self.said.append(("admit", caller.text, judged.room, judged.typed))
        if self.refuses == "admit":
            raise ApiError(429, "too often")

    async def write(self, caller: Caller, judged: Judged, party: str, expires: int, request: Request) -> str:
        self.said.append(("write", caller.text, judged.role_name, judged.identity, judged.seated, party, expires))
        if self.refuses == "write":
            raise ApiError(503, "no store")
        return self.room or judged.room


def make(application: Application = APPLICATION, **parts: Any) -> Issuer:
    return Issuer(application, lambda: ("API", SECRET), **parts)


async def issue(caller: Caller, wanted: Wanted, **parts: Any) -> Issued:
    return await make(**parts).issue(caller, wanted, REQUEST)


def claims(issued: Issued) -> dict[str, Any]:
    return jwt.decode(issued.token, SECRET.reveal(), algorithms=["HS256"])


async def refused(caller: Caller, wanted: Wanted, **parts: Any) -> ApiError:
    with pytest.raises(ApiError) as error:
        await issue(caller, wanted, **parts)
    return error.value


async def test_token_has_the_rights_and_the_lifetime_of_its_role() -> None:
    issued = await issue(KEY, Wanted("voice-1", "ann", role="speaker"))
    token = claims(issued)
    assert (token["iss"], token["sub"], token["video"]["room"]) == ("API", "ann", "voice-1")
    assert token["exp"] == issued.expires
    assert token["exp"] - token["nbf"] == 60 + 10
    admin = claims(await issue(KEY, Wanted("r", "ann", role="admin")))
    assert admin["video"]["roomAdmin"] is True


async def test_right_to_open_rooms_is_only_for_a_hub_whose_rooms_the_operator_opens() -> None:
    wanted = Wanted("r", "ann", role="admin")
    closed = replace(APPLICATION, access=replace(APPLICATION.access, create="operator"))
    assert "roomCreate" not in claims(await issue(KEY, wanted))["video"]
    assert claims(await issue(KEY, wanted, application=closed))["video"]["roomCreate"] is True
    assert "roomCreate" not in claims(await issue(KEY, Wanted("r"), application=closed))["video"]


async def test_whoever_may_enter_a_room_may_ask_for_one_of_its_sub_rooms() -> None:
    roles = {**ROLES, "speaker": replace(ROLES["speaker"], rooms=("many",))}
    application = replace(APPLICATION, access=replace(APPLICATION.access, roles=roles))
    for caller in (replace(KEY, rooms=("many",)), KEY):
        wanted = Wanted("many(2)", "ann", role="speaker")
        assert (await issue(caller, wanted, application=application)).room == "many(2)"


@pytest.mark.parametrize(
    ("caller", "wanted", "status", "why"),
    [
        (OPEN, Wanted("r", role="admin"), 403, "role admin"),
        (KEY, Wanted("r", role="speaker"), 403, "role speaker does not lead into this room"),
        (replace(KEY, rooms=("voice-*",)), Wanted("r"), 403, "this API key does not lead into this room"),
        (replace(KEY, rooms=()), Wanted("r"), 403, "this API key does not lead into this room"),
        (KEY, Wanted("stage"), 403, "not for role participant"),
        (KEY, Wanted("r", role="nonsense"), 422, "role: "),
        (KEY, Wanted("r", metadata="x" * 11), 422, "11 bytes together, and role participant allows 10"),
        (KEY, Wanted("r", metadata="x" * 5, attributes={"a": "é" * 3}), 422, "12 bytes"),
        (USER, Wanted("r", "bob"), 403, "identity of its own"),
        (KEY, Wanted("lkhub-verify-udp-1"), 422, "room: names with lkhub-verify-"),
    ],
    ids=lambda value: str(value)[:30],
)
async def test_what_is_not_allowed(caller: Caller, wanted: Wanted, status: int, why: str) -> None:
    error = await refused(caller, wanted)
    assert error.status == status
    assert why in error.message


async def test_metadata_up_to_the_limit_is_passed_on() -> None:
    token = claims(await issue(KEY, Wanted("r", "ann", metadata="x" * 4, attributes={"a": "é" * 2 + "z"})))
    assert (token["metadata"], token["attributes"]) == ("xxxx", {"a": "ééz"})


async def test_key_for_a_room_leads_into_its_sub_rooms_and_into_no_other() -> None:
    lobby = replace(KEY, rooms=("many",))
    assert (await issue(lobby, Wanted("many(2)", "ann"))).room == "many(2)"
    small = replace(KEY, rooms=("small",))
    assert (await refused(small, Wanted("small(2)", "ann"))).status == 403


@pytest.mark.parametrize(
    ("caller", "given", "identity", "typed"),
    [
        (KEY, "Kx", "Kx", False),
        (KEY, "kX", "kX", False),
        (KEY, " a\u0430 ", " a\u0430 ", False),
        (OPEN, "ann", "ann", True),
        (USER, "", "ann", False),
        (USER, "ann", "ann", False),
    ],
)
async def test_identity(caller: Caller, given: str, identity: str, typed: bool) -> None:
    book = FakeBook()
    issued = await issue(caller, Wanted("r", given), book=book)
    assert issued.identity == claims(issued)["sub"] == identity
    assert book.said[0] == ("admit", caller.text, "r", typed)


async def test_caller_without_an_identity_gets_a_new_one_each_time() -> None:
    guests = {(await issue(caller, Wanted("r"))).identity for caller in (OPEN, KEY) for _ in range(10)}
    assert len(guests) == 20


async def test_room_that_the_join_opens_has_the_settings_of_its_preset() -> None:
    settings = {"capacity": 2, "overflow": "subrooms", "empty_timeout": 60, "agents": (Dispatch("scribe", ""),)}
    application = replace(APPLICATION, rooms=(preset("voice-1", **settings),))
    agents = RoomConfig(agents=(AgentDispatch("helper"),))
    wanted = Wanted("voice-1(2)", "ann", role="speaker", room_config=agents)
    assert claims(await issue(KEY, wanted, application=application))["roomConfig"] == {
        "emptyTimeout": 60,
        "maxParticipants": 2,
        "agents": [{"agentName": "scribe"}, {"agentName": "helper"}],
    }
    assert "roomConfig" not in claims(await issue(KEY, Wanted("r"), application=application))


async def test_recorder_takes_no_seat() -> None:
    recorder = replace(APPLICATION.access, roles={**ROLES, "admin": replace(PLAIN, recorder=True)})
    book = FakeBook()
    wanted = Wanted("small", "ann", role="admin")
    await issue(KEY, wanted, application=replace(APPLICATION, access=recorder), book=book)
    assert book.said[1][4] is False


@pytest.mark.parametrize(
    ("caller", "given", "name"), [(USER, "", "Ann"), (USER, "Ann Ü.", "Ann Ü."), (replace(KEY, name=""), "", "x")]
)
async def test_name_that_people_are_shown(caller: Caller, given: str, name: str) -> None:
    identity = "" if caller.identity else "x"
    assert claims(await issue(caller, Wanted("r", identity, given)))["name"] == name


async def test_seat_is_asked_for_where_a_room_has_a_capacity() -> None:
    book = FakeBook(room="many(3)")
    issued = await issue(KEY, Wanted("many", "ann", party="friends"), book=book)
    assert issued.room == claims(issued)["video"]["room"] == "many(3)"
    assert book.said[1][4:6] == (True, "friends")
    book = FakeBook()
    await issue(KEY, Wanted("elsewhere", "ann"), book=book)
    assert book.said[1][4:6] == (False, "")


async def test_token_is_noted_before_it_is_given_away() -> None:
    book = FakeBook()
    issued = await issue(KEY, Wanted("many", "ann", role="admin"), book=book)
    assert book.said[1:] == [("write", "api-key k1", "admin", "ann", True, "", issued.expires)]
    assert (await refused(KEY, Wanted("r"), book=FakeBook(refuses="write"))).status == 503


async def test_who_asks_too_often_takes_no_seat() -> None:
    book = FakeBook(refuses="admit")
    assert (await refused(KEY, Wanted("many"), book=book)).status == 429
    assert len(book.said) == 1


async def test_who_may_not_is_refused_before_anything_is_asked_or_noted() -> None:
    book = FakeBook()
    await refused(OPEN, Wanted("r", role="admin"), book=book)
    assert book.said == []


async def test_agents_that_the_role_allows_are_dispatched() -> None:
    agents = (AgentDispatch("helper", "m"), AgentDispatch("bot-7"))
    wanted = Wanted("voice-1", "ann", role="speaker", room_config=RoomConfig(name="x", agents=agents))
    dispatched = claims(await issue(KEY, wanted))["roomConfig"]["agents"]
    assert dispatched == [{"agentName": "helper", "metadata": "m"}, {"agentName": "bot-7"}]


@pytest.mark.parametrize(
    "config",
    [
        RoomConfig(agents=(AgentDispatch("helper"), AgentDispatch("spy"))),
        RoomConfig(agents=(AgentDispatch(""),)),
        RoomConfig(empty_timeout=1),
        RoomConfig(departure_timeout=1),
        RoomConfig(max_participants=1),
        RoomConfig(metadata="x"),
    ],
    ids=repr,
)
async def test_room_config_decides_nothing_else(config: RoomConfig) -> None:
    wanted = Wanted("voice-1", "ann", role="speaker", room_config=config)
    assert (await refused(KEY, wanted)).status == 403


async def test_role_that_allows_no_agents_dispatches_none() -> None:
    wanted = Wanted("r", room_config=RoomConfig(agents=(AgentDispatch("helper"),)))
    assert (await refused(KEY, wanted)).status == 403
