"""What the pod of a hub needs of its node: ports, a user, files, time."""

import posixpath
from dataclasses import dataclass
from typing import Literal, TypeAlias

from lkhub.errors import InputError
from lkhub.plan.model import Listener, Plan, Protocol
from lkhub.plan.service import FOLDER, limit_stop
from lkhub.source.path import dotted
from lkhub.spec.ports import PortRange

Network: TypeAlias = Literal["host-network", "load-balancer"]
"""The node's network, or a network of the pod's own behind a Service of type LoadBalancer."""

# Ports below it are root's, unless a network namespace says otherwise (ip(7), ip_unprivileged_port_start).
UNPRIVILEGED_PORT = 1024


@dataclass(frozen=True)
class Port:
    """Ports that the pod listens on. `open`: clients connect to them."""

    name: str
    protocol: Protocol
    ports: PortRange
    purpose: str
    open: bool


@dataclass(frozen=True)
class SecretFile:
    """A secret of the spec in a file. `name` is its key in the Secret and its name as a credential, and `source` the
    path in the spec, from the spec's folder."""

    name: str
    source: str


@dataclass(frozen=True)
class Pod:
    """The pod of the hub of this plan."""

    plan: Plan
    network: Network

    @property
    def ports(self) -> tuple[Port, ...]:
        """All ports, each once: a hub may listen at several addresses. In a network of its own, a pod shows only what
        clients connect to."""
        found: dict[tuple[Protocol, PortRange], Listener] = {}
        for row in self.plan.listeners:
            key = (row.protocol, row.ports)
            if key not in found or row.client_facing:
                found[key] = row
        ports = (
            Port(f"{row.protocol}-{row.ports.start}", row.protocol, row.ports, row.purpose, row.client_facing)
            for row in found.values()
        )
        return tuple(port for port in ports if port.open or self.network == "host-network")

    @property
    def starts_as_root(self) -> bool:
        """Whether the container starts as root, and gives up all rights but the one to low ports: container runtimes
        give no other user a capability. In a network of its own, a pod says itself which ports are root's."""
        return self.network == "host-network" and any(port.ports.start < UNPRIVILEGED_PORT for port in self.ports)

    @property
    def grace_seconds(self) -> int:
        return limit_stop(self.plan.drain)

    @property
    def variables(self) -> tuple[str, ...]:
        """The environment variables that the spec refers to."""
        return tuple(dict.fromkeys(secret.variable for secret in self.plan.secrets if secret.variable))

    @property
    def files(self) -> tuple[SecretFile, ...]:
        """The files with secrets that the spec refers to."""
        return tuple(SecretFile(name, file.removeprefix(f"{FOLDER}/")) for name, file in self.plan.credentials.items())

    @property
    def certificate(self) -> tuple[str, str] | None:
        """The operator's own certificate and its key: names of files beside the spec."""
        tls = self.plan.edge.tls if self.plan.edge else None
        return (posixpath.basename(tls.cert), posixpath.basename(tls.key)) if tls and tls.cert else None


def require_pod(plan: Plan, network: Network) -> Pod:
    """The pod. Raises InputError where a pod can't run this hub, with the key that prevents it."""
    if plan.written_out:
        raise InputError(
            f"the spec becomes a ConfigMap, and has secrets in it: {', '.join(map(dotted, plan.written_out))}",
            hints=("write {env: NAME} or {file: PATH} there; the rendered files say how the Secret is made",),
        )
    if plan.reach == "local":
        raise InputError(
            "this hub is for one machine only, and no client runs in its pod",
            hints=("write reach: lan or reach: public in the spec",),
        )
    if plan.edge and plan.edge.tls.mode == "tailscale":
        raise InputError(
            "tls.mode tailscale needs the node's tailscaled, which a pod does not reach",
            hints=("write tls.mode: internal, acme or files",),
        )
    if plan.agents and plan.edge and plan.edge.tls.mode == "internal":
        raise InputError(
            "an agent in a pod of its own calls the hub by TLS, and trusts no certificate of the hub's own authority",
            hints=("write tls.mode: acme, files or external",),
        )
    if plan.edge and plan.edge.tls.cert:
        tls = plan.edge.tls
        if {posixpath.dirname(posixpath.normpath(path)) for path in (tls.cert, tls.key)} != {FOLDER}:
            raise InputError(
                "in a pod, the certificate and its key are beside hub.yaml",
                hints=("write tls.cert: tls.crt and tls.key: tls.key; they come from a Secret",),
            )
    if any(process.name == "media" and process.engine != "media" for process in plan.processes):
        raise InputError("the image has no livekit-server but the bundled one", hints=("write engine: bundled",))
    for site in plan.edge.sites if plan.edge else ():
        folder = posixpath.normpath(site.build.project if site.build else site.root)
        if f"{folder}/".startswith(f"{FOLDER}/"):
            raise InputError(
                f"the files of site {site.name} are beside hub.yaml, where a pod has the spec alone",
                hints=(
                    "write an absolute path as its root, and copy the files there in an image of your own, made FROM "
                    f"this one{', with the programs that the build needs' if site.build else ''}",
                ),
            )
    if network == "load-balancer" and (problem := _why_no_balancer(plan)):
        raise InputError(problem[0], hints=(problem[1],))
    return Pod(plan, network)


def has_balancer(plan: Plan) -> bool:
    """Whether a load balancer can lead clients to this hub."""
    return _why_no_balancer(plan) is None


def _why_no_balancer(plan: Plan) -> tuple[str, str] | None:
    """The problem, and a hint."""
    if plan.reach != "public":
        return (
            f"with reach: {plan.reach}, clients are told the hub's own address, and not a load balancer's",
            "write reach: public, or render with --format host-network",
        )
    if plan.edge and plan.edge.tls.mode == "external" and all(n.is_loopback for n in plan.edge.trusted_proxies):
        return (
            "with tls.mode: external a proxy connects to the hub, and in a network of its own this pod listens for it "
            "on 127.0.0.1 alone",
            "write tls.trusted_proxies with the addresses that the proxy connects from, such as those of the cluster's "
            "pods, or render with --format host-network",
        )
    if plan.redis and plan.redis.is_here:
        return (
            f"redis is {plan.redis.address}, and in a network of its own this pod has no Redis there",
            "write a name or an address of a Redis that the pod reaches, such as that of a Service, or render with "
            "--format host-network",
        )
    if ranges := [str(each.udp) for each in plan.media.ports if each.udp.start != each.udp.end]:
        return (
            f"a Service names each port, and media.udp is the range {ranges[0]}",
            "write one port, as media.udp: 7882, or render with --format host-network",
        )
    return None
