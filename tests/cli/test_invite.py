import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import ANY
from urllib.parse import quote

import pytest
from msgspec.structs import replace

from lkhub.cli import invite
from lkhub.cli.invite import count_lines
from lkhub.cli.shared.show import draw_qr
from lkhub.host.files import write_private
from lkhub.livekit.links import invite_link
from lkhub.plan.paths import StatePaths
from lkhub.service.roles import PLAIN
from lkhub.store.invites import Redemption, create_invite, redeem
from lkhub.store.issued import Entry, Record, note_issued
from lkhub.store.store import Store
from lkhub.wire.application import Access, Application, RoomPreset
from tests.cli.conftest import SECRET, Run, write_serve
from tests.kit.room_service import Sfu, make_room, run_sfu
from tests.test_reference import find_json

ROLES = {"participant": PLAIN, "host": PLAIN, "opener": replace(PLAIN, create=True)}
STAFF = RoomPreset("staff-*", None, "reject", None, None, "", (), ("host",))


@pytest.fixture
def hub(applied: StatePaths) -> StatePaths:
    """A hub that was up, with a store that no service has opened yet."""
    access = Access(roles=ROLES, default_role="participant")
    write_serve(applied, Application(access=access, rooms=(STAFF,)))
    return applied


def take(hub: StatePaths, link: str, room: str = "lobby", tab: str = "tab") -> object:
    store = Store(f"sqlite:///{hub.store}")
    with store.writing() as connection:
        taken = redeem(
            connection,
            secret=link.partition("#i=")[2],
            room=room,
            tab=tab,
            identity="guest",
            now=time.time(),
            again=lambda _: 0.0,
        )
    store.close()
    return taken


def test_link_alone_is_on_stdout_and_works(run: Run, hub: StatePaths) -> None:
    done = run("invite", "lobby")
    assert done.code == 0
    link = done.out.removesuffix("\n")
    assert link.startswith("http://127.0.0.1:8080/join/lobby#i=")
    assert "\n" not in link
    taken = take(hub, link)
    assert isinstance(taken, Redemption)
    invite = taken.invite
    assert (invite.room, invite.role, invite.uses, invite.creator) == ("lobby", "participant", None, "command line")
    assert invite.expires == pytest.approx(invite.created + 7 * 86400)
    assert f"any number of people into lobby for 7d; `lkhub invite revoke {invite.id}` ends it" in done.err


def test_options_say_who_and_how_long(run: Run, hub: StatePaths) -> None:
    done = run("invite", "--role", "host", "--uses", "2", "--ttl", "90s", "--json", "staff-1")
    made = done.json
    assert set(made) == {"id", "link", "room", "role", "uses", "expires_at"}
    assert (made["room"], made["role"], made["uses"]) == ("staff-1", "host", 2)
    assert abs(made["expires_at"] - time.time() - 90) < 60
    assert isinstance(take(hub, made["link"], "staff-1"), Redemption)


def test_name_of_a_room_is_written_as_in_an_address(run: Run, hub: StatePaths) -> None:
    done = run("invite", "a/b ü#?")
    assert f"/join/{quote('a/b ü#?', safe='')}#i=" in done.out
    assert isinstance(take(hub, done.out.strip(), "a/b ü#?"), Redemption)


@pytest.mark.parametrize(
    ("typed", "meant"), [("lst", "list"), ("ls", "list"), ("lists", "list"), ("revok", "revoke"), ("creat", "create")]
)
def test_slip_of_a_command_makes_no_invite(run: Run, hub: StatePaths, typed: str, meant: str) -> None:
    done = run("invite", typed, "--uses", "1")
    assert (done.code, done.out) == (2, "")
    assert f"did you mean `lkhub invite {meant}`?" in done.err
    assert f"`lkhub invite create {typed}`" in done.err
    assert run("invite", "list", "--json").json == {"invites": []}
    assert f"/join/{typed}#i=" in run("invite", "create", typed).out


@pytest.mark.parametrize("command", ["list", "revoke", "create"])
def test_command_behind_options_makes_no_invite(run: Run, hub: StatePaths, command: str) -> None:
    done = run("invite", "--json", "--ttl", "1h", command)
    assert (done.code, done.out) == (2, "")
    assert f"options come after it: `lkhub invite {command} …`" in done.err
    assert run("invite", "list").out == ""


@pytest.mark.parametrize("room", ["list", "revoke", "create"])
def test_room_may_be_called_like_a_command(run: Run, hub: StatePaths, room: str) -> None:
    assert f"/join/{room}#i=" in run("invite", "create", room).out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([""], "ROOM is empty"),
        ([" "], "ROOM is empty"),
        (["x" * 257], "ROOM has 257 bytes"),
        (["a\u202eb"], "RIGHT-TO-LEFT OVERRIDE"),
        (["lobby "], "ROOM begins or ends with a blank"),
        ([".."], "ROOM is a step of a path"),
        (["lobby", "--role", "hots"], "there is no role hots"),
        (["staff-1"], "staff-1 is not for role participant"),
        (["lobby", "--ttl", "soon"], "--ttl: soon is not a duration"),
        (["lobby", "--ttl", "0s"], "--ttl: 0s is not between"),
        (["lobby", "--ttl", "9999999d"], "--ttl: 9999999d is not between"),
        (["lobby", "--uses", "0"], "--uses"),
        (["lobby", "--uses", "many"], "--uses"),
        (["lobby", "hall"], "unexpected"),
        (["revoke", "nothing"], "there is no invite nothing"),
        (["revoke", "a\nb"], "there is no invite"),
    ],
    ids=ascii,
)
def test_bad_input_makes_no_invite(run: Run, hub: StatePaths, arguments: list[str], said: str) -> None:
    done = run("invite", *arguments)
    assert (done.code, done.out) == (2, "")
    assert said in done.err
    assert run("invite", "list", "--json").json == {"invites": []}


@pytest.fixture
def closed(hub: StatePaths) -> Iterator[Sfu]:
    """The SFU of a hub on which joining opens no room."""
    with run_sfu(SECRET) as made:
        record = json.loads(Path(hub.applied).read_text()) | {"auto_create": False}
        record["urls"]["local_media"] = made.url
        write_private(hub.applied, json.dumps(record))
        yield made


def test_invite_into_a_room_that_is_not_open_says_so(run: Run, closed: Sfu) -> None:
    closed.open(make_room("lobby"))
    assert "not open" not in run("invite", "lobby").err
    for json_too in ([], ["--json"]):
        done = run("invite", "the hall", *json_too)
        assert done.code == 0
        assert "note: joining opens no room here, and this one is not open" in done.err
        assert "`lkhub rooms create 'the hall'` opens it" in done.err
        assert "#i=" in done.out


def test_role_that_opens_rooms_needs_no_open_room(run: Run, closed: Sfu) -> None:
    assert "not open" not in run("invite", "hall", "--role", "opener").err
    assert closed.calls("ListRooms") == []


def test_hub_that_can_not_be_asked_makes_invites_all_the_same(run: Run, closed: Sfu) -> None:
    closed.wrong["ListRooms"] = (500, b"")
    done = run("invite", "hall")
    assert (done.code, "not open" in done.err) == (0, False)


@pytest.mark.parametrize("arguments", [["lobby"], ["list"], ["revoke", "x"]], ids=" ".join)
def test_hub_that_was_never_up_says_what_to_type(run: Run, arguments: list[str]) -> None:
    done = run("invite", *arguments)
    assert (done.code, done.out) == (3, "")
    assert "lkhub up" in done.err


def test_hub_of_an_lkhub_without_a_store_says_what_to_type(run: Run, hub: StatePaths) -> None:
    file = Path(hub.render("serve.json"))
    config = json.loads(file.read_text())
    del config["application"]
    write_private(str(file), json.dumps(config))
    done = run("invite", "list")
    assert (done.code, done.out) == (3, "")
    assert "`lkhub up`" in done.err


def test_list_shows_what_each_is_good_for_and_no_secret(run: Run, hub: StatePaths) -> None:
    link = run("invite", "lobby", "--uses", "1").out.strip()
    taken = take(hub, link)
    assert isinstance(taken, Redemption)
    run("invite", "staff-1", "--role", "host", "--ttl", "30d")
    listed = run("invite", "list")
    assert [line.split("  ") for line in (re.sub(" {3,}", "  ", each) for each in listed.out.splitlines())][1:] == [
        [ANY, "open for 29d", "staff-1", "host", "0 of any number", "command line"],
        [taken.invite.id, "used", "lobby", "participant", "1 of 1", "command line"],
    ]
    assert link.partition("#i=")[2] not in listed.out
    entries = run("invite", "list", "--json").json["invites"]
    assert [entry["state"] for entry in entries] == ["open", "used"]
    assert entries[1]["id"] == taken.invite.id
    assert link.partition("#i=")[2] not in json.dumps(entries)


def test_no_invites_is_said(run: Run, hub: StatePaths) -> None:
    done = run("invite", "list")
    assert (done.code, done.out) == (0, "")
    assert "there are no invites" in done.err


def test_revoked_invite_lets_nobody_in(run: Run, hub: StatePaths) -> None:
    link = run("invite", "lobby").out.strip()
    (entry,) = run("invite", "list", "--json").json["invites"]
    done = run("invite", "revoke", entry["id"])
    assert (done.code, done.out) == (0, "")
    assert f"invite {entry['id']} into lobby lets nobody in any more" in done.err
    assert take(hub, link) == "revoked"
    assert run("invite", "revoke", entry["id"], "--json").json["state"] == "revoked"


def test_link_that_went_astray_is_revoked_by_itself(run: Run, hub: StatePaths) -> None:
    """Of several invites into a room, the list does not tell which one has the link."""
    run("invite", "lobby")
    link = run("invite", "lobby").out.strip()
    done = run("invite", "revoke", link)
    assert done.code == 0
    assert take(hub, link) == "revoked"
    assert [each["state"] for each in run("invite", "list", "--json").json["invites"]] == ["revoked", "open"]
    foreign = run("invite", "revoke", f"{link}x")
    assert foreign.code == 2
    assert link.partition("#i=")[2] not in done.err + foreign.err


def test_link_is_revoked_with_the_blanks_around_it(run: Run, hub: StatePaths) -> None:
    """Its page leaves them out too, so the link works for whoever has it like this."""
    link = run("invite", "lobby").out.strip()
    assert run("invite", "revoke", f" {link}\n").code == 0
    assert take(hub, link) == "revoked"


def test_join_link_is_no_invite_and_is_not_repeated(run: Run, hub: StatePaths) -> None:
    done = run("invite", "revoke", "http://127.0.0.1:8080/join/lobby#eyJhbGciOi.eyJ2aWRl.c2ln")
    assert done.code == 2
    assert "this is a join link, and no invite" in done.err
    assert "eyJ" not in done.err


def test_store_that_is_damaged_is_an_error(run: Run, hub: StatePaths) -> None:
    Path(hub.store).write_bytes(b"no database" * 1000)
    done = run("invite", "lobby")
    assert (done.code, done.out) == (3, "")
    assert "the store is damaged" in done.err


@pytest.mark.parametrize("reach", ["local", "lan", "public"])
def test_link_that_no_phone_can_open_has_no_qr_code(
    run: Run, hub: StatePaths, monkeypatch: pytest.MonkeyPatch, reach: str
) -> None:
    drawn: list[str] = []

    def show_qr(text: str, *, below: int) -> bool:
        drawn.append(text)
        return True

    monkeypatch.setattr(invite, "out", SimpleNamespace(is_terminal=True, width=80))
    monkeypatch.setattr(invite, "show_qr", show_qr)
    write_private(hub.applied, json.dumps(json.loads(Path(hub.applied).read_text()) | {"reach": reach}))
    done = run("invite", "lobby")
    assert drawn == ([] if reach == "local" else [done.out.strip()])
    assert ("works on this machine alone" in done.err) is (reach == "local")


@pytest.mark.parametrize("room", ["lobby", "team-meeting-of-the-whole-company"])
def test_qr_code_fits_a_terminal_of_80_by_24_with_its_link(room: str) -> None:
    link = invite_link("https://rtc.some-company.example.com", room, "a" * 16)
    lines = draw_qr(link)
    cells = len(lines[0]) - len("\x1b[38;5;16;48;5;231m\x1b[0m")
    assert cells <= 80
    assert len(lines) + count_lines(link, 80) + 1 <= 24, "the link and the prompt stand below"


def test_json_is_as_documented(run: Run, hub: StatePaths) -> None:
    [made] = find_json("docs/reference/json.md", "lkhub invite --json")
    assert run("invite", "lobby", "--json").json.keys() == made.keys()
    [listed] = find_json("docs/reference/json.md", "lkhub invite list --json")
    (entry,) = run("invite", "list", "--json").json["invites"]
    assert entry.keys() == listed["invites"][0].keys()
    assert run("invite", "revoke", entry["id"], "--json").json.keys() == entry.keys()


def test_invites_of_those_who_came_with_a_revoked_one_are_named(run: Run, hub: StatePaths) -> None:
    """A link that makes hosts was passed on: who has taken it invites others, and itself."""
    name, other = (run("invite", "lobby", "--role", "host", "--json").json["id"] for _ in range(2))
    store, now = Store(f"sqlite:///{hub.store}"), time.time()
    with store.writing() as connection:
        for caller, guest in ((name, "guest-1"), (other, "guest-2")):
            entry = Entry(now, f"invite {caller}", guest, "lobby", "host", "203.0.113.9")
            note_issued(connection, [Record(entry, "", (), "lobby", typed=False, until=now + 60)])
        made = [
            create_invite(
                connection, room="lobby", role="participant", uses=None, creator=creator, now=now, expires=now + 60
            )[0].id
            for creator in ("participant guest-1", "participant guest-2")
        ]
    store.close()
    done = run("invite", "revoke", name)
    assert done.code == 0
    assert f"by those who came with it still lets people in: {made[0]}" in done.err
    assert made[1] not in done.err
