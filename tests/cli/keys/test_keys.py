"""`lkhub keys list` and `rotate`, of a hub that is down and of one that runs."""

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lkhub.host.files import write_private
from lkhub.host.keyfile import dump_keys, load_keys
from lkhub.plan.paths import StatePaths
from lkhub.secret import Secret
from lkhub.spec.keys import DEV_KEY, DEV_SECRET
from lkhub.state.ring import read_notes
from tests.cli.conftest import SECRET, FakeSupervisor, Run, list_owners
from tests.cli.keys.conftest import OLD, USES, media


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


def with_media_of_before(keys: list[dict[str, Any]] | None) -> dict[str, Any]:
    """A hub whose earlier media finishes its calls."""
    before = {"name": "media", "pid": 7, "state": "stopping", "since": 5.0, "roles": ["knows-participants"]}
    return {**media(*USES), "retired": [{**before, "keys": keys}, {**before, "name": "agent-bmo", "roles": []}]}


def test_media_that_finishes_its_calls_counts_too(run: Run, runs: FakeSupervisor) -> None:
    caller = {"kind": "join", "address": "203.0.113.7", "identity": "bob", "count": 5, "at": 1_000_070.0}
    runs.answers["status"] = with_media_of_before(
        [{"id": "APIold", "count": 5, "participants": 3, "callers": [caller]}]
    )
    listed = run("keys", "list", "--json").json
    assert listed["since"] is None, "not since the second one started"
    assert [(key["requests"], key["participants"]) for key in listed["keys"]] == [(0, 0), (17, 5)]
    assert [each["identity"] for each in listed["keys"][1]["callers"]] == ["ann", "bob", ""]


def test_media_of_before_that_does_not_say_makes_it_unknown(run: Run, runs: FakeSupervisor) -> None:
    """Those who came with the key may be in its calls."""
    runs.answers["status"] = with_media_of_before(None)
    assert [key["participants"] for key in run("keys", "list", "--json").json["keys"]] == [None, None]
    assert "it is not known who uses which key" in run("keys", "list").err


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


def test_damaged_keys_that_the_spec_does_not_use_hide_no_others(run: Run, applied: StatePaths) -> None:
    spec = Path("hub.yaml").absolute()
    spec.write_text("keys: {source: {file: mine.yaml}}\n")
    write_private(applied.applied, json.dumps({**json.loads(Path(applied.applied).read_text()), "spec": str(spec)}))
    write_private(applied.managed_keys, "damaged")
    listed = run("keys", "list", "--json").json
    assert ([key["id"] for key in listed["keys"]], listed["managed"]) == (["APIcurrent", "APIold"], False)
    assert "the spec names the keys of this hub" in run("keys", "rotate").err
    spec.write_text("")
    assert "this file has the API keys of the hub" in run("keys", "list").err


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


@pytest.mark.parametrize("typed", [("list",), ("rotate",), ("revoke", "APIold", "--yes")], ids=" ".join)
@pytest.mark.parametrize("waits", [False, True])
def test_commands_in_what_is_told_are_about_the_hub_that_was_asked_about(
    run: Run,
    runs: FakeSupervisor,
    managed: StatePaths,
    monkeypatch: pytest.MonkeyPatch,
    typed: tuple[str, ...],
    waits: bool,
) -> None:
    """Typed without --state, `lkhub env` would print the key of another hub."""
    monkeypatch.setenv("LKHUB_STATE", "/nowhere/another")
    for change in ("keys/rotate", "keys/revoke"):
        runs.answers[change] = {**runs.answers[change], "pending": waits, "people": 2}
    told = run("keys", *typed, "--state", managed.root).err
    commands = re.findall(r"`(lkhub [^`]+)`", told)
    assert commands or typed == ("list",), told
    assert all(command.endswith(f" --state {managed.root}") for command in commands), told
