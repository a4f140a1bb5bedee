"""What `lkhub run-agent` is told, and what media says of workers."""

import json

import pytest

from lkhub.wire.agent import AgentConfig, KeptAgent, KeptWorker, dump_agent, parse_agent, parse_kept, show_kept
from lkhub.wire.engine import AgentJob, AgentsStatus, AgentWorker, MediaStatus, WaitingRoom
from lkhub.wire.message import parse_message

CONFIG = AgentConfig(
    "bmo", "/p", ("node", "a b.js"), "/h", None, 8081, {"PATH": "LKHUB_AGENT_PATH"}, "ab" * 32, "/uv", "agent.py"
)


def test_configuration_is_read_as_it_is_written() -> None:
    assert parse_agent(dump_agent(CONFIG)) == CONFIG


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"version": 1, "name": 1}'])
def test_another_text_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_agent(text)


@pytest.mark.parametrize(
    "told",
    [
        KeptAgent("waits for the hub", 0),
        KeptAgent("running", 2, (KeptWorker(4711, 1796000000.0, "127.0.0.1:40000", False),)),
        KeptAgent("running", 0, (KeptWorker(1, None, "", False), KeptWorker(2, 5.0, "[::1]:4", True)), 7.0, "can't; x"),
        KeptAgent("starts again soon", 3, failed=7.0, why="the last ended by signal 1", ended=1),
        KeptAgent("starts again soon", 1, ended=-9),
    ],
)
def test_what_a_unit_tells_is_read_as_it_is_written(told: KeptAgent) -> None:
    assert parse_kept(show_kept(told)) == told


def test_what_a_unit_of_another_version_tells_is_read_as_far_as_it_goes() -> None:
    assert parse_kept("running; 3 restarts; something new") == KeptAgent("running", 3)
    assert parse_kept("") == KeptAgent("", 0)


def test_status_of_media_says_what_it_knows_of_workers() -> None:
    job = {"id": "AJ_1", "room": "lobby", "identity": "agent-x", "since": 2.0}
    worker = {"id": "AW_1", "agent": "", "kind": "room", "free": True, "draining": False, "load": 0.5}
    worker |= {"address": "127.0.0.1:4000", "since": 1.0, "jobs": [job]}
    waiting = {"room": "team", "agent": "bmo", "reason": "full", "since": 3.0}
    told = {
        "version": 1,
        "state": "running",
        "pid": 1,
        "agents": {"workers": [worker], "waiting": [waiting], "again": 2},
    }
    assert parse_message(MediaStatus, json.dumps(told)).agents == AgentsStatus(
        (
            AgentWorker(
                "AW_1",
                "",
                "room",
                True,
                False,
                0.5,
                "127.0.0.1:4000",
                1.0,
                (AgentJob("AJ_1", "lobby", "agent-x", 2.0),),
            ),
        ),
        (WaitingRoom("team", "bmo", "full", 3.0),),
        2,
    )
    del told["agents"]
    assert parse_message(MediaStatus, json.dumps(told)).agents is None
