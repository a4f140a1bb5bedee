"""lkhub without docstrings and asserts: `python -OO`, or PYTHONOPTIMIZE in the environment."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

# Without the entries: a program of its own, and what only Alembic can run.
EVERY_MODULE = """
import importlib, pkgutil, lkhub
for module in pkgutil.walk_packages(lkhub.__path__, "lkhub."):
    if not module.name.endswith(("__main__", ".migrations.env")):
        importlib.import_module(module.name)
"""


def run(tmp_path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, "LKHUB_STATE": str(tmp_path / "state")}
    command = [sys.executable, "-OO", *arguments]
    return subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=120, check=False)


def test_every_module_can_be_imported_without_docstrings(tmp_path: Path) -> None:
    done = run(tmp_path, "-c", EVERY_MODULE)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("command", ["--help", "up --help", "init", "render livekit -o out", "spec schema"])
def test_command_works_without_docstrings(tmp_path: Path, command: str) -> None:
    done = run(tmp_path, "-m", "lkhub", *command.split())
    assert (done.returncode, "Traceback" in done.stderr) == (0, False), done.stderr


def test_status_works_without_docstrings(tmp_path: Path) -> None:
    done = run(tmp_path, "-m", "lkhub", "status", "--json")
    assert (done.returncode, json.loads(done.stdout)["hub"]["state"]) == (1, "stopped"), done.stderr
