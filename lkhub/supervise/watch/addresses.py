"""Notices that this machine's addresses have changed (DHCP, dynamic DNS, a VPN), and makes the hub follow."""

import anyio

from lkhub.errors import HubError, SpecError
from lkhub.host.network import list_interfaces
from lkhub.prepare.hub import PreparedHub, prepare_again
from lkhub.supervise.supervisor import Supervisor

# A look at the interfaces costs a millisecond. Clients notice a lost address after a few seconds too.
LOOK_SECONDS = 3.0

# What others say (name servers, a STUN server) is asked for this often: the usual life of a dynamic DNS record.
ASK_SECONDS = 60.0


class Addresses:
    """What was seen of this machine, look by look."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor
        self._seen: object = None
        self._asked = 0.0

    async def look(self) -> None:
        """Compare the running plan with this machine, where the machine has changed or it is time to ask others."""
        found = list_interfaces()
        first = self._seen is None
        due = anyio.current_time() - self._asked > ASK_SECONDS
        if first:
            self._seen, self._asked = found, anyio.current_time()
        if first or (found == self._seen and not due):
            return
        # A change that waits for an empty hub is what the operator wants, so that is what follows.
        wanted = self._supervisor.wanted
        if wanted is not None and not self._supervisor.stopping:
            await follow_addresses(self._supervisor, wanted)
        # Only now: what failed by something unforeseen is tried again.
        self._seen, self._asked = found, anyio.current_time()


async def follow_addresses(supervisor: Supervisor, wanted: PreparedHub) -> None:
    """Apply the plan that the spec of `wanted` gives on this machine now, as soon as that interrupts nobody."""
    try:
        found = await anyio.to_thread.run_sync(prepare_again, wanted, abandon_on_cancel=True)
    except HubError as error:
        _notice_loss(supervisor, error)
        return
    supervisor.notice_doubt("")
    current = supervisor.current
    if current is None or supervisor.wanted is not wanted:
        return  # the operator was faster
    told, now = (", ".join(map(str, hub.plan.media.advertise)) for hub in (current, found))
    if found.plan.media.addresses == current.plan.media.addresses:
        supervisor.notice_move("")
    else:
        supervisor.notice_move(f"clients are told {told}, and this machine is at {now}")
    if found.plan.media.addresses == wanted.plan.media.addresses:
        return
    try:
        applied = await supervisor.apply(found, instead_of=wanted)
    except HubError as error:
        supervisor.say(f"the hub could not follow its address to {now}: {error.message}")
        return
    if applied.pending or supervisor.current is not found:
        return
    supervisor.tell_notes(current)
    if told != now:
        supervisor.say(f"the hub followed its address from {told} to {now}")
    elif not applied.changed and not applied.reloaded:
        supervisor.say(f"this machine is at {now} again, as clients are told: nothing is changed")


def _notice_loss(supervisor: Supervisor, error: HubError) -> None:
    """There is no plan for this machine as it is. Where it still has the hub's addresses, calls go on, and something
    else is amiss: a name server, a STUN server, tailscaled."""
    faults = error.faults if isinstance(error, SpecError) else ()
    what = "; ".join(f"{fault.key}: {fault.problem}" for fault in faults) or error.message
    own = {str(address) for interface in list_interfaces() for address in interface.addresses}
    current = supervisor.current
    if current is not None and all(str(told.local) in own for told in current.plan.media.addresses):
        supervisor.notice_doubt(f"whether the hub's address has changed is not known: {what}")
        return
    ways = tuple(fault.hint for fault in faults if fault.hint) or error.hints
    supervisor.notice_move(f"the hub's address is gone: {what}", ways)
