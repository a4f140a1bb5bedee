"""A plan → the applied record."""

from collections.abc import Iterable, Iterator
from dataclasses import asdict

from lkhub.findings.catalogue.choices import root_new
from lkhub.firewall.table import firewall_table
from lkhub.plan.endpoints import describe_endpoints, list_external_turn, list_ports
from lkhub.plan.leads import list_led_names
from lkhub.plan.model import Plan
from lkhub.plan.network import Interface
from lkhub.plan.sites import site_origins
from lkhub.source.typed import pack
from lkhub.state.applied import AppliedBuild, AppliedRecord, AppliedUrls, Endpoints, OwnCertificate


def describe_applied(plan: Plan, spec: str | None, interfaces: Iterable[Interface], at: float) -> AppliedRecord:
    """The record of a plan that is in force since `at` (epoch seconds). `spec` is the path of its spec."""
    # The finding of a new root ends after a while, so it has a record of its own. The edge takes replaced certificate
    # files by itself, so a finding about them may be over before the next `up`.
    passing = ("tls.cert", "tls.key")
    lasting = [each for each in plan.findings if each.code != root_new.name and each.subject not in passing]
    return AppliedRecord(
        spec=spec,
        name=plan.name,
        reach=plan.reach,
        tls=plan.edge.tls.mode if plan.edge else "off",
        at=at,
        urls=AppliedUrls(**asdict(plan.urls)),
        probes=tuple(plan.probes),
        resolve=plan.resolve,
        ca=_find_authority(plan),
        certified=list_certified(plan),
        own_certificate=_find_own_certificate(plan),
        auto_create=plan.serve.application.access.create == "joining",
        drain=int(plan.drain),
        ports=list_ports(plan),
        endpoints=Endpoints(**describe_endpoints(plan)),
        external_turn=tuple(list_external_turn(plan)),
        names=list_led_names(plan),
        builds=tuple(_list_builds(plan)),
        sites={site.name: site_origins(plan.edge, site) for site in plan.edge.sites} if plan.edge else {},
        told=tuple((str(address.external), str(address.local)) for address in plan.media.addresses),
        firewall=pack(firewall_table(plan, interfaces)),
        findings=tuple(pack(finding) for finding in lasting),
    )


def _list_builds(plan: Plan) -> Iterator[AppliedBuild]:
    for site in plan.edge.sites if plan.edge else ():
        if site.build:
            yield AppliedBuild(site.name, site.build.inputs, site.build.again)


def _find_own_certificate(plan: Plan) -> OwnCertificate | None:
    edge = plan.edge
    if edge is None or not edge.tls.cert or not edge.tls.key:
        return None
    return OwnCertificate(edge.tls.cert, edge.tls.key, edge.certified_names)


def _find_authority(plan: Plan) -> str:
    """The root certificate that the hub's own programs must trust besides the system's; "" if there is none."""
    return plan.paths.ca_root if plan.edge and plan.edge.tls.mode == "internal" else ""


def list_certified(plan: Plan) -> tuple[str, ...]:
    """The names for which the edge gets or makes a certificate. A public authority takes seconds the first time; the
    hub's own authority takes more than one second on a busy machine."""
    edge = plan.edge
    if edge is None or edge.tls.cert or edge.tls.mode == "off":
        return ()
    if edge.tls.mode == "external":
        return (edge.turn.host,) if edge.turn else ()
    return edge.served_names
