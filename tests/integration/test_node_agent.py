"""An agent in Node that a hub of root runs."""

import json
import os
import re
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.kit.hub import Hub
from tests.waiting import wait_until

AGENT = Path(__file__).parents[1] / "kit/node_agent"

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or sys.platform != "linux" or shutil.which("node", path="/usr/local/bin:/usr/bin:/bin") is None,
    reason="another user needs root, and Node where every user reaches it",
)


def tell(hub: Hub) -> list[dict[str, Any]]:
    """What each process of the agent has told, the newest last."""
    return [json.loads(line) for line in re.findall(r"TOLD (.*)$", hub.log("agent-node"), re.MULTILINE)]


def test_agent_in_node_is_started_restarted_and_ended_with_the_hub(hub: Hub) -> None:
    hub.folder.chmod(0o711)
    shutil.copytree(AGENT, hub.folder / "node")
    hub.write_spec("agents: [{name: node, project: node, command: node agent.mjs, env: {WORD: a-word}}]\n")
    hub.environ["A_SECRET_OF_THE_OPERATOR"] = "hunter2"
    hub.up("--no-verify")
    [told] = wait_until(lambda: tell(hub), "it has started")
    assert told["compiled"], "Node compiles in memory, in its sandbox too"
    assert told["uid"] >= 2_000_000_000
    own = hub.env()
    assert {name: told["variables"].get(name) for name in (*own, "WORD")} == {**own, "WORD": "a-word"}
    assert "A_SECRET_OF_THE_OPERATOR" not in told["variables"]
    os.kill(told["pid"], signal.SIGKILL)
    again = wait_until(lambda: tell(hub)[1:], "it has started again")[0]
    assert again["pid"] != told["pid"]
    assert hub.run("down").returncode == 0
    assert "ENDED" in hub.log("agent-node"), "it was told to end"
    assert not psutil.pid_exists(again["pid"])
