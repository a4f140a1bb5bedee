"""A hub with an agent that may finish its calls."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lkhub.host.processes import ProcessId
from lkhub.plan.paths import StatePaths
from lkhub.plan.process import Health, ProcessPlan
from lkhub.prepare.hub import PreparedHub
from lkhub.supervise.succession import Succession
from lkhub.supervise.supervisor import Supervisor
from tests.supervise.conftest import status_of
from tests.waiting import until

AGENT = "serve"  # the actor that is one here


def with_agent(hub: PreparedHub, *, name: str = AGENT, **roles: Any) -> PreparedHub:
    """The hub, whose last process is an agent that may finish its calls."""

    def follow(process: ProcessPlan) -> ProcessPlan:
        if process.name != name:
            return process
        return replace(process, health=Health(), **({"retires": 60, "registers": True, "stop_order": 2} | roles))

    return replace(hub, plan=replace(hub.plan, processes=tuple(map(follow, hub.plan.processes))))


def busy(calls: Path, say: str = "old") -> dict[str, Any]:
    """An agent that is told to end, and goes on until its calls are over."""
    return {"say": say, "deaf": True, "die_when": str(calls)}


async def started(paths: StatePaths, *said: str) -> None:
    """The agents have begun; until then SIGTERM ends them."""
    log = Path(paths.log(AGENT))
    await until(lambda: log.read_text().split() == list(said), f"the starts of {said}")


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> set[int]:
    """The pids of agents whose successors have registered with media."""
    over: set[int] = set()

    async def is_over(_: Succession, __: str, before: ProcessId) -> bool:
        return before.pid in over

    monkeypatch.setattr(Succession, "is_over", is_over)
    return over


def retired_states(supervisor: Supervisor) -> dict[int, str]:
    return {row["pid"]: row["state"] for row in status_of(supervisor)["retired"]}
