"""The folders of agents that others run: what is in them, and who can read it."""

import os
import stat
from pathlib import Path

import pytest

from lkhub.errors import MachineError
from lkhub.host.given import ask_for_restart, give_projects, remove_given, tell_end, tell_start, write_given
from lkhub.plan.model import AgentPlan
from lkhub.plan.paths import StatePaths
from lkhub.wire.agent import GIVEN_FILE, RESTART_FILE
from tests.kit.refusals import refuse_to_list

INPUTS = "0123456789abcdef" * 4
COPY = INPUTS[:16]


@pytest.fixture
def paths(tmp_path: Path) -> StatePaths:
    return StatePaths(str(tmp_path / "state"))


def plan(paths: StatePaths, project: Path, name: str = "bmo", inputs: str = INPUTS) -> AgentPlan:
    return AgentPlan(name, str(project), (), "", None, (), (), given=paths.for_agent(name), inputs=inputs)


def mode(path: str | Path) -> int:
    return stat.S_IMODE(os.lstat(path).st_mode)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    made = tmp_path / "project"
    (made / "pkg").mkdir(parents=True)
    (made / ".git").mkdir()
    (made / "pkg/private.txt").write_text("x")
    (made / "pkg/private.txt").chmod(0o600)
    (made / "run.sh").write_text("#!/bin/sh")
    (made / "run.sh").chmod(0o4700)
    (made / "link").symlink_to("run.sh")
    (made / "pkg").chmod(0o700)
    return made


def test_what_an_agent_gets_it_can_read_and_through_the_state_directory_nobody_can(paths: StatePaths) -> None:
    old = os.umask(0o077)
    try:
        write_given(f"{paths.for_agent('bmo')}/agent.json", "text")
        ask_for_restart(paths.for_agent("bmo"))
    finally:
        os.umask(old)
    assert (mode(paths.for_agents), mode(paths.for_agent("bmo"))) == (0o700, 0o755)
    assert {mode(file) for file in Path(paths.for_agent("bmo")).iterdir()} == {0o644}


def test_copy_of_a_project_can_be_read_by_another_user(paths: StatePaths, project: Path) -> None:
    give_projects([plan(paths, project)])
    copy = Path(paths.for_agent("bmo"), COPY)
    assert {str(path.relative_to(copy)): mode(path) for path in copy.rglob("*") if not path.is_symlink()} == {
        "pkg": 0o755,
        "pkg/private.txt": 0o644,
        "run.sh": 0o755,
    }
    assert os.readlink(copy / "link") == "run.sh"
    assert mode(copy) == 0o755


def test_copy_of_which_a_folder_can_not_be_listed_is_not_given(
    paths: StatePaths, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The agent could not read what is in it."""
    refuse_to_list(monkeypatch, ".new/pkg")
    with pytest.raises(MachineError, match="input/output error"):
        give_projects([plan(paths, project)])
    assert not Path(paths.for_agent("bmo"), COPY).exists()
    monkeypatch.undo()
    give_projects([plan(paths, project)])
    assert mode(Path(paths.for_agent("bmo"), COPY, "pkg/private.txt")) == 0o644


def test_version_that_is_there_is_not_copied_again(paths: StatePaths, project: Path) -> None:
    give_projects([plan(paths, project)])
    (project / "run.sh").unlink()
    give_projects([plan(paths, project)])
    assert Path(paths.for_agent("bmo"), COPY, "run.sh").exists()


def test_copy_that_was_cut_off_is_made_anew(paths: StatePaths, project: Path) -> None:
    Path(paths.for_agent("bmo"), f"{COPY}.new/old").mkdir(parents=True)
    give_projects([plan(paths, project)])
    assert os.listdir(paths.for_agent("bmo")) == [COPY]
    assert not Path(paths.for_agent("bmo"), COPY, "old").exists()


def test_project_that_is_gone_is_told(paths: StatePaths, tmp_path: Path) -> None:
    with pytest.raises(MachineError):
        give_projects([plan(paths, tmp_path / "nowhere")])


def test_agent_that_the_hub_runs_gets_no_folder(paths: StatePaths, project: Path) -> None:
    own = AgentPlan("bmo", str(project), (), "", None, (), (), inputs=INPUTS)
    give_projects([own])
    assert not os.path.exists(paths.for_agents)


def test_agent_that_was_told_of_the_end_is_told_of_the_next_start(paths: StatePaths, project: Path) -> None:
    agents = [plan(paths, project)]
    ended = Path(paths.for_agent("bmo"), "ended")
    tell_start(agents)
    assert not ended.exists()
    tell_end(agents)
    os.utime(ended, (1, 1))
    tell_start(agents)
    assert ended.stat().st_mtime > 1


def test_what_no_agent_gets_any_more_is_removed(paths: StatePaths, project: Path) -> None:
    agents = [plan(paths, project), plan(paths, project, "gone"), plan(paths, project, inputs="f" * 64)]
    give_projects(agents)
    for agent in agents:
        write_given(f"{agent.given}/{GIVEN_FILE}", "text")
        ask_for_restart(agent.given)
    tell_end(agents)
    remove_given(paths, agents[:1])
    assert (os.listdir(paths.for_agent("gone")), mode(paths.for_agent("gone"))) == ([], 0o755)
    assert set(os.listdir(paths.for_agent("bmo"))) == {COPY, GIVEN_FILE, RESTART_FILE}
    remove_given(StatePaths("/nowhere"), agents)
