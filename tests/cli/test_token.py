import re
import time
from typing import Any

import jwt
import pytest
from msgspec.structs import replace

from lkhub.plan.paths import StatePaths
from lkhub.service.roles import PLAIN
from lkhub.wire.application import Access, Application
from tests.cli.conftest import SECRET, Run, write_serve

ANN = ("--room", "lobby", "--identity", "ann")

pytestmark = pytest.mark.usefixtures("applied")


def claims(token: str) -> dict[str, Any]:
    return jwt.decode(token, SECRET.reveal(), algorithms=["HS256"])


def test_token_alone_is_on_stdout(run: Run) -> None:
    done = run("token", *ANN, "--name", "Ann Ü.")
    assert (done.code, done.err) == (0, "")
    assert re.fullmatch(r"[\w.-]+\n", done.out)
    token = claims(done.out.strip())
    assert (token["iss"], token["sub"], token["name"]) == ("APIcurrent", "ann", "Ann Ü.")
    assert token["video"]["room"] == "lobby"


@pytest.mark.parametrize(
    ("ttl", "seconds"), [(None, 6 * 3600), ("90s", 90), ("30m", 1800), ("6h", 21600), ("30d", 30 * 86400)]
)
def test_token_is_good_for_as_long_as_asked(run: Run, ttl: str | None, seconds: int) -> None:
    token = claims(run("token", *ANN, *(["--ttl", ttl] if ttl else [])).out.strip())
    assert abs(token["exp"] - time.time() - seconds) < 30


@pytest.mark.parametrize(
    "ttl", ["0s", "6", "h", "-6h", "6 h", "1.5h", "6H", "1y", "9999999d", "4000d", "", "٣s", "6h\n"]
)
def test_duration_that_is_none_is_refused(run: Run, ttl: str) -> None:
    done = run("token", *ANN, "--ttl", ttl)
    assert (done.code, done.out) == (2, "")
    assert "--ttl: " in done.err


def test_link_carries_its_token_in_the_fragment(run: Run) -> None:
    done = run("token", "--room", "a/b ü#?", "--link")
    link = done.out.strip()
    assert link.startswith("http://127.0.0.1:8080/join/a%2Fb%20%C3%BC%23%3F#")
    token = claims(link.partition("#")[2])
    assert token["video"]["room"] == "a/b ü#?"
    assert token["sub"].startswith("guest-")
    assert abs(token["exp"] - time.time() - 86400) < 30
    assert not {"roomAdmin", "roomCreate", "roomList"} & set(token["video"])


def test_two_links_are_for_two_people(run: Run) -> None:
    people = {claims(run("token", "--room", "a", "--link").out.strip().partition("#")[2])["sub"] for _ in range(5)}
    assert len(people) == 5


@pytest.mark.parametrize("room", ["lobby ", " lobby", ".", ".."])
def test_link_that_would_lead_elsewhere_is_refused(run: Run, room: str) -> None:
    done = run("token", "--room", room, "--link")
    assert (done.code, done.out) == (2, "")
    assert "--room " in done.err
    assert run("token", "--room", room, "--identity", "ann").code == 0, "applications may have such rooms"


def test_line_for_a_dotenv_file(run: Run) -> None:
    assert re.fullmatch(r"TOKEN=[\w.-]+\n", run("token", *ANN, "--dotenv", "TOKEN").out)


def test_line_for_a_build_has_its_token_for_a_month(run: Run) -> None:
    asked = ("--ttl", "30d", "--room", "bmo-room", "--identity", "bmo-user", "--dotenv", "VITE_LIVEKIT_TOKEN")
    name, _, token = run("token", *asked).out.strip().partition("=")
    assert name == "VITE_LIVEKIT_TOKEN"
    assert (claims(token)["sub"], claims(token)["video"]["room"]) == ("bmo-user", "bmo-room")
    assert abs(claims(token)["exp"] - time.time() - 30 * 86400) < 30


def test_token_for_a_program(run: Run) -> None:
    made = run("token", *ANN, "--ttl", "30m", "--json").json
    assert {key: made[key] for key in ("room", "identity", "url")} == {
        "room": "lobby",
        "identity": "ann",
        "url": "ws://127.0.0.1:7880",
    }
    assert claims(made["token"])["exp"] == made["expires_at"]


@pytest.mark.parametrize(
    "arguments",
    [
        ("--room", "lobby"),
        ("--room", "", "--identity", "ann"),
        ("--room", "", "--link"),
        ("--room", "lobby", "--identity", ""),
        ("--room", "x" * 257, "--identity", "ann"),
        ("--room", "lobby", "--identity", "x" * 257),
        ("--room", "lobby", "--link", "--dotenv", "TOKEN"),
        ("--room", "lobby", "--link", "--json"),
        (*ANN, "--dotenv", "1A"),
        (*ANN, "--dotenv", "A B"),
        (*ANN, "--dotenv", ""),
    ],
    ids=lambda arguments: " ".join(arguments)[:40],
)
def test_wrong_question_gives_no_token(run: Run, arguments: tuple[str, ...]) -> None:
    done = run("token", *arguments)
    assert (done.code, done.out) == (2, "")


def test_hub_without_keys_gives_no_token(run: Run, paths: StatePaths) -> None:
    with open(paths.keys, "w"):
        pass
    done = run("token", *ANN)
    assert (done.code, done.out) == (3, "")


@pytest.mark.parametrize("option", ["--room", "--identity", "--name"])
@pytest.mark.parametrize("how", [(), ("--link",), ("--json",)], ids=repr)
@pytest.mark.parametrize("unseen", ["\r", "\n", "\x1b", "\u202e", "\u200b", "\ud800"], ids=ascii)
def test_name_with_what_cannot_be_seen_is_refused(run: Run, option: str, how: tuple[str, ...], unseen: str) -> None:
    given = {"--room": "lobby", "--identity": "ann", "--name": "Ann", option: f"an{unseen}n"}
    done = run("token", *how, *(word for pair in given.items() for word in pair))
    assert (done.code, done.out) == (2, "")
    assert f"{option} has U+{ord(unseen):04X} " in done.err
    assert f"an{unseen}n" not in done.err


@pytest.fixture
def roles(applied: StatePaths) -> None:
    listener = replace(PLAIN, publish=(), rooms=("hall-*",), ttl=600)
    opener = replace(PLAIN, create=True)
    access = Access(roles={"participant": PLAIN, "listener": listener, "opener": opener}, create="operator")
    write_serve(applied, Application(access=access))


@pytest.mark.usefixtures("roles")
def test_role_says_what_the_participant_may_do_and_for_how_long(run: Run) -> None:
    asked = ("--room", "hall-1", "--identity", "ann", "--role", "listener")
    token = claims(run("token", *asked).out.strip())
    video = token["video"]
    assert (video["room"], video["canPublish"], video["canSubscribe"]) == ("hall-1", False, True)
    assert abs(token["exp"] - time.time() - 600) < 30
    longer = claims(run("token", *asked, "--ttl", "30d", "--dotenv", "TOKEN").out.strip().partition("=")[2])
    assert (longer["video"], abs(longer["exp"] - time.time() - 30 * 86400) < 30) == (token["video"], True)
    assert claims(run("token", *ANN, "--role", "opener").out.strip())["video"]["roomCreate"] is True


@pytest.mark.usefixtures("roles")
@pytest.mark.parametrize(
    ("more", "why"),
    [
        (("--role", "lisener"), "there is no role lisener"),
        (("--role", "listener"), "role listener does not lead into lobby"),
        (("--role", "listener", "--link"), "--link and --role exclude each other"),
    ],
)
def test_role_that_gives_no_token_is_refused(run: Run, more: tuple[str, ...], why: str) -> None:
    done = run("token", *ANN, *more)
    assert (done.code, done.out) == (2, "")
    assert why in done.err
