"""`lkhub rooms` on a hub that does not answer, or answers nonsense."""

import json
from pathlib import Path

import pytest

from lkhub.host.files import write_private
from lkhub.plan.paths import StatePaths
from lkhub.secret import Secret
from lkhub.wire.application import Application
from tests.cli.conftest import Run, write_serve
from tests.kit.room_service import Sfu

EACH = pytest.mark.parametrize(
    "command", [("list",), ("show", "a"), ("create", "a"), ("watch",)], ids=lambda each: each[0]
)


@pytest.fixture
def _silent(applied: StatePaths) -> None:
    """Nothing answers where media should."""
    record = json.loads(Path(applied.applied).read_text())
    record["urls"]["local_media"] = "http://127.0.0.1:1"
    write_private(applied.applied, json.dumps(record))
    write_serve(applied, Application())


@EACH
@pytest.mark.usefixtures("_silent")
def test_hub_that_is_down_is_told_as_by_other_commands(run: Run, command: tuple[str, ...]) -> None:
    done = run("rooms", *command)
    assert (done.code, done.out) == (1, "")
    assert done.err == run("agents", "list").err
    assert "`lkhub up` starts it" in done.err


@EACH
@pytest.mark.usefixtures("_silent", "supervisor")
def test_media_that_does_not_answer_while_the_hub_runs_is_told(run: Run, command: tuple[str, ...]) -> None:
    done = run("rooms", *command)
    assert (done.code, done.out) == (3, "")
    assert "LiveKit does not answer at http://127.0.0.1:1 (ConnectError)" in done.err
    assert "`lkhub status` shows whether the hub runs" in done.err


@pytest.mark.parametrize("command", ["list", "watch"])
def test_hub_that_was_never_up_is_told(run: Run, paths: StatePaths, command: str) -> None:
    done = run("rooms", command)
    assert (done.code, done.out) == (3, "")
    assert "this hub has not been up yet" in done.err


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ((404, b"404 page not found"), "does not know ListRooms"),
        ((500, b""), "LiveKit failed at ListRooms"),
        ((200, b"<html>"), "can't be read"),
    ],
)
def test_bare_answer_is_a_sentence_with_a_remedy(run: Run, sfu: Sfu, answer: tuple[int, object], said: str) -> None:
    sfu.wrong["ListRooms"] = answer
    done = run("rooms", "list")
    assert (done.code, done.out) == (3, "")
    assert said in done.err


def test_key_that_livekit_does_not_know_is_told(run: Run, sfu: Sfu) -> None:
    sfu.secret = Secret("OTHER" * 8)
    done = run("rooms", "list")
    assert done.code == 3
    assert "does not accept the key of this hub" in done.err
    assert "`lkhub up` makes media take the keys of this hub" in done.err
