import errno
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import anyio
import pytest

from lkhub.errors import MachineError
from lkhub.host.processes import (
    MARK,
    ProcessId,
    child_environ,
    forget_variables,
    identify,
    is_alive,
    list_running,
    means_the_same,
    send_signal,
    start,
    wait_until_gone,
)
from tests.host.started import Run, who
from tests.waiting import until, wait_until


def test_process_is_the_same_for_as_long_as_it_lives(run: Run) -> None:
    child = run("sleep 60")
    first = who(child)
    assert identify(child.pid) == first
    assert is_alive(first)
    assert not is_alive(ProcessId(first.pid, "another start time"))
    child.kill()
    child.wait()
    assert identify(child.pid) is None
    assert not is_alive(first)


def test_two_processes_of_one_pid_are_distinguished() -> None:
    me = identify(os.getpid())
    assert me is not None
    assert me.started
    assert me != identify(os.getppid())


def test_zombie_counts_as_gone(run: Run) -> None:
    child = run("exit 0")
    wait_until(lambda: identify(child.pid) is None, "a zombie")
    assert child.poll() == 0


def test_unused_pid_is_no_process() -> None:
    assert identify(2**22 + 1) is None


def test_process_is_apart_from_our_terminal_and_writes_to_its_log(run: Run, tmp_path: Path) -> None:
    child = run("echo out; echo err >&2; read line || echo no input; exec sleep 60")
    log = tmp_path / "log"
    wait_until(lambda: log.read_text().count("\n") == 3, "three lines")
    assert log.read_text() == "out\nerr\nno input\n"
    assert log.stat().st_mode & 0o777 == 0o600
    assert os.getsid(child.pid) == child.pid != os.getsid(0)


def test_log_is_appended_to(run: Run, tmp_path: Path) -> None:
    for text in ("one", "two"):
        run(f"echo {text}").wait()
    assert (tmp_path / "log").read_text() == "one\ntwo\n"


def test_process_inherits_the_environment_that_it_is_given_and_nothing_open(tmp_path: Path) -> None:
    log = str(tmp_path / "log")
    with open(tmp_path / "secret", "w") as secret:
        os.set_inheritable(secret.fileno(), True)
        child = start(["/bin/sh", "-c", "env; ls /proc/self/fd | wc -w"], log, {"ONLY": "this"})
        child.wait()
    text = Path(log).read_text()
    assert "ONLY=this" in text
    assert "HOME=" not in text
    assert text.splitlines()[-1] == "4", "three standard streams, and the one that ls reads the folder with"


def test_descriptors_that_are_meant_for_it_keep_their_numbers(tmp_path: Path) -> None:
    read, write = os.pipe()
    child = start(["/bin/sh", "-c", f"echo hello > /proc/self/fd/{write}"], str(tmp_path / "log"), os.environ, [write])
    os.close(write)
    with os.fdopen(read) as pipe:
        assert pipe.read() == "hello\n"
    child.wait()


@pytest.mark.parametrize("program", ["/nowhere/engine", "/", __file__])
def test_program_that_cannot_be_started_is_a_machine_error(tmp_path: Path, program: str) -> None:
    with pytest.raises(MachineError, match=f"can't start {program}"):
        start([program], str(tmp_path / "log"), os.environ)


def test_log_that_cannot_be_written_is_a_machine_error(tmp_path: Path) -> None:
    with pytest.raises(MachineError, match="can't write"):
        start(["/bin/true"], str(tmp_path / "nowhere" / "log"), os.environ)


def test_what_a_livekit_server_would_obey_is_not_handed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    obeyed = (
        "LIVEKIT_CONFIG",
        "LIVEKIT_KEYS",
        "LIVEKIT_API_SECRET",
        "NODE_IP",
        "UDP_PORT",
        "REDIS_HOST",
        "REDIS_PASSWORD",
        "NOTIFY_SOCKET",
        "WATCHDOG_USEC",
        "CREDENTIALS_DIRECTORY",
    )
    for name in obeyed:
        monkeypatch.setenv(name, "x")
    monkeypatch.setenv("HOME", "/home/me")
    environ = child_environ()
    assert not set(obeyed) & set(environ)
    assert environ["HOME"] == "/home/me"


def test_what_was_forgotten_is_not_handed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUB_SECRET", "s3cret")
    forget_variables(["HUB_SECRET", "NEVER_SET"])
    assert "HUB_SECRET" not in os.environ
    assert "s3cret" not in child_environ().values()
    assert subprocess.run(["env"], capture_output=True, text=True).stdout.count("s3cret") == 0


@pytest.mark.anyio
async def test_waiting_ends_with_the_process(run: Run) -> None:
    child = run("sleep 60")
    gone = anyio.Event()

    async def wait() -> None:
        await wait_until_gone(who(child))
        gone.set()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(wait)
        await anyio.wait_all_tasks_blocked()
        assert not gone.is_set()
        child.kill()
        await until(gone.is_set, "the end of the wait")


@pytest.mark.anyio
async def test_waiting_for_one_that_is_gone_or_another_is_over_at_once(run: Run) -> None:
    child = run("sleep 60")
    with anyio.fail_after(5):
        await wait_until_gone(ProcessId(child.pid, "another start time"))
        await wait_until_gone(ProcessId(2**22 + 1, "nobody"))


@pytest.mark.anyio
async def test_waiting_works_without_pidfds(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on macOS."""
    monkeypatch.delattr(os, "pidfd_open", raising=False)
    child = run("sleep 60")
    identity = who(child)
    child.kill()
    with anyio.fail_after(5):
        await wait_until_gone(identity)


@pytest.mark.anyio
async def test_process_of_another_parent_is_waited_for(run: Run, tmp_path: Path) -> None:
    """An adopted process is not a child of this process."""
    run(f"(sleep 60 & echo $! > {tmp_path}/pid); true").wait()
    grandchild = identify(int((tmp_path / "pid").read_text()))
    assert grandchild is not None
    send_signal(grandchild, signal.SIGKILL)
    with anyio.fail_after(5):
        await wait_until_gone(grandchild)


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="this system has no pidfd")
@pytest.mark.anyio
async def test_process_that_can_not_be_examined_does_not_count_as_gone(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last descriptor was taken for the look itself."""
    child = run("sleep 60")
    identity = who(child)

    def refuse(_: int) -> int:
        raise OSError(errno.EMFILE, "Too many open files")

    with monkeypatch.context() as limit:
        limit.setattr("lkhub.host.processes._read_start_ticks", refuse)
        with pytest.raises(OSError, match="Too many"):
            await wait_until_gone(identity)
        with pytest.raises(OSError, match="Too many"):
            send_signal(identity, signal.SIGKILL)
    assert is_alive(identity)


def test_signal_reaches_the_process_that_was_meant_and_no_other(run: Run) -> None:
    child = run("sleep 60")
    identity = who(child)
    send_signal(ProcessId(child.pid, "another start time"), signal.SIGKILL)
    assert is_alive(identity)
    send_signal(identity, signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL
    send_signal(identity, signal.SIGKILL)


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="this system has no pidfd")
def test_process_that_has_the_pid_by_the_time_of_the_signal_is_not_signalled(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """We may be stopped between the look and the signal."""
    child = run("sleep 60")
    identity = who(child)

    def look_and_wait(process: ProcessId) -> bool:
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()
        return True

    def kill(*_: object) -> None:
        pytest.fail("a pid may be anybody's")

    monkeypatch.setattr("lkhub.host.processes._is_same", look_and_wait)
    with monkeypatch.context() as by_pid:
        by_pid.setattr(os, "kill", kill)
        send_signal(identity, signal.SIGTERM)


def test_processes_are_found_by_their_mark(tmp_path: Path) -> None:
    log = str(tmp_path / "log")
    marked = start(["/bin/sh", "-c", "sleep 60 & wait"], log, {**os.environ, MARK: "media here"})
    plain = start(["/bin/sh", "-c", "sleep 60 & wait", "media here"], log, os.environ)
    try:
        wait_until(lambda: len([each for each in list_running() if each.session == marked.pid]) == 2, "both")
        [first] = [each for each in list_running() if each.process.pid == marked.pid]
        assert first == replace(first, process=who(marked), mark="media here", session=marked.pid)
        assert first.argv[:2] == ("/bin/sh", "-c")
        assert abs(first.since - time.time()) < 60
        assert plain.pid not in {each.session for each in list_running()}
    finally:
        for child in (marked, plain):
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()


LIST_PIDS = "from lkhub.host import processes; print(*(each.process.pid for each in processes.list_running()))"


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="a /proc of its own needs root")
def test_processes_are_found_where_proc_shows_processes_alone(tmp_path: Path) -> None:
    """ProcSubset=pid of systemd. `status` would say that nothing runs."""
    marked = start(["sleep", "60"], str(tmp_path / "log"), {**os.environ, MARK: "media here"})
    try:
        # The environment of a process that is becoming another program can't be read.
        environment = Path(f"/proc/{marked.pid}/environ")
        wait_until(lambda: MARK.encode() in environment.read_bytes(), "its mark")
        mount = 'mount -t proc -o subset=pid proc /proc && test ! -e /proc/stat || exit 77; exec "$@"'
        argv = ["unshare", "--mount", "sh", "-c", mount, "sh", sys.executable, "-c", LIST_PIDS]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=60)
        if done.returncode == 77:
            pytest.skip(f"no /proc of its own here: {done.stderr}")
        assert done.returncode == 0, done.stderr
        assert str(marked.pid) in done.stdout.split()
    finally:
        marked.kill()
        marked.wait()


CHROOTED = "import os, sys, time; os.chroot(sys.argv[1]); print('in', flush=True); time.sleep(60)"


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="another root needs root")
def test_process_of_a_container_is_none_of_ours(tmp_path: Path) -> None:
    """Its state directory may have the same name."""
    log = tmp_path / "log"
    inside = start([sys.executable, "-c", CHROOTED, str(tmp_path)], str(log), {**os.environ, MARK: "media here"})
    try:
        wait_until(lambda: log.exists() and "in" in log.read_text(), "it is in its root")
        assert inside.pid not in {each.process.pid for each in list_running()}
    finally:
        inside.kill()
        inside.wait()


MOUNTED = """
import os, subprocess, sys, time
subprocess.run(["mount", "-t", "tmpfs", "tmpfs", sys.argv[1]], check=True)
os.makedirs(sys.argv[2], exist_ok=True)
print("in", flush=True)
time.sleep(60)
"""


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="a mount needs root")
@pytest.mark.parametrize("below", ["", "/state", "/a/b/c"])
@pytest.mark.parametrize("there", ["here too", "gone here"])
def test_path_under_another_mount_is_another_file(tmp_path: Path, below: str, there: str) -> None:
    """As /tmp of a unit with PrivateTmp: its hub has a state directory of the same name."""
    log, folder = tmp_path / "log", tmp_path / "private"
    folder.mkdir()
    path = f"{folder}{below}"
    if there == "here too":
        os.makedirs(path, exist_ok=True)
    argv = ["unshare", "--mount", "--propagation", "private", sys.executable, "-c", MOUNTED, str(folder), path]
    inside = start(argv, str(log), os.environ)
    try:
        wait_until(lambda: log.exists() and log.read_text(), "it has its mount")
        if "in" not in log.read_text():
            pytest.skip(f"no mount of its own here: {log.read_text()}")
        assert not means_the_same(path, inside.pid)
        assert means_the_same(str(log), inside.pid), "what is not mounted over is the same"
        assert means_the_same(f"{tmp_path}/gone/for/both", inside.pid)
    finally:
        inside.kill()
        inside.wait()


def test_path_means_the_same_for_a_process_beside_us(run: Run, tmp_path: Path) -> None:
    child = run("sleep 60")
    assert means_the_same(str(tmp_path), child.pid)
    assert means_the_same(f"{tmp_path}/gone", child.pid)


def test_mark_is_not_handed_on_by_a_hub_that_was_started_in_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(MARK, "media elsewhere")
    assert MARK not in child_environ()
    assert os.getpid() not in {each.process.pid for each in list_running()}
