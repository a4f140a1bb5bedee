"""The agents that have containers of their own: which of them have a worker."""

import os
from pathlib import Path
from typing import Any

import pytest

from lkhub.host.given import write_given
from lkhub.hub import contained_agents
from lkhub.hub.gather import _look_at_agents
from lkhub.plan.container import choose_agent_uid
from lkhub.plan.paths import StatePaths
from lkhub.wire.agent import GivenAgent, dump_given
from lkhub.wire.control import HubReport
from tests.reports import hub_report

NOW = 2000.0


def give(path: str, name: str, *processes: str, image: str = "") -> None:
    given = GivenAgent(name, "x", (), "x", "", "", dict.fromkeys(processes, 8081), {}, image)
    write_given(path, dump_given(given))
    os.utime(path, (NOW, NOW))


@pytest.fixture
def hub(paths: StatePaths, monkeypatch: pytest.MonkeyPatch) -> StatePaths:
    """A hub in a container, with two agents in containers beside it, one of them twice, and an image."""
    monkeypatch.setenv("LKHUB_AGENTS", "containers")
    give(f"{paths.for_agent('bmo')}/agent.json", "bmo", "agent-bmo", "agent-bmo-2")
    give(f"{paths.for_agent('other')}/agent.json", "other", "agent-other")
    give(paths.for_image("tone"), "tone", "agent-tone", image="tone:1")
    users = {"127.0.0.1:1": choose_agent_uid("bmo"), "127.0.0.1:2": 0, "127.0.0.1:7880": choose_agent_uid("other")}
    monkeypatch.setattr(contained_agents, "list_connected", lambda: users)
    return paths


def report(*ports: int, began: float = 5.0) -> HubReport:
    worker = {"agent": "", "kind": "room", "free": True, "draining": False, "load": 0.0, "since": 1.0}
    workers = [{**worker, "id": f"AW_{port}", "address": f"127.0.0.1:{port}"} for port in ports]
    media: dict[str, Any] = {"name": "media", "since": began, "roles": ["knows-participants"]}
    return hub_report({"processes": [media], "media": {"agents": {"workers": workers}}})


def test_worker_is_known_by_the_user_that_it_comes_from(hub: StatePaths) -> None:
    found = {each.name: each for each in _look_at_agents(hub, report(1, 2))[0]}
    assert {name: each.worker and each.worker.id for name, each in found.items()} == {
        "agent-bmo": "AW_1",
        "agent-bmo-2": "AW_1",  # in which of the two it is can't be seen
        "agent-other": None,
        "agent-tone": None,
    }
    assert {name for name, each in found.items() if not each.seen} == {"agent-tone"}
    assert all(each.contained and each.since == NOW for each in found.values())


def test_worker_may_have_lost_the_media_of_before(hub: StatePaths) -> None:
    assert {each.since for each in _look_at_agents(hub, report(began=NOW + 1))[0]} == {NOW + 1}
    # What an agent gets may be gone at this moment.
    Path(hub.for_image("tone")).unlink()
    assert "agent-tone" not in {each.name for each in _look_at_agents(hub, report())[0]}


@pytest.mark.parametrize("kind", ["", "apart", "pods"])
def test_elsewhere_no_user_says_which_agent_it_is(hub: StatePaths, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    monkeypatch.setenv("LKHUB_AGENTS", kind)
    assert _look_at_agents(hub, report(1))[0] == ()


def test_nothing_is_known_while_media_does_not_answer(hub: StatePaths) -> None:
    assert _look_at_agents(hub, hub_report({"processes": []}))[0] == ()
