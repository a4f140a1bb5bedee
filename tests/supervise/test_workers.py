"""The agents of two media processes, joined."""

from lkhub.supervise.workers import join_agents
from lkhub.wire.engine import AgentJob, AgentsStatus, AgentWorker, WaitingRoom


def worker(name: str, *jobs: AgentJob) -> AgentWorker:
    return AgentWorker(name, "bmo", "room", True, False, 0.1, f"127.0.0.1:{name}", 5.0, jobs)


OLD, NEW = AgentJob("J1", "old", "agent-J1", 1.0), AgentJob("J2", "new", "agent-J2", 2.0)
WAITS, WAITED = WaitingRoom("old", "al", "no-worker", 9.0), WaitingRoom("new", "al", "full", 8.0)


def test_worker_of_the_new_one_has_jobs_in_rooms_of_both() -> None:
    media = AgentsStatus((worker("1", NEW), worker("2")), (WAITS,), 1)
    before = AgentsStatus((worker("1", OLD, NEW), worker("gone", OLD)), (WAITED,), 3)
    assert join_agents(media, [before]) == AgentsStatus((worker("1", OLD, NEW), worker("2")), (WAITED, WAITS), 4)


def test_without_a_process_before_nothing_changes() -> None:
    media = AgentsStatus((worker("1", OLD),), (WAITS,), 1)
    assert join_agents(media, ()) == media
