"""Commands that are typed in a folder that was removed, as where a deployment has replaced it."""

from dataclasses import replace
from pathlib import Path

import pytest

from lkhub.plan.paths import StatePaths
from lkhub.state.applied import load_applied, write_applied
from tests.cli.conftest import Run
from tests.cli.test_hints import ABOUT_A_HUB


@pytest.fixture
def with_spec(applied: StatePaths) -> StatePaths:
    """A hub that was up by a spec of another folder."""
    record = load_applied(applied)
    assert record
    write_applied(applied, replace(record, spec="/srv/hub.yaml"))
    return applied


NEED_A_FOLDER = [
    ("up", "--detach"),
    ("init",),
    ("render", "livekit", "-o", "{}/out"),
    ("backup", "hub.age"),
    ("status", "--spec", "hub.yaml"),
    ("down", "--spec", "hub.yaml"),
]


@pytest.mark.parametrize("typed", NEED_A_FOLDER, ids=" ".join)
@pytest.mark.usefixtures("with_spec")
def test_command_that_needs_the_folder_says_that_it_was_removed(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, typed: tuple[str, ...]
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    with monkeypatch.context() as away:
        away.chdir(gone)
        gone.rmdir()
        done = run(*(each.format(tmp_path) for each in typed))
    assert (done.code, done.out) == (3, "")
    assert "was removed" in done.err or "no such file or directory" in done.err
    assert "bug" not in done.err


@pytest.mark.parametrize("typed", [*ABOUT_A_HUB, ("status",)], ids=" ".join)
@pytest.mark.usefixtures("with_spec")
def test_command_answers_as_in_a_folder_without_a_spec(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, typed: tuple[str, ...]
) -> None:
    there = run(*typed)
    gone = tmp_path / "gone"
    gone.mkdir()
    with monkeypatch.context() as away:
        away.chdir(gone)
        gone.rmdir()
        here = run(*typed)
    assert (here.code, here.err) == (there.code, there.err)
