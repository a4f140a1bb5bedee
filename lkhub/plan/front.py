"""Where a hub is met, in words: the ports of its paths, and the doors that a proxy in front leads to."""

from lkhub.plan.media import LOOPBACK
from lkhub.plan.model import EdgePlan, MediaPlan, Plan, TurnDoor, as_host, in_url


def list_ports(plan: Plan) -> dict[str, str]:
    """The port that clients need for each path that the hub itself offers, as `{"udp": "7882/udp"}`."""
    ports = {"udp": f"{plan.media.udp}/udp"}
    if plan.media.tcp is not None:
        ports["tcp"] = f"{plan.media.tcp}/tcp"
    if plan.relay and plan.relay.udp:
        ports["turn-udp"] = f"{plan.relay.udp}/udp"
    if plan.edge and plan.edge.turn:
        ports["turn-tls"] = f"{plan.edge.turn.port}/tcp"
    return ports


def describe_front(plan: Plan) -> dict[str, str]:
    """The hub's `name`, and each as `host:port`: the edge's `door` for a proxy, the web application behind it (`web`),
    what clients are told of TURN over TLS (`turn`), where that arrives (`turn_door`). What is not there is missing."""
    front = {"web": plan.urls.local_serve.removeprefix("http://")}
    edge = plan.edge
    if edge is None:
        return front
    front |= {"name": edge.names[0], "door": door(plan.media, edge)}
    if edge.turn:
        front["turn"] = f"{as_host(edge.turn.host)}:{edge.turn.port}"
        front["turn_door"] = turn_door(plan.media, edge, edge.turn)
    return front


def list_others(plan: Plan) -> list[str]:
    """The TURN servers of others that clients are told, as `host:port`."""
    return [f"{server.host}:{server.port}" for server in plan.turn_servers]


def door(media: MediaPlan, edge: EdgePlan) -> str:
    """Where a proxy in front finds the hub, as `host:port`."""
    return f"{_host(media, edge)}:{edge.port}"


def turn_door(media: MediaPlan, edge: EdgePlan, turn: TurnDoor) -> str:
    """Where a proxy in front finds TURN over TLS, as `host:port`."""
    return f"{_host(media, edge)}:{turn.listen}"


def _host(media: MediaPlan, edge: EdgePlan) -> str:
    is_here = any(network.is_loopback for network in edge.trusted_proxies)
    return in_url(LOOPBACK if is_here else media.local[0])
