"""Projects of agents: what is wrong with them, and what starts an agent anew."""

import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from lkhub.findings.fault import SpecError
from lkhub.host import project as module
from lkhub.host.agent_home import NOT_COPIED
from lkhub.host.project import list_files
from lkhub.plan.installation import AgentsRun
from lkhub.prepare import agents
from lkhub.prepare import hub as prepare
from lkhub.prepare.agents import _digest
from lkhub.prepare.ring import replace_keys
from lkhub.secret import Secret
from lkhub.wire.agent import parse_agent
from tests.machines import make_installation
from tests.prepare.conftest import Run, keys_of, refuse

TEXT = "agents:\n  - name: bmo\n    project: bmo\n"


@pytest.fixture
def project(tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(agents, "find_uv", lambda: "/opt/uv")
    project = tmp_path / "bmo"
    project.mkdir()
    (project / "pyproject.toml").touch()
    (project / "agent.py").write_text("print()")
    return project


@pytest.fixture(autouse=True)
def _beside_the_spec(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(prepare, "find_installation", lambda state, folder: make_installation(state, str(tmp_path)))


def refusal(run: Run) -> str:
    """The one fault at the project's line."""
    with pytest.raises(SpecError) as refused:
        run(TEXT)
    [fault] = refused.value.faults
    assert (fault.where and fault.where.line, fault.key) == (3, "agents[0].project")
    assert not os.path.exists("state"), "a spec that is wrong changes nothing"
    return str(refused.value)


def test_what_is_known_of_a_project_is_in_its_file(run: Run, project: Path) -> None:
    hub = run(TEXT)
    config = parse_agent(hub.files[hub.plan.paths.render("agent-bmo.json")])
    assert (config.project, config.uv, config.entry) == (str(project), "/opt/uv", "agent.py")
    assert config.inputs == _digest(str(project))


def test_default_command_starts_the_file_that_is_there(run: Run, project: Path) -> None:
    (project / "src").mkdir()
    (project / "agent.py").rename(project / "src/agent.py")
    assert run(TEXT).plan.agents[0].entry == "src/agent.py"


def test_project_that_is_missing_or_no_folder_is_a_fault(run: Run, project: Path) -> None:
    shutil.rmtree(project)
    assert f"{project}: there is no such folder" in refusal(run)
    project.touch()
    assert f"{project}: it is not a folder" in refusal(run)


def test_project_without_dependencies_needs_a_command(run: Run, project: Path) -> None:
    (project / "pyproject.toml").unlink()
    said = refusal(run)
    assert "has no pyproject.toml" in said
    assert "`uv init --bare` makes one there" in said
    assert run(f"{TEXT}    command: node agent.js\n").plan.agents[0].uv == ""


def test_project_without_a_known_file_needs_a_command(run: Run, project: Path) -> None:
    (project / "agent.py").rename(project / "main.py")
    assert "has neither agent.py nor src/agent.py" in refusal(run)
    assert run(f"{TEXT}    command: python main.py start\n").plan.agents[0].uv == "/opt/uv"


def test_uv_that_is_missing_is_a_fault(run: Run, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agents, "find_uv", lambda: None)
    said = refusal(run)
    assert "uv is neither on the PATH nor beside this lkhub" in said
    assert "hint: `pip install 'lkhub[agents]'`" in said


def test_uv_that_a_service_lacks_is_installed_where_the_service_comes_from(
    run: Run, project: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """`lkhub` is the service's copy from then on: what pip brings elsewhere, it does not find."""
    monkeypatch.setattr(agents, "find_uv", lambda: None)
    (tmp_path / "0.1.0-88786f28").mkdir()
    (tmp_path / "current").symlink_to("0.1.0-88786f28")
    monkeypatch.setattr("sys.prefix", str(tmp_path / "current"))
    said = refusal(run)
    assert "put uv on the PATH" in said
    assert "hub-env/bin/lkhub install" in said


def test_uv_beside_our_own_python_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in ("venv", "path"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "uv").touch(0o755)
    monkeypatch.setattr("sys.executable", str(tmp_path / "venv/python"))
    monkeypatch.setenv("PATH", str(tmp_path / "path"))
    assert agents.find_uv() == str(tmp_path / "venv/uv")
    (tmp_path / "venv/uv").unlink()
    assert agents.find_uv() == str(tmp_path / "path/uv")


def test_link_that_leads_out_of_the_project_is_a_fault(run: Run, project: Path) -> None:
    (project / "pkg").mkdir()
    (project / "pkg/shared").symlink_to("../../shared")
    said = refusal(run)
    assert f"{project}/pkg/shared is a link out of the project" in said
    assert "put what it leads to into the project" in said


@pytest.mark.parametrize("time", [1, 2, 3], ids=["is judged", "is searched for links", "is read"])
def test_project_that_changes_while_it_is_looked_at_is_a_fault(
    run: Run, project: Path, monkeypatch: pytest.MonkeyPatch, time: int
) -> None:
    (project / "pkg").mkdir()
    lists = count(1)

    def list_and_change(*given: Any) -> Iterator[str]:
        changes = next(lists) == time
        for path in list_files(*given):
            yield path
            if changes and path.endswith("/agent.py"):
                (project / "pkg").rmdir()

    monkeypatch.setattr(module, "list_files", list_and_change)
    assert f"{project}/pkg: " in refusal(run)
    assert next(lists) == time + 1


def test_link_is_known_by_its_text_and_not_followed(project: Path, tmp_path: Path) -> None:
    """What it leads to may be a file that root alone can read."""
    (tmp_path / "elsewhere").write_text("a")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/file").touch()
    (project / "inside").symlink_to("agent.py")
    (project / "outside").symlink_to(tmp_path / "elsewhere")
    (project / "folder").symlink_to(tmp_path / "folder")
    names = [os.path.relpath(each, project) for each in list_files(str(project), (), NOT_COPIED)]
    assert names == ["agent.py", "folder", "inside", "outside", "pyproject.toml"]
    before = _digest(str(project))
    (tmp_path / "elsewhere").write_text("b")
    assert _digest(str(project)) == before
    (project / "inside").unlink()
    (project / "inside").symlink_to("pyproject.toml")
    assert _digest(str(project)) != before


def test_project_that_is_too_large_is_a_fault(run: Run, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with open(project / "model", "wb") as file:
        file.truncate(10 * 1024**3)
    said = refusal(run)
    assert f"{project}: it has more than 20,000 files, or more than 1 GB" in said
    assert "write a folder that has the agent's code alone" in said
    (project / "model").unlink()
    monkeypatch.setattr(module, "MOST_FILES", 1)
    assert "more than 1 files" in refusal(run)


def test_project_with_the_state_directory_in_it_is_a_fault(run: Run, project: Path) -> None:
    run.state = str(project / "data/state")
    said = refusal(run)
    assert f"has the hub's state directory {project}/data/state in it" in said


@pytest.mark.parametrize("linked", [False, True])
def test_place_that_the_user_of_an_agent_cannot_enter_is_a_fault(
    run: Run, project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, linked: bool
) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(0o700)
    place = closed
    if linked:
        (closed / "open").mkdir()
        place = tmp_path / "link"
        place.symlink_to(closed / "open")
    as_root = replace(make_installation(str(place / "hub/state"), str(tmp_path)), user="root")
    monkeypatch.setattr(prepare, "find_installation", lambda state, folder: as_root)
    said = refusal(run)
    assert f"the user of an agent can't enter {closed}" in said
    assert "with --state DIR, such as /var/lib/lkhub" in said


def test_project_with_a_secret_of_the_hub_in_it_is_a_fault(run: Run, project: Path) -> None:
    """The agent's own secret may be there."""
    (project / "own.secret").write_text("s" * 40)
    (project / "hub.secret").write_text("s" * 40)
    own = f"{TEXT}    env: {{MODEL_KEY: {{file: bmo/own.secret}}}}\n"
    assert run(own).plan.agents[0].inputs
    with pytest.raises(SpecError) as refused:
        run(f"{own}keys: {{source: {{key: API, secret: {{file: bmo/hub.secret}}}}}}\n")
    assert f"agents[0].project: {project}/hub.secret is in {project}" in str(refused.value)


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every file")
def test_file_that_cannot_be_read_is_a_fault(run: Run, project: Path) -> None:
    (project / "agent.py").chmod(0)
    assert "permission denied" in refusal(run)


def test_faults_of_other_lines_are_told_at_once(run: Run, project: Path) -> None:
    shutil.rmtree(project)
    text = f"{TEXT}  - name: other\n    project: nowhere\n    health: 9000\nweb: 1.5\n"
    assert refuse(run, text) == [(3, "agents[0].project"), (5, "agents[1].project"), (7, "web")]


@pytest.mark.parametrize(
    ("change", "same"),
    [
        (lambda project: (project / "agent.py").write_text("print(1)"), False),
        (lambda project: (project / "agent.py").rename(project / "other.py"), False),
        (lambda project: (project / ".env").write_text("A=1"), False),
        (lambda project: (project / "agent.py").chmod(0o755), False),
        (lambda project: ((project / "dist").mkdir(), (project / "dist/agent.js").touch()), False),
        (lambda project: (project / "node_modules").symlink_to("dist"), False),
        (lambda project: os.utime(project / "agent.py", (1, 1)), True),
        (lambda project: ((project / "__pycache__").mkdir(), (project / "__pycache__/agent.pyc").touch()), True),
        (lambda project: ((project / ".git").mkdir(), (project / ".git/HEAD").touch()), True),
        (lambda project: ((project / ".venv").mkdir(), (project / ".venv/x").touch()), True),
        (lambda project: (project / "hub.yaml").touch(), True),
        (lambda project: os.mkfifo(project / "pipe"), True),
    ],
    ids=range(12),
)
def test_digest_changes_with_what_is_copied(project: Path, change: object, same: bool) -> None:
    before = _digest(str(project))
    change(project)  # type: ignore[operator]
    assert (_digest(str(project)) == before) == same


def test_changed_project_starts_its_agent_anew_and_nothing_else(run: Run, project: Path) -> None:
    before = run.apply(TEXT).fingerprints
    assert run(TEXT).fingerprints == before
    (project / "agent.py").write_text("print(2)")
    after = run(TEXT).fingerprints
    assert {name for name in before if before[name] != after[name]} == {"agent-bmo"}


def test_project_is_not_looked_at_when_the_hub_follows_its_machine(run: Run, project: Path) -> None:
    """The address of the machine may change while a project is edited, or when it is gone. Nobody has said `up`."""
    hub = run.apply(TEXT)
    (project / "agent.py").write_text("print(2)")
    assert prepare.prepare_again(hub).fingerprints == hub.fingerprints
    shutil.rmtree(project)
    assert prepare.prepare_again(hub).fingerprints == hub.fingerprints


def test_changed_variable_starts_its_agent_anew_and_nothing_else(run: Run, project: Path) -> None:
    other = f"{TEXT}  - name: other\n    project: bmo\n    health: 8082\n"
    before = run.apply(f"{other}    env: {{A: a}}\n").fingerprints
    after = run(f"{other}    env: {{A: b}}\n").fingerprints
    assert {name for name in before if before[name] != after[name]} == {"agent-other"}


@pytest.mark.parametrize("first", ["", "  - {name: first, project: bmo, health: 9000, env: {A: c}}\n"])
def test_agent_stays_as_it_is_where_another_one_goes_or_comes_before_it(run: Run, project: Path, first: str) -> None:
    kept = "  - {name: kept, project: bmo, env: {A: a, B: b}}\n"
    gone = "  - {name: gone, project: bmo, health: 8082, env: {A: b}}\n"
    before = run.apply(f"agents:\n{gone}{kept}")
    after = run(f"agents:\n{first}{kept}")
    assert after.fingerprints["agent-kept"] == before.fingerprints["agent-kept"]
    values = {variable.name: after.files.get(variable.file) for variable in after.plan.agents[-1].variables}
    assert (values["A"], values["B"]) == ("a\n", "b\n")


def test_agent_gets_the_current_key(run: Run, project: Path) -> None:
    hub = run.apply(TEXT)
    paths = hub.plan.paths
    [(key, secret)] = keys_of(hub).items()
    assert (hub.files[paths.agent_key], hub.files[paths.agent_secret]) == (f"{key}\n", f"{secret.reveal()}\n")
    after = replace_keys(hub, {"APInew": Secret("n" * 32), key: secret})
    assert (after.files[paths.agent_key], after.files[paths.agent_secret]) == ("APInew\n", "n" * 32 + "\n")
    changed = {name for name in hub.fingerprints if hub.fingerprints[name].program != after.fingerprints[name].program}
    assert changed == {"agent-bmo"}


@pytest.mark.parametrize("how", ["here", "apart"])
def test_image_is_a_fault_where_no_container_runs(
    run: Run, project: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, how: AgentsRun
) -> None:
    made = replace(make_installation(run.state, str(tmp_path)), agents=how)
    monkeypatch.setattr(prepare, "find_installation", lambda state, folder: made)
    text = f"{TEXT}  - name: other\n    image: a\n  - name: third\n    image: b\n    replicas: 2\nweb: 1.5\n"
    assert refuse(run, text) == [(5, "agents[1].image"), (7, "agents[2].image"), (9, "web")]
    with pytest.raises(SpecError) as refused:
        run(text)
    assert "an agent that is an image needs a hub in containers" in str(refused.value)
    assert "`lkhub render compose`" in str(refused.value)
    assert not os.path.exists("state")


def test_project_is_a_fault_in_a_pod(run: Run, project: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    made = replace(make_installation(run.state, str(tmp_path)), agents="pods")
    monkeypatch.setattr(prepare, "find_installation", lambda state, folder: made)
    said = refusal(run)
    assert "in Kubernetes an agent is an image" in said
    assert "write image: NAME in place of project" in said


def test_hub_without_agents_has_no_file_of_them(run: Run) -> None:
    hub = run("")
    assert not any(os.path.basename(path).startswith("agent") for path in hub.files)
