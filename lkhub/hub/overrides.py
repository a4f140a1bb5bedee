"""Whether the hub's own calls can go to the addresses that its names resolve to, as clients' calls do."""

from lkhub.checks.surroundings import Surroundings
from lkhub.host.tls import serves_certificate
from lkhub.hub.answerers import ANSWER_SECONDS, list_leaves, port_of
from lkhub.plan.leads import Lead
from lkhub.plan.paths import StatePaths
from lkhub.state.applied import AppliedRecord


def choose_overrides(
    paths: StatePaths, applied: AppliedRecord, around: Surroundings
) -> tuple[dict[str, str], tuple[str, ...]]:
    """The resolve overrides for the hub's own calls (host → address of this machine), and one note for each name that
    is overridden, with the reason.

    A name is not overridden where each of its addresses is this machine's own, or was seen to lead to this very hub.
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
    """Why the hub's own calls can't go where a name leads; "" where they can."""
    if lead is None or not lead.is_known:
        return "this machine's resolver tells no address of it"
    if not lead.leads_here:
        shown = ", ".join(map(str, (*lead.loopback, *lead.private, *lead.elsewhere)))
        return f"it leads to {shown} here" + (", this machine alone" if lead.loopback else ", which is not the hub's")
    translated = {address.external for address in around.told if address.external != address.local}
    far = [address for address in lead.here if address in translated]
    port = port_of(applied.urls.livekit)
    leaves = list_leaves(paths)
    dead = [address for address in far if not serves_certificate(address, port, lead.name, leaves, ANSWER_SECONDS)]
    return f"{', '.join(map(str, dead))} does not lead back to it from inside of its network" if dead else ""
