"""What is kept of an agent: its copies, its HOME, and which of them goes when."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import lkhub
from lkhub.host.agent_home import AgentHome, remove_left
from tests.host.agents.kit import SYSTEM_PYTHON, TELL, UID, as_root, configure, run, start
from tests.kit.refusals import refuse_to_list


@as_root
def test_root_writes_through_no_link_of_an_agent(place: Path, project: Path, uv: str) -> None:
    """An agent that runs tries to put links where root will write."""
    evil = f"""
import os
home = {str(place / "agents/bmo")!r}
refused = []
def attempt(do, *arguments):
    try:
        do(*arguments)
    except OSError as error:
        refused.append(error.errno)
for name in ("launcher.py", "lock", "user", "{"b" * 16}", "{"b" * 16}.new", "{"a" * 16}/installed", "{"a" * 16}/uv"):
    attempt(os.symlink, {str(place / "victim")!r}, f"{{home}}/{{name}}")
    attempt(os.rename, f"{{home}}/{{name}}", f"{{home}}/user/moved")
    attempt(os.unlink, f"{{home}}/{{name}}")
attempt(os.rename, home, home + "-moved")
attempt(os.listdir, home)
attempt(os.symlink, "/etc", home + "/../other")
print("told", __import__("json").dumps({{"refused": refused}}), flush=True)
"""
    (project / "agent.py").write_text(evil)
    (place / "victim").write_text("as it was")
    (place / "victim").chmod(0o600)
    told, err = run(configure(place, inputs="a" * 64, uv=uv))
    assert len(told["refused"]) == 7 * 3 + 3, err
    (project / "agent.py").write_text(TELL)
    told, err = run(configure(place, inputs="b" * 64, uv=uv))
    assert told["uid"] == UID, err
    assert (place / "victim").read_text() == "as it was"
    assert (place / "victim").stat().st_uid == 0


@as_root
def test_other_agents_and_users_see_nothing_of_an_agent(place: Path, project: Path) -> None:
    config = configure(place)
    run(config)
    for path in (config.home, f"{config.home}/user", f"{config.home}/0123456789abcdef/project/agent.py"):
        done = subprocess.run(
            ["ls", path], user=UID + 1, group=UID + 1, extra_groups=(), capture_output=True, text=True
        )
        assert "Permission denied" in done.stderr, path
    done = subprocess.run(
        ["ls", place / "agents"], user=UID, group=UID, extra_groups=(), capture_output=True, text=True
    )
    assert "Permission denied" in done.stderr, "it does not see which others there are"


def elsewhere(agents: Path) -> Path:
    """A folder of the test's own, in case that a link is followed."""
    folder = agents.parent / "elsewhere"
    folder.mkdir()
    return folder


def make(folder: Path, owner: int) -> Path:
    folder.mkdir()
    os.chown(folder, owner, owner)
    return folder


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda agents: agents.symlink_to(elsewhere(agents)), "is no folder"),
        (lambda agents: (agents.mkdir(), agents.chmod(0o777)), "can be written by other users"),
        pytest.param(lambda agents: make(agents, owner=1), "belongs to", marks=as_root),
        (lambda agents: (agents.mkdir(0o700), (agents / "bmo").symlink_to(elsewhere(agents))), "bmo is no folder"),
        pytest.param(
            lambda agents: [agents.mkdir(0o700), make(agents / "bmo", owner=1)],
            "bmo belongs to",
            marks=as_root,
        ),
    ],
)
def test_folder_that_is_not_ours_is_refused(place: Path, project: Path, spoil: Any, said: str) -> None:
    spoil(place / "agents")
    told, err = run(configure(place))
    assert told == {}
    assert said in err
    assert "move it away, and lkhub makes it anew" in " ".join(err.split())


@as_root
def test_state_directory_that_an_agent_cannot_enter_is_named(place: Path, project: Path) -> None:
    place.chmod(0o700)
    told, err = run(configure(place))
    assert told == {}
    assert f"can't enter {place}" in err


def test_copy_has_what_the_project_has_and_none_of_what_tools_make(place: Path, project: Path) -> None:
    for name in (
        ".git/config",
        ".venv/x",
        "pkg/__pycache__/x",
        "pkg/mod.py",
        "node_modules/m/i.js",
        "dist/a.js",
        ".env",
    ):
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text(name)
    (project / "hub.yaml").write_text("keys: …")
    (project / "link").symlink_to("pkg/mod.py")
    (project / "outside").symlink_to("/etc/shadow")
    os.mkfifo(project / "pipe")
    config = configure(place)
    told, err = run(config)
    assert told, err
    copied = Path(config.home, "0123456789abcdef/project")
    found = {str(path.relative_to(copied)) for path in copied.rglob("*") if not path.is_dir()}
    assert found == {"agent.py", "pkg/mod.py", "node_modules/m/i.js", "dist/a.js", ".env", "link", "outside"}
    assert os.readlink(copied / "outside") == "/etc/shadow", "what it leads to is not copied"


def test_copies_that_nothing_runs_from_are_removed_but_for_the_last(place: Path, project: Path) -> None:
    (project / "agent.py").write_text("import time\nprint('told {}', flush=True)\ntime.sleep(1000)")
    config = configure(place, inputs="a" * 64)
    with start(config) as running:
        assert running.stdout
        assert running.stdout.readline() == "told {}\n"
        (project / "agent.py").write_text(TELL)
        Path(config.home, f"{'e' * 16}.new").mkdir()
        for letter in "bcd":
            run(configure(place, inputs=letter * 64))
        there = {path.name[0] for path in Path(config.home).iterdir() if len(path.name) >= 16}
        assert there == {"a", "c", "d"}, "a worker runs from a; c runs again where the change to d fails"
    run(configure(place, inputs="e" * 64))
    assert {path.name[0] for path in Path(config.home).iterdir() if len(path.name) >= 16} == {"d", "e"}


@pytest.fixture
def home(place: Path) -> AgentHome:
    return AgentHome(str(place / "agents/bmo"), None)


def test_folder_of_an_agent_that_is_gone_is_removed_once_nothing_runs_from_it(place: Path, project: Path) -> None:
    """But for what the agent itself has kept."""
    (project / "agent.py").write_text(f"{TELL}\nimport time\nif sys.argv[1:]: time.sleep(1000)")
    homes = {name: place / "agents" / name for name in ("kept", "runs", "data", "gone")}
    for name in ("kept", "data", "gone"):
        told, err = run(configure(place, home=str(homes[name]), command=(SYSTEM_PYTHON, "agent.py")))
        assert told, err
    (homes["data"] / "user/diary").write_text("dear")
    (homes["data"] / "user/.cache").mkdir()
    (homes["data"] / "user/.cache/model").write_text("large")
    with start(configure(place, home=str(homes["runs"]))) as process:
        assert process.stdout
        process.stdout.readline()
        assert remove_left(str(place / "agents"), ["kept"]) == (str(homes["data"]),)
        assert {name for name, home in homes.items() if home.is_dir()} == {"kept", "runs", "data"}
        assert (homes["runs"] / "0123456789abcdef/project/agent.py").exists()
        assert sorted(path.name for path in homes["data"].rglob("*")) == ["diary", "launcher.py", "lock", "user"]
        assert remove_left(str(place / "agents"), ["kept"]) == (), "it is told once"
        process.kill()
    remove_left(str(place / "agents"), [])
    assert {name for name, home in homes.items() if home.is_dir()} == {"data"}


def test_what_an_agent_has_kept_stays_where_it_can_not_be_listed(
    home: AgentHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    with home.hold():
        pass
    kept = Path(home.path, "user/diaries")
    kept.mkdir(parents=True)
    (kept / "one").write_text("dear")
    with monkeypatch.context() as patch:
        refuse_to_list(patch, "/diaries")
        remove_left(os.path.dirname(home.path), [])
    assert (kept / "one").exists()
    (kept / "one").unlink()
    remove_left(os.path.dirname(home.path), [])
    assert not os.path.exists(home.path)


def test_lock_of_an_agent_is_held_by_one(home: AgentHome) -> None:
    with home.hold():
        assert subprocess.run(["flock", "-n", f"{home.path}/lock", "true"]).returncode == 1
    assert subprocess.run(["flock", "-n", f"{home.path}/lock", "true"]).returncode == 0


def test_copy_has_begun_when_a_process_last_began_to_run_from_it(home: AgentHome) -> None:
    """One that runs again after a change was taken back is the one to keep, and not the one that was made last."""
    with home.hold():
        first, second, third = (home.find_copy(digit * 64) for digit in "abc")
        for number, copy in enumerate((first, second, third)):
            Path(copy.folder).mkdir()
            assert copy.find_start() is None, "it is not installed"
            copy.note_installed()
            os.utime(copy.folder, (number, number))
        subprocess.run([sys.executable, "-c", _KEEP, first.folder], check=True, cwd=Path(lkhub.__file__).parent.parent)
        assert (first.find_start() or 0) > 2
        home.remove_old(third)
    assert [os.path.exists(copy.folder) for copy in (first, second, third)] == [True, False, True]


_KEEP = "import sys; from lkhub.host.agent_home import AgentCopy, AgentHome; AgentCopy(None, sys.argv[1]).keep()"
