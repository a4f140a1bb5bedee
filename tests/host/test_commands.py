"""Commands that don't end."""

import time
from pathlib import Path

import psutil
import pytest

from lkhub.errors import MachineError
from lkhub.firewall.table import Command
from lkhub.host.commands import run_command
from tests.waiting import wait_until


def test_what_a_command_has_started_ends_with_it(tmp_path: Path) -> None:
    """compileall starts a process for each CPU, and pip a build."""
    script = f"sleep 300 & echo $! >{tmp_path}/pid; wait"
    began = time.monotonic()
    with pytest.raises(MachineError, match="did not run to its end"):
        run_command(Command(("sh", "-c", script)), 1.0)
    assert time.monotonic() - began < 60
    pid = int((tmp_path / "pid").read_text())
    wait_until(lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE, "its end")
