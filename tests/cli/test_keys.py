"""`lkhub keys`, of a hub that is down and of one that runs."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from lkhub.cli import keys
from lkhub.errors import MachineError
from lkhub.host.files import write_private
from lkhub.host.keyfile import dump_keys, load_keys
from lkhub.plan.paths import StatePaths
from lkhub.secret import Secret
from lkhub.service.roles import PLAIN
from lkhub.spec.keys import DEV_KEY, DEV_SECRET
from lkhub.state.ring import KeyNote, read_notes, write_notes
from lkhub.store.invites import create_invite, revoke_invite
from lkhub.store.receivers import note_known_keys
from lkhub.store.store import Store
from lkhub.wire.application import Access, Application, Receiver
from tests.cli.conftest import PROCESSES, SECRET, FakeSupervisor, Run, list_owners, write_serve
from tests.waiting import wait_until

OLD = Secret("OLD" * 15)


@pytest.fixture
def managed(applied: StatePaths) -> StatePaths:
    """A hub whose keys lkhub generated: APIcurrent, and APIold, which is retiring."""
    write_private(applied.managed_keys, Path(applied.keys).read_text())
    write_notes(applied, [KeyNote("APIcurrent", 1_000_000.0), KeyNote("APIold", None, 1_000_000.0)])
    return applied


def media(*keys: dict[str, Any]) -> dict[str, Any]:
    """The answer of a supervisor to what it knows."""
    processes = [{**each, "roles": ["knows-participants"] if each["name"] == "media" else []} for each in PROCESSES]
    status = {"pid": 1, "state": "running", "rooms": [], "keys": keys}
    return {"pid": 1, "processes": processes, "media": status, "ages": {"media": 0.0}}


USES = [
    {"id": "APIcurrent", "count": 0, "participants": 0, "callers": []},
    {
        "id": "APIold",
        "count": 12,
        "participants": 2,
        "callers": [
            {"kind": "join", "address": "203.0.113.9", "identity": "ann", "count": 11, "at": 1_000_100.5},
            {"kind": "agent", "address": "127.0.0.1", "identity": "", "count": 1, "at": 1_000_050.0},
        ],
    },
]


@pytest.fixture
def runs(managed: StatePaths, supervisor: FakeSupervisor) -> FakeSupervisor:
    """A managed hub that runs, with people and agents who come with the old key."""
    supervisor.answers["status"] = media(*USES)
    changed = {"current": "APInew", "retiring": ["APIcurrent", "APIold"], "pending": False, "people": 0, "cut": 0}
    supervisor.answers["keys/rotate"] = changed
    supervisor.answers["keys/revoke"] = {**changed, "current": "APIcurrent", "retiring": []}
    return supervisor


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may act as others")
def test_root_rotates_the_keys_of_another_users_hub_that_is_down(
    run: Run, managed: StatePaths, give_away: Callable[[StatePaths], None]
) -> None:
    give_away(managed)
    done = run("keys", "rotate")
    assert done.code == 0, done.err
    assert list(load_keys(managed.keys))[1:] == ["APIcurrent", "APIold"]
    assert list_owners(managed) == {65534}


# --- list


def test_list_shows_keys_and_no_secret(run: Run, runs: FakeSupervisor) -> None:
    done = run("keys", "list")
    assert done.code == 0
    rows = [line.split() for line in done.out.splitlines()]
    assert rows[1][:2] == ["APIcurrent", "current"]
    assert rows[1][-2:] == ["0", "never"]
    assert rows[2][:4] == ["APIold", "retiring", "unknown", "12"]
    assert "join by ann from 203.0.113.9, 11 times" in done.out
    assert "agent from 127.0.0.1, once" in done.out
    assert OLD.reveal() not in done.out + done.err


def test_list_as_json(run: Run, runs: FakeSupervisor) -> None:
    found = run("keys", "list", "--json").json
    assert found["managed"] is True
    assert found["since"] == 1.0
    assert [(key["id"], key["state"], key["made"], key["retired"]) for key in found["keys"]] == [
        ("APIcurrent", "current", 1_000_000.0, None),
        ("APIold", "retiring", None, 1_000_000.0),
    ]
    assert found["keys"][1]["callers"][0] == {
        "kind": "join",
        "identity": "ann",
        "address": "203.0.113.9",
        "requests": 11,
        "at": 1_000_100.5,
    }


@pytest.mark.parametrize("answer", [media(), {**media(), "media": {"pid": 1, "state": "running"}}, None])
def test_what_media_does_not_say_is_unknown(
    run: Run, managed: StatePaths, supervisor: FakeSupervisor, answer: dict[str, Any] | None
) -> None:
    """It is not nobody: media of an older version counts nothing, and a hub that is down can't be asked."""
    if answer is None:
        supervisor.close()
        os.unlink(managed.control)
    else:
        supervisor.answers["status"] = answer
    done = run("keys", "list")
    assert "nobody" not in done.out
    assert "it is not known who uses which key: the hub's own media tells it, while it runs" in done.err
    assert run("keys", "list", "--json").json["keys"][1]["requests"] is None


def test_what_strangers_named_themselves_commands_no_terminal(run: Run, runs: FakeSupervisor) -> None:
    caller = {"kind": "join", "address": "\x1b[2J", "identity": "\x1b]0;\u202e", "count": 1, "at": 1.0}
    runs.answers["status"] = media({**USES[1], "callers": [caller]})
    done = run("keys", "list")
    assert not set("\x1b\u202e") & set(done.out + done.err)


def test_unfinished_change_is_told(run: Run, managed: StatePaths) -> None:
    write_private(managed.managed_keys, dump_keys({"APInew": SECRET, "APIcurrent": SECRET}))
    done = run("keys", "list")
    assert "a change to APInew, APIcurrent is not in force yet; `lkhub up` makes it so" in done.err
    assert run("keys", "list", "--json").json["unfinished"] == ["APInew", "APIcurrent"]


# --- rotate


def test_rotate_asks_the_supervisor_and_prints_the_new_key_alone(run: Run, runs: FakeSupervisor) -> None:
    done = run("keys", "rotate")
    assert (done.code, done.out) == (0, "APInew\n")
    assert runs.requests("keys/rotate") == [{"do": "keys/rotate", "version": 1, "now": False}]
    assert "APIcurrent, APIold are accepted until you revoke them" in done.err


def test_rotate_of_a_hub_that_is_down(run: Run, managed: StatePaths) -> None:
    done = run("keys", "rotate", "--json")
    made = done.json["current"]
    assert made.startswith("API")
    assert done.json["retiring"] == ["APIcurrent", "APIold"]
    assert list(load_keys(managed.keys)) == list(load_keys(managed.managed_keys)) == [made, "APIcurrent", "APIold"]
    assert load_keys(managed.keys)[made].reveal() not in done.out + done.err
    assert [oct(os.stat(path).st_mode & 0o777) for path in (managed.keys, managed.managed_keys)] == ["0o600"] * 2
    notes = read_notes(managed)
    assert notes[made].made is not None
    assert notes["APIcurrent"].retired is not None
    assert (run("env").out.splitlines())[1] == f"LIVEKIT_API_KEY={made}"


def test_rotation_that_waits_says_what_for(run: Run, runs: FakeSupervisor) -> None:
    runs.answers["keys/rotate"] = {
        "current": "APInew",
        "retiring": ["APIcurrent"],
        "pending": True,
        "people": 3,
        "cut": 0,
    }
    done = run("keys", "rotate")
    assert (done.code, done.out) == (0, "APInew\n")
    assert "waits for the end of the calls (3 people)" in done.err
    packed = run("keys", "rotate", "--json", "--now").json
    assert (packed["current"], packed["next"], packed["pending"]) == ("APIcurrent", "APInew", True)
    assert runs.requests("keys/rotate")[-1]["now"] is True


def test_file_that_can_not_follow_is_a_failure(run: Run, managed: StatePaths, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has a key that will be revoked."""
    Path(managed.written).write_text("damaged")
    done = run("keys", "rotate")
    assert done.code == 1
    assert next(iter(load_keys(managed.keys))) == done.out.strip(), "the key is another one all the same"
    assert "no longer says which files have the hub's key" in done.err


def test_files_follow(run: Run, managed: StatePaths) -> None:
    assert run("env", "--write", "app.env").code == 0
    made = run("keys", "rotate").out.strip()
    assert f"LIVEKIT_API_KEY={made}\n" in Path("app.env").read_text()
    assert [key["files"] for key in run("keys", "list", "--json").json["keys"]] == [
        [os.path.abspath("app.env")],
        [],
        [],
    ]


def test_what_was_written_stands_below_its_key_where_its_uses_are_unknown(run: Run, managed: StatePaths) -> None:
    """Below the last of several keys it would look as if it were of that one, and the wrong key would be revoked."""
    run("token", "--room", "lobby", "--identity", "kiosk", "--dotenv", "KIOSK")
    run("keys", "rotate")
    listed = run("keys", "list").out.splitlines()
    assert [line.split()[0] for line in listed[2:4]] == ["APIcurrent", "APIold"]
    assert listed[4] == "what the hub has written with APIcurrent:"
    assert listed[5].startswith("  KIOSK: kiosk in room lobby, until ")
    assert len(listed) == 6


@pytest.mark.parametrize(
    ("source", "step"),
    [
        ("{file: mine.yaml}", "put both keys into mine.yaml"),
        ("{env: [KEY, SECRET]}", "write both keys into a file"),
        ("{key: APIcurrent, secret: {file: s}}", "write both keys into a file"),
        ("nonsense: 1", "write both keys into a file"),
    ],
)
def test_keys_of_the_spec_are_changed_by_its_author(run: Run, applied: StatePaths, source: str, step: str) -> None:
    spec = Path("hub.yaml").absolute()
    spec.write_text(f"keys: {{source: {source}}}\n")
    write_private(applied.applied, json.dumps({**json.loads(Path(applied.applied).read_text()), "spec": str(spec)}))
    before = Path(applied.keys).read_text()
    for command in (("rotate",), ("revoke", "APIold", "--yes")):
        done = run("keys", *command)
        assert (done.code, done.out) == (2, "")
        assert "the spec names the keys of this hub (keys.source)" in done.err
        assert step in done.err
        assert "`lkhub up`" in done.err
    assert Path(applied.keys).read_text() == before
    assert not Path(applied.managed_keys).exists()


@pytest.mark.parametrize(("own", "step"), [(True, "`lkhub down` stops this hub"), (False, "take `source: dev` out")])
def test_key_of_development_is_not_rotated(run: Run, applied: StatePaths, own: bool, step: str) -> None:
    """Of `up --dev`, and of a spec."""
    spec = Path(applied.dev_spec if own else "hub.yaml").absolute()
    spec.write_text("keys: {source: dev}\n")
    write_private(applied.applied, json.dumps({**json.loads(Path(applied.applied).read_text()), "spec": str(spec)}))
    write_private(applied.keys, dump_keys({DEV_KEY: Secret(DEV_SECRET)}))
    done = run("keys", "rotate")
    assert (done.code, done.out) == (2, "")
    assert "this hub has the key of development, devkey" in done.err
    assert step in done.err
    assert "up --dev" not in done.err, "it has the same key again"


def test_hub_that_was_never_up_has_no_keys(run: Run, paths: StatePaths) -> None:
    for command in (("list",), ("rotate",), ("revoke", "APIx", "--yes")):
        done = run("keys", *command)
        assert (done.code, done.out) == (3, "")
        assert "`lkhub up`" in done.err


# --- revoke


def test_revoke_says_first_what_it_cuts(run: Run, runs: FakeSupervisor) -> None:
    done = run("keys", "revoke", "APIold", "--yes")
    assert (done.code, done.out) == (0, "")
    for told in (
        "every token that was signed with APIold will be refused",
        "join by ann from 203.0.113.9, 11 times",
        "2 people in a call came with it and stay in it, with a token of the new key; `lkhub rooms remove ",
        "agent workers that came with it are disconnected",
        "APIold is revoked",
    ):
        assert told in done.err
    assert runs.requests("keys/revoke") == [{"do": "keys/revoke", "version": 1, "key": "APIold", "now": False}]


def test_tokens_that_were_printed_for_builds_are_named_one_by_one(run: Run, managed: StatePaths) -> None:
    month = ("--ttl", "30d", "--room", "bmo room", "--identity", "bmo", "--dotenv", "VITE_LIVEKIT_TOKEN")
    printed = run("token", *month).out
    program = [sys.executable, "-m", "lkhub", "token", "--room", "lobby", "--identity", "kiosk", "--dotenv", "TOKEN"]
    for _ in range(2):  # the second one replaces the first in the file and on record
        with Path("kiosk.env").open("w") as file:
            subprocess.run(program, stdout=file, check=True, timeout=60)
    run("token", "--room", "gone", "--identity", "gone", "--ttl", "1s", "--dotenv", "GONE")
    run("keys", "rotate")
    run("token", "--room", "new", "--identity", "new", "--dotenv", "NEW")

    until = time.strftime("%Y-%m-%d", time.localtime(time.time() + 30 * 86400))
    kiosk = f"TOKEN in {os.path.realpath('kiosk.env')}: kiosk in room lobby, until "
    lines = (kiosk, f"VITE_LIVEKIT_TOKEN: bmo in room 'bmo room', until {until}")
    wait_until(lambda: "GONE" not in run("keys", "list").out, "the shortest token has ended")
    listed, revoked = run("keys", "list").out, run("keys", "revoke", "APIcurrent", "--yes").err
    for told in (listed, revoked):
        assert [told.count(line) for line in lines] == [1, 1], told
        assert "NEW" not in told
    assert printed.strip().partition("=")[2] not in Path(managed.baked).read_text()
    assert [token["variable"] for key in run("keys", "list", "--json").json["keys"] for token in key["tokens"]] == [
        "NEW"
    ]


def test_token_of_a_role_is_named_with_it(run: Run, managed: StatePaths) -> None:
    """Who makes it anew without the role lets a listener speak."""
    listener = replace(PLAIN, publish=())
    write_serve(managed, Application(access=Access(roles={"participant": PLAIN, "listener": listener})))
    run("token", "--room", "hall", "--identity", "tv", "--role", "listener", "--dotenv", "TV")
    run("token", "--room", "hall", "--identity", "ann", "--dotenv", "ANN")
    listed = run("keys", "list", "--json").json["keys"]
    assert {each["variable"]: each["role"] for key in listed for each in key["tokens"]} == {
        "TV": "listener",
        "ANN": None,
    }
    run("keys", "rotate")
    revoked = run("keys", "revoke", "APIcurrent", "--yes").err
    assert "TV: tv in room hall as listener, until " in revoked
    assert "ANN: ann in room hall, until " in revoked


def test_token_that_can_not_be_noted_is_printed_all_the_same(
    run: Run, managed: StatePaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise MachineError("the disk is full")

    monkeypatch.setattr("lkhub.hub.tokens.write_baked", fail)
    done = run("token", "--room", "lobby", "--identity", "kiosk", "--dotenv", "TOKEN")
    assert (done.code, done.out[:6]) == (0, "TOKEN=")
    assert "`lkhub keys revoke` will not name this token: the disk is full" in done.err


def test_revoke_names_receivers_of_webhooks_that_took_their_last_event_with_the_key(
    run: Run, runs: FakeSupervisor, managed: StatePaths
) -> None:
    old, new = "https://old.example/hook", "https://new.example/hook"
    write_serve(managed, Application(used=True, webhooks=(Receiver(old, (), False), Receiver(new, (), False))))
    store = Store(f"sqlite:///{managed.store}")
    with store.writing() as connection:
        note_known_keys(connection, [{old: "APIold", new: "APIcurrent"}])
    store.close()
    done = run("keys", "revoke", "APIold", "--yes")
    assert f"{old} took its last webhook with it" in done.err
    assert new not in done.err


def test_revoke_without_a_store_says_what_is_not_known(run: Run, runs: FakeSupervisor, managed: StatePaths) -> None:
    receivers = (Receiver("https://old.example/hook", (), False),)
    write_serve(managed, Application(used=True, webhooks=receivers))
    Path(managed.store).write_text("damaged" * 1000)
    done = run("keys", "revoke", "APIold", "--yes")
    assert done.code == 0
    assert "it is not known which receivers of webhooks know it: the store is damaged" in done.err


def test_store_that_does_not_answer_keeps_no_key_good(
    run: Run, runs: FakeSupervisor, managed: StatePaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    receivers = (Receiver("https://old.example/hook", (), False),)
    write_serve(managed, Application(used=True, webhooks=receivers))
    order: list[str] = []
    steps: dict[str, Any] = {name: getattr(keys, name) for name in ("revoke", "find_receivers")}
    for name, step in steps.items():

        def note(*given: Any, name: str = name, step: Any = step, **further: Any) -> Any:
            order.append(name)
            return step(*given, **further)

        monkeypatch.setattr(keys, name, note)
    assert run("keys", "revoke", "APIold", "--yes").code == 0
    assert order == ["revoke", "find_receivers"]


def test_revoke_names_the_invites_that_tokens_of_the_key_may_have_made(
    run: Run, runs: FakeSupervisor, managed: StatePaths
) -> None:
    """Whoever had the key could sign a token of a host, and make an invite that outlives the key."""
    write_serve(managed, Application())
    store, now = Store(f"sqlite:///{managed.store}"), time.time()
    with store.writing() as connection:
        made = [
            create_invite(
                connection, room="board", role="participant", uses=None, creator=creator, now=now, expires=now + 60
            )[0].id
            for creator in ("participant eve", "participant bob", "command line")
        ]
        revoke_invite(connection, made[1], now)
    store.close()
    done = run("keys", "revoke", "APIold", "--yes")
    assert done.code == 0
    assert f"perhaps with tokens of this key, still lets people in: {made[0]}" in done.err
    assert f"`lkhub invite revoke {made[0]}` ends one" in done.err
    assert not {made[1], made[2]} & set(done.err.replace(",", " ").split())


def test_invite_that_is_made_just_before_the_key_is_revoked_is_named(
    run: Run, runs: FakeSupervisor, managed: StatePaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever has the key goes on using it while the question is read."""
    write_serve(managed, Application())
    made: list[str] = []

    def confirm(*_: object, **__: object) -> bool:
        store, now = Store(f"sqlite:///{managed.store}"), time.time()
        with store.writing() as connection:
            invite, _secret = create_invite(
                connection,
                room="board",
                role="participant",
                uses=None,
                creator="participant eve",
                now=now,
                expires=now + 60,
            )
        store.close()
        made.append(invite.id)
        return True

    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr("typer.confirm", confirm)
    done = run("keys", "revoke", "APIold")
    assert done.code == 0
    assert f"still lets people in: {made[0]}" in done.err


def test_revoke_makes_no_store(run: Run, runs: FakeSupervisor, managed: StatePaths) -> None:
    write_serve(managed, Application())
    done = run("keys", "revoke", "APIold", "--yes")
    assert "invite" not in done.err
    assert not Path(managed.store).exists()


def test_revoke_asks(run: Run, runs: FakeSupervisor, monkeypatch: pytest.MonkeyPatch) -> None:
    done = run("keys", "revoke", "APIold")
    assert done.code == 2
    assert "`--yes` revokes it without asking" in done.err
    answers = iter([False, True])
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr("typer.confirm", lambda *_, **__: next(answers))
    done = run("keys", "revoke", "APIold")
    assert done.code == 1
    assert "APIold was not revoked" in done.err
    assert "nothing was changed" not in done.err, "files of applications may have got the current key"
    assert runs.requests("keys/revoke") == []
    assert run("keys", "revoke", "APIold").code == 0
    assert len(runs.requests("keys/revoke")) == 1


def test_revoke_of_a_hub_that_is_down(run: Run, managed: StatePaths) -> None:
    assert run("keys", "revoke", "APIold", "--yes", "--json").json["revoked"] == "APIold"
    assert list(load_keys(managed.keys)) == list(load_keys(managed.managed_keys)) == ["APIcurrent"]
    assert list(read_notes(managed)) == ["APIcurrent"]


@pytest.mark.parametrize("key", ["APIcurrent", "APInowhere", OLD.reveal()])
def test_key_that_must_stay_is_not_revoked(run: Run, managed: StatePaths, key: str) -> None:
    before = Path(managed.keys).read_text()
    done = run("keys", "revoke", key, "--yes")
    assert (done.code, done.out) == (2, "")
    assert Path(managed.keys).read_text() == before
    assert OLD.reveal() not in done.err


def test_key_that_signs_webhooks_is_not_revoked(run: Run, managed: StatePaths) -> None:
    """The next start would refuse the spec."""
    spec = Path("hub.yaml").absolute()
    spec.write_text("livekit: {webhook: {urls: [http://127.0.0.1:9], api_key: APIold}}\n")
    write_private(managed.applied, json.dumps({**json.loads(Path(managed.applied).read_text()), "spec": str(spec)}))
    done = run("keys", "revoke", "APIold", "--yes")
    assert done.code == 2
    assert "write `api_key: APIcurrent` there" in done.err


def test_revocation_that_waits_is_none(run: Run, runs: FakeSupervisor) -> None:
    runs.answers["keys/revoke"] = {
        "current": "APIcurrent",
        "retiring": [],
        "pending": True,
        "people": None,
        "cut": 0,
    }
    done = run("keys", "revoke", "APIold", "--yes")
    assert done.code == 1
    assert "APIold is still accepted" in done.err
    assert "an unknown number of people" in done.err
    packed = run("keys", "revoke", "APIold", "--yes", "--json")
    assert (packed.code, packed.json["revoked"]) == (1, None)
