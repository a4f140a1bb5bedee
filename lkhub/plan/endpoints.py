"""Where a hub is reached: the ports of its paths, and the addresses that clients and a proxy use."""

from collections.abc import Iterable

from lkhub.plan.model import EdgePlan, MediaPlan, Plan, TurnEndpoint, as_host, in_url
from lkhub.plan.network import LOOPBACK


def list_ports(plan: Plan) -> dict[str, str]:
    """The port that clients need for each path that the hub itself offers, as `{"udp": "7882/udp"}`."""
    ports = {"udp": _name_ports((each.udp for each in plan.media.ports), "udp")}
    if plan.media.tcp is not None:
        ports["tcp"] = _name_ports((each.tcp for each in plan.media.ports), "tcp")
    if plan.relay and plan.relay.udp:
        ports["turn-udp"] = f"{plan.relay.udp}/udp"
    if plan.edge and plan.edge.turn:
        ports["turn-tls"] = f"{plan.edge.turn.port}/tcp"
    return ports


def _name_ports(ports: Iterable[object], protocol: str) -> str:
    """Of two media processes, clients need the ports of both."""
    return " and ".join(f"{each}/{protocol}" for each in ports)


def describe_endpoints(plan: Plan) -> dict[str, str]:
    """The hub's `name`, and addresses as `host:port`: `upstream` is where a proxy finds the edge, `web` where the web
    application listens behind the edge, `turn` what clients are told for TURN over TLS, and `turn_upstream` where a
    proxy finds TURN over TLS. What this hub does not have is missing."""
    endpoints = {"web": plan.urls.local_serve.removeprefix("http://")}
    edge = plan.edge
    if edge is None:
        return endpoints
    endpoints |= {"name": edge.names[0], "upstream": upstream_address(plan.media, edge)}
    if edge.turn:
        endpoints["turn"] = f"{as_host(edge.turn.host)}:{edge.turn.port}"
        endpoints["turn_upstream"] = turn_upstream_address(plan.media, edge, edge.turn)
    return endpoints


def list_external_turn(plan: Plan) -> list[str]:
    """The TURN servers of other operators that clients are told, as `host:port`."""
    return [f"{server.host}:{server.port}" for server in plan.turn_servers]


def upstream_address(media: MediaPlan, edge: EdgePlan) -> str:
    """Where a proxy finds the hub, as `host:port`."""
    return f"{_host(media, edge)}:{edge.port}"


def turn_upstream_address(media: MediaPlan, edge: EdgePlan, turn: TurnEndpoint) -> str:
    """Where a proxy finds TURN over TLS, as `host:port`."""
    return f"{_host(media, edge)}:{turn.listen}"


def _host(media: MediaPlan, edge: EdgePlan) -> str:
    is_here = any(network.is_loopback for network in edge.trusted_proxies)
    return in_url(LOOPBACK if is_here else media.local[0])
