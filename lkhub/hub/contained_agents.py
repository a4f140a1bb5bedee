"""The agents that have containers of their own beside the hub's: whether their workers are connected. Their processes
can't be seen from the hub's container, but each agent with a project is a user of its own there."""

import os
from collections.abc import Iterable, Iterator

from lkhub.checks.agents import AgentProcess
from lkhub.host.installation import read_agents_run
from lkhub.host.tcp_table import list_connected
from lkhub.hub.agent_images import list_image_agents
from lkhub.hub.agent_units import read_given
from lkhub.plan.container import choose_agent_uid
from lkhub.plan.paths import StatePaths
from lkhub.wire.agent import GIVEN_FILE
from lkhub.wire.control import HubReport
from lkhub.wire.engine import AgentWorker


def look_at_contained(paths: StatePaths, report: HubReport) -> tuple[AgentProcess, ...]:
    """Those of compose. A pod has a network of its own, where the hub sees no user."""
    known = report.media.agents if report.media else None
    if known is None or read_agents_run() != "containers":
        return ()
    began = max((each.since for each in report.processes if "knows-participants" in each.roles), default=0.0)
    return tuple(_look(paths, known.workers, began))


def _look(paths: StatePaths, workers: Iterable[AgentWorker], began: float) -> Iterator[AgentProcess]:
    users = list_connected()
    for folder, agent in read_given(paths).items():
        uid = choose_agent_uid(agent.name)
        # Which of its containers a worker is in can't be seen.
        worker = next((worker for worker in workers if users.get(worker.address) == uid), None)
        # With another key, another worker starts.
        since = max(began, _find_change(f"{folder}/{GIVEN_FILE}"))
        for name in agent.ports:
            yield AgentProcess(name, since, worker, contained=True)
    for agent in list_image_agents(paths):
        since = max(began, _find_change(paths.for_image(agent.name)))
        for name in agent.ports:
            yield AgentProcess(name, since, contained=True, seen=False)


def _find_change(path: str) -> float:
    try:
        return os.stat(path).st_mtime
    except OSError:
        return 0.0
