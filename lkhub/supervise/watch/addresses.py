"""Notices that this machine's addresses have changed (DHCP, dynamic DNS, a VPN), and makes the hub follow."""

from dataclasses import dataclass

import anyio

from lkhub.errors import HubError
from lkhub.findings.fault import SpecError
from lkhub.host.network import list_interfaces
from lkhub.prepare.hub import PreparedHub, prepare_again
from lkhub.supervise.supervisor import Supervisor


@dataclass(frozen=True)
class Move:
    """This machine's address differs from the address that clients of `hub`, the one in force, are told; `what` says
    so. `lost`: the hub's address is gone, and what to do about it; None if it only changed."""

    hub: PreparedHub | None
    what: str
    lost: tuple[str, ...] | None


class Addresses:
    """What the watcher has seen of this machine's addresses."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor
        self._timings = supervisor.shared.timings
        self._seen: object = None
        self._asked = 0.0
        self._move: Move | None = None
        self._doubt = ""

    @property
    def move(self) -> Move | None:
        """What is wrong with the address of the hub in force; None if nothing is known to be wrong."""
        return self._move if self._move and self._move.hub is self._supervisor.in_force.hub else None

    async def look(self) -> None:
        """Compare the plan in force with this machine if its interfaces changed or it is time to ask other servers."""
        found = list_interfaces()
        first = self._seen is None
        due = anyio.current_time() - self._asked > self._timings.addresses_look_up
        if first:
            self._seen, self._asked = found, anyio.current_time()
        if first or (found == self._seen and not due):
            return
        # A pending change is what the operator wants, so its spec is planned anew, not the one in force.
        wanted = self._supervisor.wanted
        if wanted is not None and not self._supervisor.stopping:
            await self.follow(wanted)
        # Noted only now, so that an unforeseen error above makes the next look try again.
        self._seen, self._asked = found, anyio.current_time()

    async def follow(self, wanted: PreparedHub) -> None:
        """Apply the plan that the spec of `wanted` gives on this machine now, without interrupting a call."""
        supervisor = self._supervisor
        try:
            found = await anyio.to_thread.run_sync(prepare_again, wanted, abandon_on_cancel=True)
        except HubError as error:
            self._notice_loss(error)
            return
        self._doubt = ""
        current = supervisor.in_force.hub
        if current is None or supervisor.wanted is not wanted:
            return  # the operator has applied another spec meanwhile
        told, now = (", ".join(map(str, hub.plan.media.advertise)) for hub in (current, found))
        if found.plan.media.addresses == current.plan.media.addresses:
            self._move = None
        else:
            self._notice_move(f"clients are told {told}, and this machine is at {now}", None)
        if found.plan.media.addresses == wanted.plan.media.addresses:
            return
        try:
            outcome = await supervisor.apply(found, instead_of=wanted)
        except HubError as error:
            supervisor.say(f"the hub could not follow its address to {now}: {error.message}")
            return
        if outcome.pending or supervisor.in_force.hub is not found:
            return
        supervisor.in_force.tell_notes(current)
        if told != now:
            supervisor.say(f"the hub followed its address from {told} to {now}")
        elif not outcome.changed and not outcome.reloaded:
            supervisor.say(f"this machine is at {now} again, as clients are told: nothing is changed")

    def _notice_loss(self, error: HubError) -> None:
        """No plan can be built for this machine now. If it still has the hub's addresses, calls go on, and the cause is
        something else: a name server, a STUN server, tailscaled."""
        faults = error.faults if isinstance(error, SpecError) else ()
        what = "; ".join(f"{fault.key}: {fault.title}" for fault in faults) or error.message
        own = {str(address) for interface in list_interfaces() for address in interface.addresses}
        current = self._supervisor.in_force.hub
        if current is not None and all(str(told.local) in own for told in current.plan.media.addresses):
            self._notice_doubt(f"whether the hub's address has changed is not known: {what}")
            return
        fixes = tuple(fault.hint for fault in faults if fault.hint) or error.hints
        self._notice_move(f"the hub's address is gone: {what}", fixes)

    def _notice_move(self, what: str, lost: tuple[str, ...] | None) -> None:
        if self.move is None or self.move.what != what:
            self._supervisor.say(what)
        self._move = Move(self._supervisor.in_force.hub, what, lost)

    def _notice_doubt(self, what: str) -> None:
        if what != self._doubt:
            self._supervisor.say(what)
        self._doubt = what
