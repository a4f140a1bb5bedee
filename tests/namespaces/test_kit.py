"""The tests' own machines: they leave nothing behind, also after a killed run."""

import signal
import subprocess
import sys
from pathlib import Path

import psutil

from tests.kit.netns import namespace, remove_left
from tests.namespaces.lan import NAME_SERVER
from tests.waiting import wait_until

_KILLED_RUN = """
import os, signal, subprocess
from tests.kit.netns import namespace
with namespace("killed", "192.0.2.53") as made:
    subprocess.Popen([*made.prefix, "sleep", "1000"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while len(made.pids()) < 1:
        pass
    print(made.name, made.pids()[0], flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_namespace_goes_with_all_that_is_in_it() -> None:
    with namespace("short", NAME_SERVER) as made:
        left = subprocess.Popen([*made.prefix, "sleep", "1000"])
        wait_until(made.pids, "a process in the namespace")
        assert f"nameserver {NAME_SERVER}" in made.run("cat", "/etc/resolv.conf")
    assert left.wait() == -signal.SIGKILL
    assert not is_left(made.name)


def test_what_a_killed_run_left_is_removed_and_what_runs_is_not() -> None:
    with namespace("running") as running:
        killed = subprocess.run([sys.executable, "-c", _KILLED_RUN], capture_output=True, text=True)
        assert killed.returncode == -signal.SIGKILL, killed.stderr
        name, pid = killed.stdout.split()
        remove_left()
        assert not is_left(name)
        wait_until(lambda: not psutil.pid_exists(int(pid)), f"{pid} has ended")
        assert is_left(running.name)


def is_left(name: str) -> bool:
    return any(Path(folder, name).exists() for folder in ("/run/netns", "/etc/netns"))
