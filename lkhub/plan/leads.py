"""Where a hub's names and told addresses lead, as far as that can be seen on its own machine. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from lkhub.plan.cdn import find_cdn
from lkhub.plan.model import EdgePlan, Plan
from lkhub.spec.types import Address

Answerer = Literal["hub", "proxy", "stranger", "nobody"]
"""What answers by TLS at an address of a name that is not this machine's. `hub`: this very hub with its own
certificate, since connections are passed on as they are. `proxy`: this hub, behind something that ends TLS. `stranger`:
something else. `nobody`: nothing."""


@dataclass(frozen=True)
class Lead:
    """A name, and the addresses that this machine's resolver has for it, by what they are here: `here` are the hub's,
    `loopback` means nothing on other machines, `private` nothing outside of this network, `elsewhere` is another
    machine's as far as is known. `cdns` are those of `elsewhere` that are a CDN's, with its name; `answers` is who
    answered at addresses that were asked. `seen_as` is the address that the hub saw such a question come from."""

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
        """What is another machine's as far as is known, here or elsewhere."""
        return (*self.elsewhere, *self.private)

    @property
    def is_known(self) -> bool:
        """Whether the resolver has anything to say of it."""
        return bool(self.here or self.loopback or self.private or self.elsewhere)

    @property
    def leads_here(self) -> bool:
        """Whether all of its addresses are the hub's, or were seen to pass connections on to it."""
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
    """The DNS names that have to lead to this machine. Behind a proxy the hub's own leads to that, and only the one of
    TURN over TLS comes here, where clients come straight to it."""
    edge = plan.edge
    if edge is None:
        host = plan.urls.livekit.partition("://")[2].rpartition(":")[0]
        return (host,) if plan.reach != "local" and not is_literal(host) else ()
    names = _list_edge_names(edge)
    return tuple(name for name in names if not is_literal(name) and name != "localhost")


def _list_edge_names(edge: EdgePlan) -> tuple[str, ...]:
    if edge.tls.mode != "external":
        return edge.names
    return (edge.turn.host,) if edge.turn and edge.turn.port == edge.turn.listen else ()


def is_literal(name: str) -> bool:
    """Whether it is an address and no name."""
    return ":" in name or name.strip("[]").replace(".", "").isdigit()
