"""The snippets for the configuration of a proxy (tls.mode external), made for this spec."""

from collections.abc import Callable, Iterable, Mapping

from lkhub.plan.endpoints import turn_upstream_address, upstream_address
from lkhub.plan.model import EdgePlan, Plan, TurnEndpoint
from lkhub.render.files import RenderedFile
from lkhub.render.proxy.caddy import render_caddyfile
from lkhub.render.proxy.haproxy import render_haproxy
from lkhub.render.proxy.nginx import render_nginx
from lkhub.render.proxy.site import ProxySite, TurnRoute
from lkhub.render.proxy.traefik import render_traefik

PROXIES: Mapping[str, Callable[[ProxySite], tuple[RenderedFile, ...]]] = {
    "nginx": render_nginx,
    "caddy": render_caddyfile,
    "traefik": render_traefik,
    "haproxy": render_haproxy,
}


def render_proxy(plan: Plan, edge: EdgePlan, names: Iterable[str] = PROXIES) -> tuple[RenderedFile, ...]:
    """The files for these proxies. `edge` is the plan's edge, in mode external."""
    site = describe_site(plan, edge)
    return tuple(file for name in names for file in PROXIES[name](site))


def describe_site(plan: Plan, edge: EdgePlan) -> ProxySite:
    """What a proxy has to know about this hub."""
    # The certificate files that the spec names are for the name of TURN over TLS.
    covers_name = bool(edge.turn and edge.tls.cert and edge.turn.host == edge.names[0])
    return ProxySite(
        hub=plan.name,
        domain=edge.names[0],
        sites=tuple(each.domain for each in edge.sites if each.domain),
        upstream=upstream_address(plan.media, edge),
        certificate=(edge.tls.cert, edge.tls.key) if covers_name else None,
        turn=_describe_turn(plan, edge, edge.turn) if edge.turn else None,
    )


def _describe_turn(plan: Plan, edge: EdgePlan, turn: TurnEndpoint) -> TurnRoute:
    is_split = turn.port != turn.listen
    upstream = turn_upstream_address(plan.media, edge, turn)
    return TurnRoute(turn.host, turn.port, upstream, is_split, proves_name=bool(edge.tls.issuers))
