"""Notices that the operator's certificate (tls.cert, tls.key) was replaced, and lets the edge take it over.

A process's record says which files it has read, so the next supervisor notices a certificate that was replaced while no
supervisor was running.
"""

from dataclasses import dataclass

import anyio

from lkhub.errors import MachineError
from lkhub.host import files
from lkhub.supervise.child import Child
from lkhub.supervise.supervisor import Supervisor


@dataclass(frozen=True)
class Refusal:
    """A process refused its watched files, with the stamps `found`, at `at` (anyio's clock); `why` is the reason."""

    found: tuple[str, ...]
    at: float
    why: str


class Certificates:
    """What the watcher has seen of the files in `watched` of each plan."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor
        self._seen: dict[str, tuple[str, ...]] = {}
        self._refused: dict[str, Refusal] = {}

    @property
    def refused(self) -> dict[str, str]:
        """Why processes refused their current files, by the processes' names."""
        children = self._supervisor.children
        return {name: refusal.why for name, refusal in self._refused.items() if name in children}

    async def look(self) -> None:
        """Make a process read its files again once they have changed and no longer change."""
        for child in list(self._supervisor.children.values()):
            name, found = child.plan.name, files.stamp(child.plan.watched)
            # Two looks must be alike: the certificate may be written before its key.
            rests, self._seen[name] = self._seen.get(name) == found, found
            if found == child.taken:
                self._refused.pop(name, None)
            elif rests and child.state == "running" and not self._was_refused(name, found):
                await self._take_over(child, found)

    def _was_refused(self, name: str, found: tuple[str, ...]) -> bool:
        refusal, again = self._refused.get(name), self._supervisor.shared.timings.certificates_again
        return refusal is not None and refusal.found == found and anyio.current_time() < refusal.at + again

    async def _take_over(self, child: Child, found: tuple[str, ...]) -> None:
        name, before = child.plan.name, self._refused.get(child.plan.name)
        try:
            await self._supervisor.take_files(name)
            self._refused.pop(name, None)
            self._supervisor.say("the new certificate is in use")
        except MachineError as error:
            self._refused[name] = Refusal(found, anyio.current_time(), error.message)
            if before is None or before.why != error.message:
                self._supervisor.say(
                    f"the certificate's files have changed, and the old one stays in use: {error.message}"
                )
