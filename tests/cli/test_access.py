"""`lkhub access`: what it prints where, and what is in the store afterwards."""

import re
import sqlite3
import time
from pathlib import Path

import pytest
from msgspec.structs import replace

from lkhub.plan.paths import StatePaths
from lkhub.service.roles import PLAIN
from lkhub.store.api_keys import list_api_keys
from lkhub.store.digest import digest
from lkhub.store.invites import Invite, create_invite, redeem
from lkhub.store.issued import Entry, Record, note_issued
from lkhub.store.store import Store
from lkhub.wire.application import Access, Application
from tests.cli.conftest import Run, write_serve
from tests.test_reference import find_json


def put_in_force(paths: StatePaths, *modes: str) -> None:
    """A hub that was up with these modes, with a store that no service has opened yet."""
    roles = {"participant": PLAIN, "speaker": PLAIN}
    access = Access(modes=modes, roles=roles, default_role="participant")  # type: ignore[arg-type]
    write_serve(paths, Application(used=True, access=access))


@pytest.fixture
def hub(applied: StatePaths) -> StatePaths:
    put_in_force(applied, "api-keys")
    return applied


def note(hub: StatePaths, *entries: Entry) -> None:
    store = Store(f"sqlite:///{hub.store}")
    with store.writing() as connection:
        note_issued(connection, [Record(entry, "", (), entry.room, False, 0.0) for entry in entries])
    store.close()


def test_key_alone_is_on_stdout_and_only_its_digest_in_the_store(run: Run, hub: StatePaths) -> None:
    done = run(
        "access", "create", "my shop", "--room", "voice-*", "--room", "hall", "--role", "speaker", "--ttl", "90d"
    )
    assert done.code == 0
    assert re.fullmatch(r"lkhub_[0-9a-f]{8}_[\w-]{43}\n", done.out)
    text = done.out.strip()
    assert text not in done.err
    assert f"`lkhub access revoke {text.split('_')[1]}` ends it" in done.err
    store = Store(f"sqlite:///{hub.store}")
    with store.reading() as connection:
        [key] = list_api_keys(connection)
    store.close()
    assert (key.name, key.rooms, key.roles, key.digest) == (
        "my shop",
        ("voice-*", "hall"),
        ("speaker",),
        digest(text),
    )
    assert key.expires == pytest.approx(key.created + 90 * 86400)


def test_key_is_shown_once(run: Run, hub: StatePaths) -> None:
    text = run("access", "create", "shop").out.strip()
    _, identifier, secret = text.split("_", 2)
    for command in (["list"], ["list", "--json"], ["revoke", identifier, "--json"], ["log", "--json"]):
        done = run("access", *command)
        assert done.code == 0
        assert secret not in done.out + done.err


def test_whole_key_in_place_of_its_id_is_not_repeated(run: Run, hub: StatePaths) -> None:
    text = run("access", "create", "shop").out.strip()
    _, identifier, secret = text.split("_", 2)
    done = run("access", "revoke", text)
    assert (done.code, done.out) == (2, "")
    assert f"`lkhub access revoke {identifier}` ends it" in done.err
    assert secret not in done.err


def test_invites_that_a_revoked_key_made_are_named(run: Run, hub: StatePaths) -> None:
    """Whoever has stolen the key could come in by them for a year."""
    ids = [run("access", "create", name).out.split("_")[1] for name in ("shop", "other")]
    assert "invite" not in run("access", "revoke", ids[1]).err
    store, now = Store(f"sqlite:///{hub.store}"), time.time()
    with store.writing() as connection:
        made = [
            create_invite(
                connection, room="board", role="speaker", uses=None, creator=creator, now=now, expires=now + lasts
            )[0].id
            for creator, lasts in ((f"api-key {ids[0]}", 60.0), (f"api-key {ids[0]}", -60.0), ("command line", 60.0))
        ]
    store.close()
    done = run("access", "revoke", ids[0])
    assert done.code == 0
    assert (
        f"an invite that was made with it, with its tokens or by those who came so still lets people in: {made[0]}"
        in done.err
    )
    assert f"`lkhub invite revoke {made[0]}` ends one" in done.err
    assert not {made[1], made[2]} & set(done.err.split())
    assert made[0] in run("access", "revoke", ids[0], "--json").err
    assert run("invite", "revoke", made[0]).code == 0
    assert "invite" not in run("access", "revoke", ids[0]).err


def test_invites_that_were_made_with_tokens_of_a_revoked_key_are_named(run: Run, hub: StatePaths) -> None:
    """A host in a call invites with the token of the call, and so may the one who has stolen the key."""
    key, other = (run("access", "create", name).out.split("_")[1] for name in ("shop", "other"))
    store, now = Store(f"sqlite:///{hub.store}"), time.time()
    with store.writing() as connection:
        for caller, identity, room in ((key, "eve", "board"), (other, "bob", "board"), (key, "ann", "lobby")):
            entry = Entry(now, f"api-key {caller}", identity, room, "host", "203.0.113.9")
            note_issued(connection, [Record(entry, caller, (), room, typed=False, until=now + 60)])
        made = [
            create_invite(
                connection, room="board", role="speaker", uses=None, creator=creator, now=now, expires=now + 60
            )[0].id
            for creator in ("participant eve", "participant bob", "participant ann")
        ]
    store.close()
    done = run("access", "revoke", key)
    assert (
        f"an invite that was made with it, with its tokens or by those who came so still lets people in: {made[0]}"
        in done.err
    )
    assert not {made[1], made[2]} & set(done.err.split())


def test_invites_of_those_who_came_by_an_invite_of_a_revoked_key_are_named(run: Run, hub: StatePaths) -> None:
    """Whoever has stolen the key invites itself as a host. That invite is used up, and what the host makes is not."""
    key = run("access", "create", "shop").out.split("_")[1]
    store, now = Store(f"sqlite:///{hub.store}"), time.time()
    with store.writing() as connection:

        def invite(creator: str, role: str = "speaker") -> tuple[str, str]:
            made, secret = create_invite(
                connection, room="board", role=role, uses=1, creator=creator, now=now, expires=now + 60
            )
            return made.id, secret.reveal()

        def come(by: str, identity: str) -> None:
            entry = Entry(now, f"invite {by}", identity, "board", "host", "203.0.113.9")
            note_issued(connection, [Record(entry, "", (), "board", typed=False, until=now + 60)])

        first, secret = invite(f"api-key {key}", "host")
        redeem(connection, secret=secret, room="board", tab="tab", identity="guest-1", now=now, again=lambda _: 0.0)
        come(first, "guest-1")
        second, _ = invite("participant guest-1")
        come(second, "guest-2")
        third, _ = invite("participant guest-2")
        other, _ = invite("participant bob")
    store.close()
    said = run("access", "revoke", key).err
    assert {second, third} <= set(re.findall(r"[a-z2-7]{8}", said))
    assert first not in said
    assert other not in said


def test_key_has_ended_and_the_store_is_free_before_its_invites_are_looked_for(
    run: Run, hub: StatePaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Among a million tokens that takes seconds, in which every application would get 503, and the thief tokens."""
    key = run("access", "create", "shop").out.split("_")[1]
    seen: list[bool] = []

    def look(*_: object) -> list[Invite]:
        other = sqlite3.connect(hub.store, timeout=0)
        other.execute("BEGIN IMMEDIATE")
        seen.extend(row[0] is not None for row in other.execute("SELECT revoked FROM api_keys"))
        other.close()
        return []

    monkeypatch.setattr("lkhub.store.invites.list_open", look)
    assert run("access", "revoke", key).code == 0
    assert seen == [True]


def test_json_is_as_documented(run: Run, hub: StatePaths) -> None:
    [shown_key], [shown_list], [shown_log] = (
        find_json("docs/reference/json.md", f"lkhub access {name} --json")
        for name in ("create and revoke", "list", "log")
    )
    options = ["--room", "voice-*", "--role", "speaker", "--json"]
    made = run("access", "create", "shop", *options).json
    assert made.keys() == shown_key.keys()
    listed = run("access", "list", "--json").json
    assert listed["keys"] == [{name: value for name, value in made.items() if name != "key"}]
    assert listed["keys"][0].keys() == shown_list["keys"][0].keys()
    revoked = run("access", "revoke", made["id"], "--json").json
    assert (revoked["state"], type(revoked["revoked_at"])) == ("revoked", int)
    note(hub, Entry(1.5, "open", "ann", "lobby", "participant", "198.51.100.7"))
    logged = run("access", "log", "--json").json
    assert logged["issued"][0].keys() == shown_log["issued"][0].keys()


def test_list_says_what_each_key_is_for(run: Run, hub: StatePaths) -> None:
    run("access", "create", "shop", "--room", "voice-*", "--role", "speaker", "--ttl", "90d")
    other = run("access", "create", "bot").out.split("_")[1]
    run("access", "revoke", other)
    head, first, second = run("access", "list").out.splitlines()
    assert head.split() == ["ID", "STATE", "NAME", "ROOMS", "ROLES", "MADE"]
    assert re.search(r"until 20\d\d-\d\d-\d\d \d\d:\d\d +shop +voice-\* +speaker ", first)
    assert re.search(rf"{other} +revoked +bot +\* +the default ", second)


def test_hub_without_keys_says_how_to_make_one(run: Run, hub: StatePaths) -> None:
    done = run("access", "list")
    assert (done.code, done.out) == (0, "")
    assert "`lkhub access create NAME` makes one" in done.err


@pytest.mark.parametrize(
    ("modes", "written"),
    [([], "modes: [api-keys]"), (["open"], "modes: [open, api-keys]"), (["oidc"], "modes: [oidc, api-keys]")],
    ids=str,
)
def test_hub_that_takes_no_keys_says_so(run: Run, applied: StatePaths, modes: list[str], written: str) -> None:
    """What it says to type keeps the modes that there are."""
    put_in_force(applied, *modes)
    done = run("access", "create", "shop")
    assert done.code == 0
    assert "this hub takes no API keys yet" in done.err
    assert written in done.err


def test_log_prints_the_newest_last_and_commands_no_terminal(run: Run, hub: StatePaths) -> None:
    names = ("ann", "b\x1b[2Job\nroot  admin", "c\u202ed")
    note(hub, *(Entry(float(at), "open", name, f"r{at}", "participant", "::1") for at, name in enumerate(names)))
    done = run("access", "log")
    head, *rows = done.out.splitlines()
    assert head.split() == ["AT", "CALLER", "IDENTITY", "ROOM", "ROLE", "FROM"]
    assert [row.split()[-3] for row in rows] == ["r0", "r1", "r2"]
    assert not {"\x1b", "\u202e"} & set(done.out)
    assert len(run("access", "log", "-n", "2").out.splitlines()) == 3
    assert len(run("access", "log", "--room", "r1").out.splitlines()) == 2
    assert run("access", "log", "--room", "none").out == ""


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["create", ""], "NAME is empty"),
        (["create", "a\u202eb"], "U+202E"),
        (["create", "shop", "--room", ""], "--room: empty; write a pattern"),
        (["create", "shop", "--ttl", "soon"], "--ttl"),
        (["create", "shop", "--ttl", "0s"], "--ttl"),
        (["create", "shop", "--role", "boss"], "there are participant, speaker; those that were added to the spec"),
        (["revoke", "none"], "there is no API key none"),
        (["revoke"], "ID"),
        (["log", "-n", "0"], "-n"),
        (["log", "--room", ""], "--room is empty"),
    ],
    ids=lambda value: ascii(value),
)
def test_wrong_usage(run: Run, hub: StatePaths, arguments: list[str], why: str) -> None:
    done = run("access", *arguments)
    assert (done.code, done.out) == (2, "")
    assert why in done.err
    assert run("access", "list").out == ""


@pytest.mark.parametrize(
    ("rooms", "roles", "why"),
    [
        (["stage-*"], ["speaker"], "role speaker does not lead into stage-*"),
        (["stage-*", "hall"], ["participant", "speaker"], "role speaker does not lead into stage-* or hall"),
        (["stage-*"], [], "the default role, speaker, does not lead into stage-*"),
        (["*-1"], ["speaker", "nowhere"], "role nowhere does not lead into *-1"),
        (["*-1"], ["speaker"], ""),
        ([], ["speaker"], ""),
        (["stage-*"], ["participant"], ""),
    ],
    ids=str,
)
def test_key_whose_role_leads_into_none_of_its_rooms_is_not_made(
    run: Run, applied: StatePaths, rooms: list[str], roles: list[str], why: str
) -> None:
    speaker, nowhere = replace(PLAIN, rooms=("voice-*",)), replace(PLAIN, rooms=())
    access = Access(
        modes=("api-keys",),
        roles={"participant": PLAIN, "speaker": speaker, "nowhere": nowhere},
        default_role="speaker",
    )
    write_serve(applied, Application(used=True, access=access))
    given = [each for room in rooms for each in ("--room", room)] + [
        each for role in roles for each in ("--role", role)
    ]
    done = run("access", "create", "shop", *given)
    assert done.code == (2 if why else 0)
    assert why in done.err
    assert (done.out == "") is bool(why)


def test_key_that_is_named_instead_of_its_id(run: Run, hub: StatePaths) -> None:
    for name in ("shop", "shop", "other"):
        assert run("access", "create", name).code == 0
    ids = [line.split()[0] for line in run("access", "list").out.splitlines()[1:] if "shop" in line]
    done = run("access", "revoke", "shop")
    assert done.code == 2
    assert f"{ids[0]} or {ids[1]} has that name: `lkhub access revoke {ids[0]}" in done.err
    assert run("access", "revoke", ids[0]).code == 0
    assert f"{ids[1]} has that name" in run("access", "revoke", "shop").err


def test_hub_that_notes_nothing_does_not_say_that_it_gave_nothing_away(run: Run, applied: StatePaths) -> None:
    access = Access(modes=("open",), roles={"participant": PLAIN}, default_role="participant")
    write_serve(applied, Application(used=False, access=access))
    done = run("access", "log")
    assert "no token was given away" not in done.err
    assert "notes those of invites alone" in done.err
    assert "notes those of invites alone" in run("access", "log", "--json").err


def test_log_of_a_room_says_nothing_of_others(run: Run, hub: StatePaths) -> None:
    note(hub, Entry(1_800_000_000.0, "api-key x", "ann", "hall", "speaker", "127.0.0.1"))
    assert run("access", "log", "--room", "lobby").err == "no token was given away for room lobby\n"


def test_hub_that_was_never_up(run: Run) -> None:
    done = run("access", "list")
    assert (done.code, done.out) == (3, "")
    assert "`lkhub up` starts it" in done.err


def test_store_that_is_damaged(run: Run, hub: StatePaths) -> None:
    Path(hub.store).write_bytes(b"rubbish" * 1000)
    done = run("access", "list")
    assert (done.code, done.out) == (3, "")
    assert "damaged" in done.err
