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
