"""Notices that the operator's certificate (tls.cert, tls.key) was replaced, and lets the edge take it over."""

import os

import anyio

from lkhub.errors import MachineError
from lkhub.plan.model import TlsPlan
from lkhub.supervise.supervisor import Supervisor

# A look is two calls of stat, no more often than the supervisor wakes up for its logs.
LOOK_SECONDS = 2.0


async def watch_certificate(supervisor: Supervisor) -> None:
    """Reload the edge whenever the files have changed and rest. Never returns."""
    taken: tuple[str, ...] | None = None
    seen: tuple[str, ...] = ()
    while True:
        edge = supervisor.current.plan.edge if supervisor.current else None
        found = _stamp(edge.tls) if edge else ()
        if taken is None:
            taken = found
        # Two looks alike: the key must not be written yet while the certificate is.
        if found and found != taken and found == seen:
            taken = found
            await _take_over(supervisor)
        seen = found
        await anyio.sleep(LOOK_SECONDS)


async def _take_over(supervisor: Supervisor) -> None:
    edge = supervisor.children.get("edge")
    if edge is None or edge.state != "running":
        return  # it reads them when it starts
    try:
        await edge.reload(edge.fingerprint)
        supervisor.say("the new certificate is in use")
    except MachineError as error:
        supervisor.say(f"the certificate's files have changed, and the old one stays in use: {error.message}")


def _stamp(tls: TlsPlan) -> tuple[str, ...]:
    """What changes when a file is replaced; () where the mode has no files."""
    found = []
    for path in filter(None, (tls.cert, tls.key)):
        try:
            status = os.stat(path)
            found.append(f"{path}:{status.st_ino}:{status.st_mtime_ns}:{status.st_size}")
        except OSError:
            found.append(path)
    return tuple(found)
