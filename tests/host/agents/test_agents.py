"""An agent from its project to its process."""

import os
import signal
import sys
from pathlib import Path

import psutil
import pytest

from tests.host.agents.kit import ROOT, SYSTEM_PYTHON, TELL, UID, as_root, configure, kill, run, start


def test_agent_runs_in_a_copy_with_its_own_variables_alone(place: Path, project: Path) -> None:
    held = {"LKHUB_AGENT_TOKEN": "t", "LKHUB_AGENT_PATH": "/usr/bin:/bin:/x"}
    config = configure(place, variables={"TOKEN": "LKHUB_AGENT_TOKEN", "PATH": "LKHUB_AGENT_PATH"})
    told, err = run(config, {**held, "PRIVATE": "x", "OTHER_KEY": "y", "LKHUB_PROCESS": "mark", "LC_ALL": "C.UTF-8"})
    assert told["cwd"] == f"{config.home}/0123456789abcdef/project", err
    assert told["argv"] == ["agent.py", "start"]
    assert told["environ"].pop("TMPDIR").startswith(f"{config.home}/tmp-")
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


LITTER = """
import os, tempfile, time
print("told " + tempfile.mkdtemp(), flush=True)
os.symlink("/etc", f"{tempfile.gettempdir()}/etc")
if os.fork(): time.sleep(1000)
time.sleep(1000)
"""


def test_temporary_files_of_an_agent_that_was_killed_are_removed_at_the_next_start(place: Path, project: Path) -> None:
    (project / "agent.py").write_text(LITTER)
    config = configure(place)
    with start(config) as first, start(config) as other:
        left, used = (Path(process.stdout.readline().split()[-1]) for process in (first, other) if process.stdout)
        assert left.parent != used.parent, "each process has a folder of its own"
        assert os.lstat(left.parent).st_mode & 0o777 == 0o700
        kill(first)
        (project / "agent.py").write_text(TELL)
        told, err = run(configure(place, inputs="f" * 64))
        assert Path(told["environ"]["TMPDIR"]).parent == Path(config.home), err
        assert used.is_dir()
        assert not left.parent.exists()
        assert Path("/etc/passwd").exists(), "no link was followed"


@pytest.mark.parametrize("given", [True, False], ids=["the operator chose one", "its path is too long"])
def test_agent_without_a_temporary_folder_of_its_own(place: Path, project: Path, given: bool) -> None:
    if given:
        told, err = run(configure(place, variables={"TMPDIR": "LKHUB_AGENT_T"}), {"LKHUB_AGENT_T": "/var/tmp"})
    else:
        told, err = run(configure(place, home=str(place / f"agents/{'b' * 80}")), {"TMPDIR": "/var/tmp"})
    assert told["environ"].get("TMPDIR") == (None if ROOT and not given else "/var/tmp"), err
    assert not list(place.glob("agents/*/tmp-*"))


@as_root
def test_agent_can_not_take_all_processes_there_are(place: Path, project: Path) -> None:
    """As a unit can't: the processes of an agent are one user, and so the limit is for all of them."""
    asks = "import resource; print('told [%d, %d]' % resource.getrlimit(resource.RLIMIT_NPROC))"
    (project / "agent.py").write_text(asks)
    told, err = run(configure(place))
    room = int(Path("/proc/sys/kernel/pid_max").read_text())
    assert 0 < told[0] == told[1] < room // 5, err
