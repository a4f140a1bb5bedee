"""Agents that tests start: what they tell of themselves, and a stand-in for uv."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

import lkhub
from lkhub.wire.agent import AgentConfig, dump_agent

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


@contextmanager
def start(config: AgentConfig, environ: Mapping[str, str] = {}, *before: str) -> Iterator["subprocess.Popen[str]"]:
    """As the supervisor starts it. At the end it is killed, with what it has started."""
    rendered = Path(config.home).parents[1] / "agent.json"
    rendered.write_text(dump_agent(config))
    with subprocess.Popen(
        [*before, sys.executable, "-P", "-m", "lkhub", "run-agent", "--config", rendered],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(Path(lkhub.__file__).parents[1]), **environ},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            kill(process)


def kill(agent: "subprocess.Popen[str]") -> None:
    """Kill an agent and what it has started."""
    with contextlib.suppress(psutil.NoSuchProcess):
        for child in psutil.Process(agent.pid).children(recursive=True):
            child.kill()
    agent.kill()
    agent.wait()


def run(config: AgentConfig, environ: Mapping[str, str] = {}, *before: str) -> tuple[Any, str]:
    """What the agent told, and what was said besides."""
    with start(config, environ, *before) as process:
        out, err = process.communicate(timeout=60)
    told = [json.loads(line.removeprefix("told ")) for line in out.splitlines() if line.startswith("told ")]
    return (told[0] if told else {}), err
