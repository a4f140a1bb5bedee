"""Whether the process that took the place of an agent takes its rooms too."""

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import anyio.to_thread

from lkhub.host.processes import ProcessId
from lkhub.host.sockets import is_installing, read_sockets
from lkhub.wire.engine import MediaStatus

if TYPE_CHECKING:
    from lkhub.supervise.child import Child

# A worker that has lost media connects again within this: it tries at once, and after 2, 4 and 6 s (livekit-agents,
# worker.py).
RETURNING_SECONDS = 15.0


class Succession:
    """Judges the agents among the children of a supervisor, which are looked up anew each time."""

    def __init__(self, list_children: Callable[[], Mapping[str, "Child"]]) -> None:
        self._list_children = list_children

    async def is_over(self, name: str, before: ProcessId) -> bool:
        """Whether the process `before` of the agent `name` need not take rooms any more: its successor has registered
        with media, or it takes none itself. False where media should know, and does not answer."""
        children = self._list_children()
        media = next(
            (child for child in children.values() if child.plan.knows_participants and child.plan.engine), None
        )
        if media is None:  # a livekit-server of the operator's, which does not tell
            return True
        status = await media.ask_status()
        if status is None:
            return False
        if not isinstance(status, MediaStatus) or status.agents is None:
            return True
        workers = {worker.address for worker in status.agents.workers}
        child = children.get(name)
        after = child.process if child is not None else None
        all_are_back = time.time() - media.since > RETURNING_SECONDS

        def judge() -> bool:
            if after is not None and after != before and workers & read_sockets(after.pid).connected:
                return True
            is_worker = bool(workers & read_sockets(before.pid).connected)
            return not is_worker and (all_are_back or is_installing(before.pid))

        return await anyio.to_thread.run_sync(judge, abandon_on_cancel=True)
