"""The program that starts an agent, with stand-ins for livekit-agents."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lkhub.host.agent_home import LAUNCHER

AGENT = """
import json, os, sys
import beside
told = {"argv": sys.argv, "name": __name__, "port": os.environ.get("LKHUB_HEALTH_PORT"), "path": sys.path[0]}
try:
    from livekit.agents import CLASS
    told["made"] = [CLASS(host="0.0.0.0", port=8081).where, CLASS().where, CLASS("a").given]
except ImportError:
    pass
print(json.dumps(told))
"""

# As in livekit-agents: its own defaults, and arguments of the code.
SERVER = """
class {name}:
    def __init__(self, given=None, *, host="", port=8081):
        self.given, self.where = given, [host, port]
"""


def launch(folder: Path, name: str, *arguments: str, **environ: str) -> dict[str, Any]:
    (folder / "src").mkdir()
    (folder / "src/agent.py").write_text(AGENT.replace("CLASS", name))
    (folder / "src/beside.py").touch()
    done = subprocess.run(
        [sys.executable, "-S", "-s", LAUNCHER, "src/agent.py", *arguments],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(folder / "packages"), **environ},
        capture_output=True,
        text=True,
    )
    assert done.stderr == ""
    told: dict[str, Any] = json.loads(done.stdout)
    return told


@pytest.mark.parametrize("name", ["AgentServer", "Worker"])
def test_health_check_is_on_loopback_and_at_the_given_port(tmp_path: Path, name: str) -> None:
    package = tmp_path / "packages/livekit/agents"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(SERVER.format(name=name))
    told = launch(tmp_path, name, "start", LKHUB_HEALTH_PORT="8099")
    assert told["made"] == [["127.0.0.1", 8099], ["127.0.0.1", 8099], "a"]
    assert told["port"] is None, "it is no variable of the agent's"


def test_program_of_another_kind_runs_as_it_is(tmp_path: Path) -> None:
    told = launch(tmp_path, "AgentServer", "start", "--flag", LKHUB_HEALTH_PORT="8099")
    assert told == {
        "argv": ["src/agent.py", "start", "--flag"],
        "name": "__main__",
        "port": None,
        "path": str(tmp_path / "src"),
    }


def test_launcher_needs_nothing_of_lkhub() -> None:
    assert "lkhub." not in LAUNCHER.read_text().replace("nothing of lkhub.", "")
