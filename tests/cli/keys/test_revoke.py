"""`lkhub keys revoke`: what it says first, and what it refuses."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from lkhub.cli import keys
from lkhub.errors import MachineError
from lkhub.host.files import write_private
from lkhub.host.keyfile import load_keys
from lkhub.plan.paths import StatePaths
from lkhub.service.roles import PLAIN
from lkhub.state.ring import read_notes
from lkhub.store.invites import create_invite, revoke_invite
from lkhub.store.receivers import note_known_keys
from lkhub.store.store import Store
from lkhub.wire.application import Access, Application, Receiver
from tests.cli.conftest import FakeSupervisor, Run, write_serve
from tests.cli.keys.conftest import OLD
from tests.waiting import wait_until


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
