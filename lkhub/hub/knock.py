"""What answers at addresses of a name of the hub that are not this machine's.

Clients are sent there. So it is asked one harmless question: which hub it is. Known CDNs are not asked.
"""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from urllib.parse import urlsplit

from lkhub.host.control import NotRunningError, ask
from lkhub.host.http import httpx
from lkhub.host.network import list_interfaces
from lkhub.host.tls import Answered, ask_over_tls
from lkhub.hub.web_proxy import WAY
from lkhub.plan.leads import Answerer, Lead
from lkhub.plan.paths import StatePaths
from lkhub.source.json_text import parse_json
from lkhub.spec.types import Address
from lkhub.state.applied import AppliedRecord
from lkhub.wire.control import StatusRequest

# What passes connections on does so at once.
KNOCK_SECONDS = 1.0


def ask_around(paths: StatePaths, applied: AppliedRecord, leads: Iterable[Lead]) -> tuple[Lead, ...]:
    """The leads, with what answers at addresses that are not this machine's. A hub without TLS is not asked for:
    nothing would tell it from another."""
    leads = tuple(leads)
    asked = {lead.name: _list_asked(lead) for lead in leads}
    serve = applied.urls.local_serve
    if not any(asked.values()) or not applied.urls.livekit.startswith("wss:") or not serve:
        return leads
    instance, leaves = _ask_own(serve), list_leaves(paths)
    if not instance:
        return leads
    port = port_of(applied.urls.livekit)
    return tuple(_ask_each(lead, asked[lead.name], port, instance, leaves) for lead in leads)


def _list_asked(lead: Lead) -> list[Address]:
    return [address for address in lead.others if address not in lead.cdns]


def _ask_each(lead: Lead, addresses: list[Address], port: int, instance: str, leaves: frozenset[str]) -> Lead:
    if not addresses:
        return lead
    with ThreadPoolExecutor(len(addresses)) as at_once:
        found = list(at_once.map(lambda at: ask_over_tls(at, port, lead.name, WAY, KNOCK_SECONDS), addresses))
    answers = {at: judge_answer(answered, instance, leaves) for at, answered in zip(addresses, found, strict=True)}
    if not leaves:  # none is known, as while no supervisor runs, and the hub itself would pass for a proxy
        answers = {at: answer for at, answer in answers.items() if answer != "proxy"}
    seen = [_read(answered.body)["client"] for answered in found if answered and _is_from(answered, instance)]
    # Where it is this machine's own address, what passes connections on leaves the clients' addresses as they are.
    own = {str(address) for interface in list_interfaces() for address in interface.addresses}
    return replace(lead, answers=answers, seen_as=next((client for client in seen if client not in own), ""))


def judge_answer(answered: Answered | None, instance: str, leaves: frozenset[str]) -> Answerer:
    """What answered, by what only this very hub says, and by the certificate that it showed."""
    if answered is None:
        return "nobody"
    if not _is_from(answered, instance):
        return "stranger"
    return "hub" if answered.leaf in leaves else "proxy"


def _is_from(answered: Answered, instance: str) -> bool:
    return _read(answered.body).get("instance") == instance


def _read(body: str) -> dict[str, str]:
    try:
        said = parse_json(body)
        return {name: str(said[name]) for name in ("instance", "client")}
    except (ValueError, LookupError, TypeError):
        return {}


def _ask_own(serve: str) -> str:
    """What the hub's own service says that it is; "" where it does not."""
    try:
        answer = httpx.get(serve + WAY, timeout=KNOCK_SECONDS, trust_env=False)
    except httpx.HTTPError:
        return ""
    return _read(answer.text).get("instance", "") if answer.is_success else ""


def port_of(url: str) -> int:
    """The port of a wss:// address."""
    return urlsplit(url).port or 443


def list_leaves(paths: StatePaths) -> frozenset[str]:
    """The certificates that the hub's edge serves, as the SHA-256 of each in hex."""
    try:
        edge = ask(paths.control, StatusRequest()).edge
    except NotRunningError:
        return frozenset()
    return frozenset(each.chain[0] for each in (edge.certificates if edge else ()) if each.chain)
