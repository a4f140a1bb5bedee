"""What answers at an address that one of the hub's names leads to, where the address is not this machine's.

Clients connect there, so lkhub does too, and asks one harmless question: which hub answers. It asks no known CDN.
"""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from urllib.parse import urlsplit

from lkhub.host.control import NotRunningError, ask
from lkhub.host.http import httpx
from lkhub.host.network import list_interfaces
from lkhub.host.tls import Answered, ask_over_tls
from lkhub.plan.leads import Answerer, Lead
from lkhub.plan.paths import StatePaths
from lkhub.spec.address import Address
from lkhub.state.applied import AppliedRecord
from lkhub.wire.control import StatusRequest
from lkhub.wire.request_info import REQUEST_INFO, RequestInfo, find_request_info

# A program that forwards connections does so at once.
ANSWER_SECONDS = 1.0


def ask_leads(paths: StatePaths, applied: AppliedRecord, leads: Iterable[Lead]) -> tuple[Lead, ...]:
    """The leads, with what answers at addresses that are not this machine's. Unchanged for a hub without TLS: it has no
    certificate that would tell it from another server."""
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
        found = list(at_once.map(lambda at: ask_over_tls(at, port, lead.name, REQUEST_INFO, ANSWER_SECONDS), addresses))
    answers = {at: judge_answer(answered, instance, leaves) for at, answered in zip(addresses, found, strict=True)}
    if not leaves:  # as while no supervisor runs: without its certificates the hub itself would look like a proxy
        answers = {at: answer for at, answer in answers.items() if answer != "proxy"}
    seen = [info.client for answered in found if answered and (info := _find_info(answered, instance))]
    # Where the hub saw the request arrive from this machine's own address, clients' addresses are passed on unchanged.
    own = {str(address) for interface in list_interfaces() for address in interface.addresses}
    return replace(lead, answers=answers, seen_as=next((client for client in seen if client not in own), ""))


def judge_answer(answered: Answered | None, instance: str, leaves: frozenset[str]) -> Answerer:
    """What answered. This hub is recognised by its `instance`, and a proxy in front by a certificate that is not the
    hub's (`leaves`)."""
    if answered is None:
        return "nothing"
    if _find_info(answered, instance) is None:
        return "other"
    return "hub" if answered.leaf in leaves else "proxy"


def _find_info(answered: Answered, instance: str) -> RequestInfo | None:
    """What this hub answered; None if another server did."""
    info = find_request_info(answered.body)
    return info if info and info.instance == instance else None


def _ask_own(serve: str) -> str:
    """The `instance` by which the hub's own service identifies itself, "" where the service does not answer."""
    try:
        answer = httpx.get(serve + REQUEST_INFO, timeout=ANSWER_SECONDS, trust_env=False)
    except httpx.HTTPError:
        return ""
    info = find_request_info(answer.text) if answer.is_success else None
    return info.instance if info else ""


def port_of(url: str) -> int:
    """The port of a wss:// address."""
    return urlsplit(url).port or 443


def list_leaves(paths: StatePaths) -> frozenset[str]:
    """The SHA-256, in hex, of each certificate that the hub's edge serves."""
    try:
        edge = ask(paths.control, StatusRequest()).edge
    except NotRunningError:
        return frozenset()
    return frozenset(each.chain[0] for each in (edge.certificates if edge else ()) if each.chain)
