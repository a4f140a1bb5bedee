"""An agent from its project to its process, with a stand-in for uv."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil
import pytest

import lkhub
from lkhub.host.agent_home import AgentHome, remove_left
from lkhub.wire.agent import AgentConfig, dump_agent
from tests.kit.refusals import refuse_to_list
from tests.waiting import wait_until

ROOT = os.geteuid() == 0
SYSTEM_PYTHON = shutil.which("python3", path="/usr/bin:/bin") or sys.executable
UID = 2_000_123_456

as_root = pytest.mark.skipif(not ROOT or sys.platform != "linux", reason="another user needs root")

# What the agent sees of itself.
TELL = """
import json, os, sys
status = dict(line.split(":", 1) for line in open("/proc/self/status") if ":" in line)
told = {
    "uid": os.getuid(), "gid": os.getgid(), "groups": os.getgroups(), "cwd": os.getcwd(), "environ": dict(os.environ),
    "status": {key: status[key].strip() for key in status if key.startswith("Cap") or key == "NoNewPrivs"},
    "argv": sys.argv,
}
print("told " + json.dumps(told), flush=True)
"""

# It makes the environment as uv does, and notes that it was called.
UV = """#!/bin/sh
echo "uv $* in $PWD" >> "$HOME/calls"
env | grep -c SECRET >> "$HOME/secrets"
mkdir -p "$UV_PROJECT_ENVIRONMENT/bin"
ln -sf PYTHON "$UV_PROJECT_ENVIRONMENT/bin/python"
{ids}
"""


@pytest.fixture
def place(short_dir: Path) -> Path:
    """A folder that every user may enter."""
    short_dir.chmod(0o755)
    return short_dir


@pytest.fixture
def project(place: Path) -> Path:
    project = place / "project"
    project.mkdir()
    (project / "agent.py").write_text(TELL)
    return project


def configure(place: Path, **said: Any) -> AgentConfig:
    given: dict[str, Any] = {
        "name": "agent-bmo",
        "project": str(place / "project"),
        "command": (SYSTEM_PYTHON, "agent.py", "start"),
        "home": str(place / "agents/bmo"),
        "uid": UID if ROOT else None,
        "port": 8081,
        "variables": {},
        "inputs": "0123456789abcdef" * 4,
        "uv": "",
        "entry": "agent.py",
    }
    return AgentConfig(**{**given, **said})


def start(config: AgentConfig, environ: Mapping[str, str] = {}, *before: str) -> "subprocess.Popen[str]":
    """As the supervisor starts it."""
    rendered = Path(config.home).parents[1] / "agent.json"
    rendered.write_text(dump_agent(config))
    return subprocess.Popen(
        [*before, sys.executable, "-P", "-m", "lkhub", "run-agent", "--config", rendered],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(Path(lkhub.__file__).parents[1]), **environ},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(config: AgentConfig, environ: Mapping[str, str] = {}, *before: str) -> tuple[dict[str, Any], str]:
    """What the agent told, and what was said besides."""
    with start(config, environ, *before) as process:
        out, err = process.communicate(timeout=60)
    told = [json.loads(line.removeprefix("told ")) for line in out.splitlines() if line.startswith("told ")]
    return (told[0] if told else {}), err


@pytest.fixture
def uv(place: Path) -> str:
    program = place / "uv"
    program.write_text(UV.replace("PYTHON", SYSTEM_PYTHON).replace("{ids}", ""))
    program.chmod(0o755)
    return str(program)


def test_agent_runs_in_a_copy_with_its_own_variables_alone(place: Path, project: Path) -> None:
    held = {"LKHUB_AGENT_TOKEN": "t", "LKHUB_AGENT_PATH": "/usr/bin:/bin:/x"}
    config = configure(place, variables={"TOKEN": "LKHUB_AGENT_TOKEN", "PATH": "LKHUB_AGENT_PATH"})
    told, err = run(config, {**held, "PRIVATE": "x", "OTHER_KEY": "y", "LKHUB_PROCESS": "mark", "LC_ALL": "C.UTF-8"})
    assert told["cwd"] == f"{config.home}/0123456789abcdef/project", err
    assert told["argv"] == ["agent.py", "start"]
    assert told["environ"] == {
        "TOKEN": "t",
        "PATH": "/usr/bin:/bin:/x",
        "HOME": f"{config.home}/user",
        "LC_ALL": "C.UTF-8",
        "LKHUB_PROCESS": "mark",
    }


@as_root
def test_agent_of_root_is_another_user_without_rights(place: Path, project: Path) -> None:
    # As in a container of older versions of Docker.
    told, err = run(configure(place), {}, "setpriv", "--inh-caps", "+chown,+net_raw")
    assert (told["uid"], told["gid"], told["groups"]) == (UID, UID, []), err
    none = "0" * 16
    sets = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")
    assert told["status"] == {**dict.fromkeys(sets, none), "NoNewPrivs": "1"}


@as_root
def test_variables_of_an_agent_reach_nothing_that_root_runs(place: Path, project: Path) -> None:
    """The interpreter of lkhub and the dynamic loader would obey them."""
    (place / "evil").mkdir()
    (place / "evil/sitecustomize.py").write_text(f"import os; open('{place}/seen', 'a').write(f'{{os.getuid()}}\\n')")
    (place / "seen").touch()
    (place / "seen").chmod(0o666)
    held = {"LKHUB_AGENT_PYTHONPATH": str(place / "evil"), "LKHUB_AGENT_LD_PRELOAD": str(place / "no.so")}
    config = configure(place, variables={name.removeprefix("LKHUB_AGENT_"): name for name in held})
    told, err = run(config, held)
    assert told["environ"]["PYTHONPATH"] == str(place / "evil")
    assert (place / "seen").read_text() == f"{UID}\n"
    assert err.count("no.so") == 1, "of the agent's own program"


@as_root
def test_agent_never_runs_as_root(place: Path, project: Path) -> None:
    told, err = run(configure(place, uid=None))
    assert told == {}
    assert "agent-bmo would run as root" in err
    assert not (place / "agents").exists()


def test_uv_installs_once_for_each_version_and_gets_no_key(place: Path, project: Path, uv: str) -> None:
    config = configure(place, uv=uv, variables={"LIVEKIT_API_SECRET": "LKHUB_AGENT_LIVEKIT_API_SECRET"})
    held = {"LKHUB_AGENT_LIVEKIT_API_SECRET": "SECRET"}
    for _ in range(2):
        told, err = run(config, held)
        assert told["environ"]["LIVEKIT_API_SECRET"] == "SECRET", err
    copy = f"{config.home}/0123456789abcdef"
    assert Path(f"{config.home}/user/calls").read_text() == f"uv sync --no-dev in {copy}/project\n"
    assert Path(f"{config.home}/user/secrets").read_text() == "0\n"
    (project / "uv.lock").touch()
    run(configure(place, uv=uv, inputs="f" * 64), held)
    assert Path(f"{config.home}/user/calls").read_text().splitlines()[1:] == [
        f"uv sync --no-dev --frozen in {config.home}/{'f' * 16}/project"
    ]


def test_installer_alone_reaches_the_index_as_the_operator_does(place: Path, project: Path, uv: str) -> None:
    Path(uv).write_text(f'#!/bin/sh\nenv > "$HOME/env"\n{Path(uv).read_text()}')
    reaching = {
        "HTTPS_PROXY": "http://proxy:3128",
        "no_proxy": "localhost",
        "SSL_CERT_FILE": str(place / "own.pem"),
        "UV_DEFAULT_INDEX": "https://index.example/simple",
        "UV_CACHE_DIR": "/elsewhere",
    }
    (place / "own.pem").touch()
    config = configure(place, uv=uv)
    told, err = run(config, {**reaching, "UV_PUBLISH_TOKEN": "x", "AWS_KEY": "y"})
    given = dict(line.split("=", 1) for line in Path(config.home, "user/env").read_text().splitlines() if "=" in line)
    assert given["UV_CACHE_DIR"] == f"{config.home}/user/.cache/uv", err
    assert {name: given.get(name) for name in reaching} == {**reaching, "UV_CACHE_DIR": given["UV_CACHE_DIR"]}
    assert not {"UV_PUBLISH_TOKEN", "AWS_KEY"} & given.keys()
    assert not {"HTTPS_PROXY", "no_proxy", "UV_DEFAULT_INDEX"} & told["environ"].keys()


@as_root
def test_certificates_that_an_agent_can_not_read_are_none_of_its_variables(place: Path, project: Path, uv: str) -> None:
    """Python and others fail where they can't read them, also an agent that needs no certificate."""
    Path(uv).write_text(f'#!/bin/sh\nenv > "$HOME/env"\n{Path(uv).read_text()}')
    (place / "closed").mkdir(mode=0o700)
    for folder, mode in ((place, 0o644), (place, 0o600), (place / "closed", 0o644)):
        (folder / f"{mode:o}.pem").touch(mode)
    (place / "certificates").mkdir()
    for name, value, gets in (
        ("SSL_CERT_FILE", f"{place}/644.pem", True),
        ("SSL_CERT_FILE", f"{place}/600.pem", False),
        ("SSL_CERT_FILE", f"{place}/closed/644.pem", False),
        ("SSL_CERT_FILE", f"{place}/nowhere.pem", False),
        ("SSL_CERT_DIR", f"{place}/certificates", True),
        ("SSL_CERT_DIR", f"{place}/certificates:{place}/closed", False),
    ):
        # Another version each time, so that it is installed.
        config = configure(place, uv=uv, inputs=hashlib.sha256(value.encode()).hexdigest())
        told, err = run(config, {name: value})
        assert told["environ"].get(name) == (value if gets else None)
        assert (value in Path(config.home, "user/env").read_text()) == gets
        assert (f"does not get {name}, since its user can't read {value}" in err) == (not gets)


def test_environment_is_first_on_the_path(place: Path, project: Path, uv: str) -> None:
    config = configure(place, uv=uv, command=("python", "agent.py", "start"))
    told, err = run(config)
    assert told["environ"]["PATH"].startswith(f"{config.home}/0123456789abcdef/environment/bin:"), err


@pytest.mark.parametrize("code", ["exit 3", "kill -9 $$"])
def test_installation_that_fails_is_told_and_tried_again(place: Path, project: Path, code: str) -> None:
    uv = place / "uv"
    uv.write_text(f"#!/bin/sh\n{code}\n")
    uv.chmod(0o755)
    for _ in range(2):
        told, err = run(configure(place, uv=str(uv)))
        assert told == {}
        assert "copying" in err
        assert "can't install its dependencies: uv ended with exit code" in err
    uv.write_text(UV.replace("PYTHON", SYSTEM_PYTHON).replace("{ids}", ""))
    told, err = run(configure(place, uv=str(uv)))
    assert told, err


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a process that is left has another parent")
@pytest.mark.parametrize("code", [0, 1])
def test_what_an_installer_has_detached_ends_with_it(place: Path, project: Path, uv: str, code: int) -> None:
    detached = f"(setsid sh -c 'echo $$ > {place}/detached; exec env -i sleep 1000' &)"
    wait = f"until [ -s {place}/detached ]; do sleep 0.1; done"
    with open(uv, "a") as script:
        script.write(f"{detached}\n{wait}\nexit {code}\n")
    (place / "detached").touch()
    (place / "detached").chmod(0o666)
    told, err = run(configure(place, uv=uv))
    assert bool(told) == (code == 0), err
    assert not psutil.pid_exists(int((place / "detached").read_text()))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_installer_ends_with_what_started_it(place: Path, project: Path, number: signal.Signals) -> None:
    uv = place / "uv"
    uv.write_text('#!/bin/sh\nsleep 1000 &\necho $$ $! > "$HOME/pids"\nwait\n')
    uv.chmod(0o755)
    config = configure(place, uv=str(uv))
    noted = Path(config.home, "user/pids")
    with start(config) as process:
        wait_until(lambda: noted.exists() and noted.read_text().strip(), "the installer")
        installer, build = map(int, noted.read_text().split())
        process.send_signal(number)
        process.wait(60)
        if number == signal.SIGKILL:  # of what the installer has started itself, the kernel knows nothing
            os.kill(build, signal.SIGKILL)
        process.communicate(timeout=60)
    wait_until(lambda: not psutil.pid_exists(installer), "its end")
    wait_until(lambda: not psutil.pid_exists(build), "the end of what it has started")
    assert not Path(config.home, "0123456789abcdef/installed").exists()
    noted.unlink()
    uv.write_text(UV.replace("PYTHON", SYSTEM_PYTHON).replace("{ids}", ""))
    told, err = run(config)
    assert told, err


def test_of_two_that_start_at_once_one_installs(place: Path, project: Path, uv: str) -> None:
    Path(uv).write_text(UV.replace("PYTHON", SYSTEM_PYTHON).replace("{ids}", "sleep 0.5"))
    config = configure(place, uv=uv)
    both = [start(config), start(config)]
    for process in both:
        out, err = process.communicate(timeout=60)
        assert "told " in out, err
    assert len(Path(config.home, "user/calls").read_text().splitlines()) == 1


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
    running = start(config)
    try:
        assert running.stdout
        assert running.stdout.readline() == "told {}\n"
        (project / "agent.py").write_text(TELL)
        Path(config.home, f"{'e' * 16}.new").mkdir()
        for letter in "bcd":
            run(configure(place, inputs=letter * 64))
        there = {path.name[0] for path in Path(config.home).iterdir() if len(path.name) >= 16}
        assert there == {"a", "c", "d"}, "a worker runs from a; c runs again where the change to d fails"
    finally:
        running.kill()
        running.communicate()
    run(configure(place, inputs="e" * 64))
    assert {path.name[0] for path in Path(config.home).iterdir() if len(path.name) >= 16} == {"d", "e"}


@pytest.mark.parametrize("command", ["./run.sh", "run.sh", "bin/../run.sh"])
def test_program_of_the_project_is_found(place: Path, project: Path, command: str) -> None:
    (project / "bin").mkdir()
    (project / "run.sh").write_text("#!/bin/sh\necho 'told {\"here\": true}'\n")
    (project / "run.sh").chmod(0o755)
    assert run(configure(place, command=(command,)))[0] == {"here": True}


def test_program_that_is_nowhere_is_told(place: Path, project: Path) -> None:
    told, err = run(configure(place, command=("no-such-program",)))
    assert told == {}
    assert "no-such-program is neither on the PATH nor in" in " ".join(err.split())


@pytest.mark.parametrize(("text", "why"), [("echo hi\n", "exec format error"), ("#!/no/such\n", "no such file")])
def test_program_that_can_not_be_started_is_told_in_one_line(place: Path, project: Path, text: str, why: str) -> None:
    """The agent's user may not be able to read the Python that lkhub runs by, as in /root."""
    (project / "run.sh").write_text(text)
    (project / "run.sh").chmod(0o755)
    config = configure(place, command=("./run.sh",))
    told, err = run(config)
    assert told == {}
    last = err.splitlines()[-1]
    assert last.startswith(f"error: can't start {config.home}/0123456789abcdef/project/./run.sh: {why}"), err


@as_root
def test_program_that_only_root_reaches_is_not_taken(place: Path, project: Path) -> None:
    hidden = place / "hidden"
    hidden.mkdir(mode=0o700)
    (hidden / "env").write_text("#!/bin/sh\necho 'told {\"hidden\": true}'\n")
    (hidden / "env").chmod(0o755)
    path = f"{hidden}:{os.environ['PATH']}"
    told, err = run(configure(place, command=("env", SYSTEM_PYTHON, "agent.py", "start")), {"PATH": path})
    assert told.get("argv") == ["agent.py", "start"], err


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a process that is left has another parent")
def test_what_an_agent_leaves_is_its_own_child(place: Path, project: Path) -> None:
    left = "import os; os.fork() and os._exit(0); os.setsid(); os.execve('/bin/sleep', ['sleep', '99'], {})"
    see = "import subprocess, sys, time; subprocess.run([sys.executable, '-c', sys.argv[1]]); print(flush=True)"
    with start(configure(place, command=(SYSTEM_PYTHON, "-c", f"{see}; time.sleep(99)", left))) as process:
        assert process.stdout
        process.stdout.readline()
        [child] = psutil.Process(process.pid).children()
        child.kill()
        process.kill()


def test_signals_are_as_a_program_expects_them(place: Path, project: Path) -> None:
    _, err = run(configure(place, command=("sh", "-c", "grep SigIgn /proc/self/status >&2; exit 3")))
    assert int(err.split("SigIgn:")[1].split()[0], 16) & (1 << signal.SIGPIPE - 1) == 0


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
