"""What goes into the configuration of a proxy in front of the hub (tls.mode external), for this very spec."""

from collections.abc import Callable, Iterable, Mapping
from ipaddress import IPv4Address

from lkhub.plan.model import EdgePlan, Plan, TurnDoor, in_url
from lkhub.render.files import RenderedFile
from lkhub.render.proxy_caddy import render_caddyfile
from lkhub.render.proxy_haproxy import render_haproxy
from lkhub.render.proxy_nginx import render_nginx
from lkhub.render.proxy_site import ProxySite, TurnRoute
from lkhub.render.proxy_traefik import render_traefik
from lkhub.spec.types import Address

_LOOPBACK: Address = IPv4Address("127.0.0.1")

PROXIES: Mapping[str, Callable[[ProxySite], tuple[RenderedFile, ...]]] = {
    "nginx": render_nginx,
    "caddy": render_caddyfile,
    "traefik": render_traefik,
    "haproxy": render_haproxy,
}


def render_proxy(plan: Plan, edge: EdgePlan, names: Iterable[str] = PROXIES) -> tuple[RenderedFile, ...]:
    """The files of these proxies. `edge` is the plan's, in mode external."""
    site = describe_site(plan, edge)
    return tuple(file for name in names for file in PROXIES[name](site))


def describe_site(plan: Plan, edge: EdgePlan) -> ProxySite:
    """What a proxy has to know of this hub."""
    is_here = any(network.is_loopback for network in edge.trusted_proxies)
    host = in_url(_LOOPBACK if is_here else plan.media.local[0])
    # Files that the spec names are for the name of TURN over TLS.
    covers_name = bool(edge.turn and edge.tls.cert and edge.turn.host == edge.names[0])
    return ProxySite(
        hub=plan.name,
        domain=edge.names[0],
        upstream=f"{host}:{edge.port}",
        certificate=(edge.tls.cert, edge.tls.key) if covers_name else None,
        turn=_describe_turn(edge.turn, host, proves_name=bool(edge.tls.issuers)) if edge.turn else None,
    )


def _describe_turn(turn: TurnDoor, host: str, *, proves_name: bool) -> TurnRoute:
    is_split = turn.port != turn.listen
    return TurnRoute(turn.host, turn.port, f"{host}:{turn.listen}", is_split, proves_name)
