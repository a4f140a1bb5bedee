"""Notices that the operator's certificate (tls.cert, tls.key) was replaced, and lets the edge take it over.

What a process has taken stands in its record: one that was replaced while no supervisor lived is taken up by the next.
"""

import anyio

from lkhub.errors import MachineError
from lkhub.host import files
from lkhub.supervise.child import Child
from lkhub.supervise.supervisor import Supervisor

# A look is two calls of stat, no more often than the supervisor wakes up for its logs.
LOOK_SECONDS = 2.0

# What was refused may be taken later without a change of the file: a folder on the way was closed.
AGAIN_SECONDS = 60.0


class Certificates:
    """What was seen of the files that processes watch, look by look."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor
        self._seen: dict[str, tuple[str, ...]] = {}
        self._refused: dict[str, tuple[tuple[str, ...], float]] = {}

    async def look(self) -> None:
        """Let a process read its files again where they have changed and rest."""
        for child in list(self._supervisor.children.values()):
            name, found = child.plan.name, files.stamp(child.plan.watched)
            # Two looks alike: the key must not be written yet while the certificate is.
            rests, self._seen[name] = self._seen.get(name) == found, found
            if found == child.taken:
                child.refused = ""
            elif rests and child.state == "running" and not self._was_refused(name, found):
                await self._take_over(child, found)

    def _was_refused(self, name: str, found: tuple[str, ...]) -> bool:
        refused, at = self._refused.get(name, ((), 0.0))
        return refused == found and anyio.current_time() < at + AGAIN_SECONDS

    async def _take_over(self, child: Child, found: tuple[str, ...]) -> None:
        name = child.plan.name
        try:
            await self._supervisor.take_files(name)
            self._refused.pop(name, None)
            self._supervisor.say("the new certificate is in use")
        except MachineError as error:
            self._refused[name] = (found, anyio.current_time())
            if child.refused != error.message:
                self._supervisor.say(
                    f"the certificate's files have changed, and the old one stays in use: {error.message}"
                )
            child.refused = error.message
