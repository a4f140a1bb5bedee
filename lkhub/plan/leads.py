"""Where a hub's names and told addresses lead, as far as that can be seen on its own machine. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from lkhub.plan.cdn import find_cdn
from lkhub.plan.model import EdgePlan, Plan
from lkhub.spec.address import Address

Answerer = Literal["hub", "proxy", "other", "nothing"]
"""What answers by TLS at an address that a name leads to and that is not this machine's. `hub`: this hub with its own
certificate, since connections are forwarded unchanged. `proxy`: this hub, behind a program that ends TLS. `other`:
another server. `nothing`: no server answers."""


@dataclass(frozen=True)
class Lead:
    """A name, and the addresses that this machine's resolver gives for it, sorted: `here` are the hub's, `loopback`
    addresses mean nothing on other machines, `private` addresses nothing outside this network, and `elsewhere` belong
    to other machines as far as is known. `cdns` are the addresses of `elsewhere` that belong to a CDN, with the CDN's
    name. `answers` says what answered at the addresses that were asked. `seen_as` is the address from which the hub saw
    such a request arrive."""

    name: str
    here: tuple[Address, ...] = ()
    loopback: tuple[Address, ...] = ()
    private: tuple[Address, ...] = ()
    elsewhere: tuple[Address, ...] = ()
    cdns: Mapping[Address, str] = field(default_factory=dict)
    answers: Mapping[Address, Answerer] = field(default_factory=dict)
    seen_as: str = ""

    @property
    def others(self) -> tuple[Address, ...]:
        """The addresses that belong to other machines as far as is known, in this network or elsewhere."""
        return (*self.elsewhere, *self.private)

    @property
    def is_known(self) -> bool:
        """Whether the resolver knows any address of the name."""
        return bool(self.here or self.loopback or self.private or self.elsewhere)

    @property
    def leads_here(self) -> bool:
        """Whether all addresses of the name are the hub's, or were seen to forward connections to the hub."""
        passed = [address for address in self.others if self.answers.get(address) == "hub"]
        return bool(self.here or passed) and not self.loopback and len(passed) == len(self.others)


def judge_lead(name: str, resolved: Iterable[Address], told: Iterable[Address], own: Iterable[Address]) -> Lead:
    """Sort what a name resolves to. `told` is what clients are told, `own` what this machine's interfaces have."""
    hub = {*told, *own}
    found = tuple(resolved)
    loopback = tuple(address for address in found if address.is_loopback)
    here = tuple(address for address in found if address in hub and address not in loopback)
    others = [address for address in found if address not in loopback and address not in here]
    elsewhere = tuple(address for address in others if address.is_global)
    cdns = {address: cdn for address in elsewhere if (cdn := find_cdn(address))}
    return Lead(name, here, loopback, tuple(a for a in others if not a.is_global), elsewhere, cdns)


def list_led_names(plan: Plan) -> tuple[str, ...]:
    """The DNS names that have to lead to this machine. Behind a proxy the hub's own name leads to the proxy. Then only
    the name of TURN over TLS leads here, if clients connect to that directly."""
    edge = plan.edge
    if edge is None:
        host = plan.urls.livekit.partition("://")[2].rpartition(":")[0]
        return (host,) if plan.reach != "local" and not is_literal(host) else ()
    names = _list_edge_names(edge)
    return tuple(name for name in names if not is_literal(name) and name != "localhost")


def _list_edge_names(edge: EdgePlan) -> tuple[str, ...]:
    if edge.tls.mode != "external":
        return edge.served_names
    return (edge.turn.host,) if edge.turn and edge.turn.port == edge.turn.listen else ()


def is_literal(name: str) -> bool:
    """Whether `name` is an address, not a DNS name."""
    return ":" in name or name.strip("[]").replace(".", "").isdigit()
