"""Whether the hub's own calls can go where its names lead, as those of clients do."""

from lkhub.checks.surroundings import Surroundings
from lkhub.host.tls import serves_certificate
from lkhub.hub.knock import KNOCK_SECONDS, list_leaves, port_of
from lkhub.plan.leads import Lead
from lkhub.plan.paths import StatePaths
from lkhub.state.applied import AppliedRecord


def choose_overrides(
    paths: StatePaths, applied: AppliedRecord, around: Surroundings
) -> tuple[dict[str, str], tuple[str, ...]]:
    """Where the hub's own calls are led instead of where names and addresses lead by themselves (host → address of this
    machine), and for which names that is so and why.

    They go to the hub's own addresses, to the ones that clients are told, and to what was seen to pass connections on
    to this very hub.
    """
    overrides, notes = dict(applied.resolve), []
    leads = {lead.name: lead for lead in around.leads}
    for name in applied.names:
        if name not in overrides:
            continue
        if why := _explain_detour(leads.get(name), paths, applied, around):
            notes.append(f"not where {name} leads, but to {overrides[name]}: {why}")
        else:
            del overrides[name]
    return overrides, tuple(notes)


def _explain_detour(lead: Lead | None, paths: StatePaths, applied: AppliedRecord, around: Surroundings) -> str:
    """Why calls can't go where a name leads; "" where they can."""
    if lead is None or not lead.is_known:
        return "this machine's resolver tells no address of it"
    if not lead.leads_here:
        shown = ", ".join(map(str, (*lead.loopback, *lead.private, *lead.elsewhere)))
        return f"it leads to {shown} here" + (", this machine alone" if lead.loopback else ", which is not the hub's")
    translated = {address.external for address in around.told if address.external != address.local}
    far = [address for address in lead.here if address in translated]
    port = port_of(applied.urls.livekit)
    leaves = list_leaves(paths)
    dead = [address for address in far if not serves_certificate(address, port, lead.name, leaves, KNOCK_SECONDS)]
    return f"{', '.join(map(str, dead))} does not lead back to it from inside of its network" if dead else ""
