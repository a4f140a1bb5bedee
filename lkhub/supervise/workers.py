"""What the media processes of one hub know of its agents, joined. Pure."""

from collections.abc import Iterable

from msgspec.structs import replace

from lkhub.wire.engine import AgentJob, AgentsStatus


def join_agents(media: AgentsStatus, before: Iterable[AgentsStatus]) -> AgentsStatus:
    """The workers of `media`, with their jobs in the rooms of the processes `before` it too, and the rooms of all that
    wait for an agent. A worker that only one of those knows is gone, or about to connect to `media`."""
    statuses = (media, *before)
    jobs: dict[str, dict[str, AgentJob]] = {}
    for status in statuses:
        for worker in status.workers:
            jobs.setdefault(worker.id, {}).update({job.id: job for job in worker.jobs})
    return AgentsStatus(
        workers=tuple(
            replace(worker, jobs=tuple(sorted(jobs[worker.id].values(), key=lambda job: (job.since, job.id))))
            for worker in media.workers
        ),
        waiting=tuple(sorted((room for each in statuses for room in each.waiting), key=lambda room: room.since)),
        again=sum(status.again for status in statuses),
    )
