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


HOLDS = """
import socket, sys
held = socket.create_server(("127.0.0.1", 0), reuse_port=sys.argv[1] == "shares")
print(held.getsockname()[1], flush=True)
sys.stdin.read()
"""

# As in aiohttp.
SITE = """
import socket
class TCPSite:
    def __init__(self, runner, host=None, port=None, *, reuse_port=None):
        self.made = socket.create_server((host, port), reuse_port=bool(reuse_port)).getsockname()[1]
"""


@pytest.mark.parametrize("shares", [True, False])
def test_port_is_shared_with_the_worker_of_before_and_with_no_other_program(tmp_path: Path, shares: bool) -> None:
    for name in ("livekit/agents", "aiohttp"):
        (tmp_path / "packages" / name).mkdir(parents=True)
    (tmp_path / "packages/livekit/agents/__init__.py").write_text(SERVER.format(name="AgentServer"))
    (tmp_path / "packages/aiohttp/web.py").write_text(SITE)
    (tmp_path / "packages/aiohttp/__init__.py").touch()
    (tmp_path / "agent.py").write_text(
        "from aiohttp.web import TCPSite; from livekit.agents import AgentServer\n"
        "print(TCPSite(None, *AgentServer().where).made)"
    )
    argv = [sys.executable, "-c", HOLDS, "shares" if shares else ""]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as before:
        assert before.stdout
        port = before.stdout.readline().strip()
        environ = {"PATH": os.environ["PATH"], "PYTHONPATH": str(tmp_path / "packages"), "LKHUB_HEALTH_PORT": port}
        argv = [sys.executable, "-S", "-s", str(LAUNCHER), "agent.py"]
        done = subprocess.run(argv, cwd=tmp_path, env=environ, capture_output=True, text=True)
        before.kill()
    assert (done.stdout.strip() == port) == shares, done.stderr
    assert done.stdout


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
