"""Turns what stands between clients and the hub into findings: where its names and addresses lead, and what this
machine's firewall does. Pure."""

import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import groupby

from lkhub.findings.catalogue.names import (
    address_assumed,
    address_not_public,
    address_of_cdn,
    firewall_unknown,
    name_leads_elsewhere,
    name_leads_nowhere,
    name_leads_through,
    port_closed,
)
from lkhub.findings.catalogue.tailnet import tailscale_serves
from lkhub.findings.finding import Finding, Fix, Ref
from lkhub.firewall.change import NO_NFT, Unread
from lkhub.firewall.table import Verdict
from lkhub.plan.cdn import find_cdn
from lkhub.plan.leads import Lead
from lkhub.plan.model import Advertised, Sightings, find_proven
from lkhub.plan.served import Served
from lkhub.spec.address import Address

_ADVERTISE_FIX = Fix("write the address that leads to this machine as media.advertise, then", "lkhub up")

# The key in the firewall's table for a port of the proxy. No key of the spec sets this port, and the hub does not open
# it.
PROXY_KEY = "tls.mode"


@dataclass(frozen=True)
class Surroundings:
    """What this machine knows of what stands between clients and the hub.

    `leads`: where each name of the hub leads. `told`: the addresses that clients are told. `verdicts`: for each port
    that clients need, what the firewall does with their packets. `opens`: the command that opens these ports.
    `outside`: which paths clients on other machines have used. `unread`: the firewalls that could not be read. `tells`:
    the command that can read them, as root and with more time. `url`: the hub's address for clients. `served`: the
    hub's ports that Tailscale serves by itself.
    """

    reach: str = "local"
    leads: tuple[Lead, ...] = ()
    told: tuple[Advertised, ...] = ()
    verdicts: tuple[Verdict, ...] = ()
    opens: str = "lkhub firewall apply"
    outside: Sightings = field(default_factory=dict)
    unread: tuple[Unread, ...] = ()
    tells: str = "lkhub firewall status"
    url: str = ""
    served: tuple[Served, ...] = ()

    @property
    def closed(self) -> tuple[Verdict, ...]:
        """The verdicts about ports that this machine's firewall closes to clients."""
        return tuple(verdict for verdict in self.verdicts if verdict.open is False)

    @property
    def closed_ports(self) -> dict[str, Ref]:
        """The closed ports, as `7882/udp`, each with the finding that says so: one for the proxy's port, and one for
        all other ports."""
        own = [str(verdict.row) for verdict in self.closed if verdict.row.key != PROXY_KEY]
        proxys = [str(verdict.row) for verdict in self.closed if verdict.row.key == PROXY_KEY]
        return {port: Ref(port_closed.name, port) for port in proxys} | {
            port: Ref(port_closed.name, own[0]) for port in own
        }

    @property
    def astray(self) -> dict[str, Ref]:
        """The names that lead to no address of the hub, each with the finding that says so."""
        lost = {lead.name for lead in self.leads if not lead.here and "hub" not in lead.answers.values()}
        codes = (name_leads_elsewhere.name, name_leads_nowhere.name)
        return {f.subject: f.ref for f in check_surroundings(self) if f.code in codes and f.subject in lost}


UNSEEN = Surroundings()


def check_surroundings(around: Surroundings) -> Iterator[Finding]:
    """Findings where clients on other machines do not get to the hub, or may not."""
    yield from _check_told(around)
    for lead in around.leads:
        yield from _check_lead(lead, around)
    yield from _check_served(around)
    yield from _check_ports(around)
    yield from _check_unknown(around)


def _check_served(around: Surroundings) -> Iterator[Finding]:
    """The finding about ports for which devices of the tailnet do not get to the hub."""
    if not around.served:
        return
    ports = [f"{served.port}/tcp" for served in around.served]
    kept = [served for served in around.served if served.kept]
    yield tailscale_serves(", ".join(ports)).about(
        ports[0],
        fix=(
            *(Fix("end it", f"sudo tailscale serve --{served.option}={served.port} off") for served in kept),
            *(
                (Fix("end the `tailscale serve` that runs in a terminal, with Ctrl-C"),)
                if len(kept) < len(ports)
                else ()
            ),
        ),
    )


def _list(addresses: Iterable[Address]) -> str:
    return ", ".join(map(str, addresses))


def _check_told(around: Surroundings) -> Iterator[Finding]:
    """The addresses that clients are told to send media to."""
    cdns = {cdn: address.external for address in around.told if (cdn := find_cdn(address.external))}
    for cdn, address in cdns.items():
        yield address_of_cdn(str(address), cdn).about(
            "media",
            detail=f"told: {_list(told.external for told in around.told)}",
            fix=(
                _ADVERTISE_FIX,
                Fix(f"or let the name's A record be this machine's public address ({cdn}'s proxying turned off)"),
            ),
        )
    if around.reach == "public" and around.told and not any(told.external.is_global for told in around.told):
        yield address_not_public(_list(told.external for told in around.told)).about(
            "media",
            detail="reach: public, and no public address among what clients are told",
            fix=(_ADVERTISE_FIX, Fix("or write reach: lan, if only people in this network should get in")),
        )
    yield from _check_assumed([told for told in around.told if told.external != told.local], around, cdns)


def _check_assumed(
    translated: list[Advertised], around: Surroundings, cdns: Mapping[str, Address]
) -> Iterator[Finding]:
    """A finding for addresses that clients are told and that no interface of this machine has. None once a client
    elsewhere has proved that they lead here."""
    if not translated or cdns:
        return
    told = _list(address.external for address in translated)
    by_local = {local: list(some) for local, some in groupby(translated, key=lambda address: address.local)}
    several = any(len(some) > 1 for some in by_local.values())
    if not several and find_proven(around.outside).keys() & {"udp", "tcp", "turn-udp"}:
        return
    yield address_assumed(told, several).about(
        "media",
        severity="warning" if several else "info",
        detail=f"this machine has {_list(by_local)}; the address before the router can't be seen from here",
        fix=(
            Fix(
                "forward the hub's ports in the router, each to the same number (media can't tell clients another), "
                "or let the hub ask the router to",
                "lkhub firewall apply --router",
            ),
            *((Fix("or write the right address as media.advertise"),) if several else ()),
            Fix("the first call from another network shows it", "lkhub status"),
        ),
    )


def _check_lead(lead: Lead, around: Surroundings) -> Iterator[Finding]:
    told = _list(dict.fromkeys(address.external for address in around.told))
    # If clients are told the CDN's address for media too, another finding says so, which is more serious.
    told_cdn = any(find_cdn(address.external) for address in around.told)
    # In its own network a public hub's name may lead to a private address on purpose (split DNS). So on a public hub a
    # private address counts only if it was asked, and this hub did not answer there.
    asked = lead.others if around.reach == "lan" else (*lead.elsewhere, *(a for a in lead.private if a in lead.answers))
    wrong = tuple(address for address in asked if lead.answers.get(address) != "hub")
    through = tuple(address for address in asked if address not in wrong)
    if through:
        yield _find_through(lead, through, told)
    if wrong and not told_cdn:
        why, fixes = _explain_elsewhere(lead, wrong, told, around)
        found = _list((*lead.here, *lead.loopback, *lead.private, *lead.elsewhere))
        yield name_leads_elsewhere(lead.name, _list(wrong), told, also=bool(lead.here or through)).about(
            lead.name,
            detail=f"this machine's resolver says {found}",
            cause=why,
            fix=fixes,
        )
    elif not lead.is_known and around.reach == "public":
        yield name_leads_nowhere(lead.name).about(
            lead.name,
            detail="it answered that there is none",
            fix=(Fix(f"make an A record of {lead.name} with {told}"),),
        )


def _find_through(lead: Lead, through: tuple[Address, ...], told: str) -> Finding:
    """The note about a load balancer, or a router that forwards to this hub. It is no fault, and nothing is to do."""
    return name_leads_through(lead.name, _list(through), told, lead.seen_as).about(
        lead.name, detail="asked there, this very hub answered with its own certificate"
    )


_PROXY_FIX = Fix("behind a proxy or a CDN: write tls.mode: external", "lkhub render proxy -o proxy")


# The names of a tailnet are not written by hand. A machine that is set up anew counts as a new one, with another name.
_TAILNET_FIXES = (
    Fix("see which machine of the tailnet has the name", "tailscale status"),
    Fix("remove the old machine under Machines in the admin console, give this one the name there, then", "lkhub up"),
)


def _explain_elsewhere(
    lead: Lead, wrong: tuple[Address, ...], told: str, around: Surroundings
) -> tuple[str, tuple[Fix, ...]]:
    """Why the name leads elsewhere, by what answered at the wrong addresses, and the fixes."""
    if lead.name.endswith(".ts.net"):
        return (
            "a tailnet names its machines itself, and another machine has this name there, or had it before",
            _TAILNET_FIXES,
        )
    only = Fix(f"make {told} the only address of {lead.name} in the DNS")
    if lead.cdns:
        cdns = ", ".join(dict.fromkeys(lead.cdns.values()))
        why = (
            f"{_list(lead.cdns)} is {cdns}'s, which forwards pages and signalling, and neither media nor TURN over TLS"
        )
        return why, (only, _PROXY_FIX)
    answers = {lead.answers.get(address) for address in wrong}
    if around.reach == "public" and set(wrong) <= set(lead.private) and "proxy" not in answers:
        why = (
            f"no router of the internet leads to {_list(wrong)}, and asked there, this hub did not answer: the DNS "
            "record is wrong; or other networks get another address (split DNS), and only the one that this network's "
            "name server gives is wrong"
        )
        return why, (only, Fix("see on another network where it leads", f"getent ahosts {shlex.quote(lead.name)}"))
    if answers == {"proxy"}:
        why = (
            "asked there, this very hub answered, behind a program that ends TLS with a certificate of its own: pages "
            "and signalling get through, and TURN over TLS does not"
        )
        return why, (_PROXY_FIX, Fix(f"or make {told} the only address of {lead.name} in the DNS"))
    if answers == {"other"}:
        return "another server answers there, not this hub: the DNS record is for another machine", (only,)
    if answers == {"nothing"}:
        why = (
            "no server answers there by HTTPS, asked from here: the DNS record is for another machine, or a router "
            "there forwards connections to this machine, but not those from inside its network; the hub's own calls "
            "went to this machine"
        )
        return why, (
            only,
            Fix(
                "if it forwards connections to this machine: try it from another network",
                f"lkhub verify --url {around.url}",
            ),
        )
    return (
        "the DNS record is for another machine, or for one that forwards connections to this machine, which was not "
        "seen from here; the hub's own calls went to this machine",
        (only, _PROXY_FIX),
    )


def _check_proxy_port(around: Surroundings) -> Iterator[Finding]:
    """The finding about the port of a proxy on this machine, which all clients need. `lkhub firewall` does not open
    it."""
    for verdict in around.closed:
        if verdict.row.key != PROXY_KEY:
            continue
        port = str(verdict.row)
        yield port_closed(port, verdict.row.source, of_proxy=True).about(
            port,
            detail=verdict.why,
            fix=(
                Fix(
                    f"let {port} in, as for any web server, in front of the rule above: `lkhub firewall apply` opens "
                    "the hub's own ports alone"
                ),
                Fix("with ufw", f"sudo ufw prepend allow {port}"),
                Fix(
                    "with firewalld, in the zone that decides, and once more with --permanent",
                    f"sudo firewall-cmd --zone=ZONE --add-port={port}",
                ),
                Fix(
                    "with iptables, and with ip6tables for IPv6",
                    f"sudo iptables -I INPUT -p tcp --dport {verdict.row.ports} -j ACCEPT",
                ),
                Fix("with nftables: an accept in front of the rule above"),
            ),
        )


def _check_ports(around: Surroundings) -> Iterator[Finding]:
    """Findings about ports that this machine's firewall closes to clients. The hub's own calls do not show this, since
    they use loopback."""
    yield from _check_proxy_port(around)
    closed = [verdict for verdict in around.closed if verdict.row.key != PROXY_KEY]
    if not closed:
        return
    ports = ", ".join(f"{verdict.row} ({verdict.row.purpose})" for verdict in closed)
    needed = [verdict for verdict in closed if verdict.row.key != "tls.http"]
    sources = ", ".join(dict.fromkeys(verdict.row.source for verdict in closed))
    yield port_closed(ports, sources, of_proxy=False).about(
        str(closed[0].row),
        severity="error" if needed else "warning",
        detail="; ".join(dict.fromkeys(f"{verdict.row}: {verdict.why}" for verdict in closed)),
        fix=(Fix("open what the hub needs, and nothing else", around.opens), *_turn_off(closed)),
    )


# The keys whose port a hub can do without.
_OPTIONAL_KEYS = ("media.tcp", "turn.udp", "tls.http")


def _turn_off(closed: Iterable[Verdict]) -> tuple[Fix, ...]:
    """The fix that makes these closed ports unneeded, where any of them can be turned off."""
    keys = dict.fromkeys(verdict.row.key for verdict in closed)
    named = ", ".join(f"{key}: off" for key in _OPTIONAL_KEYS if key in keys)
    return (Fix(f"or turn off what you don't need: {named}"),) if named else ()


# The path that shows whether the port of a key is open: a client on another machine that used it is better evidence
# than the firewall's rules.
_SEEN_BY = {"media.udp": "udp", "media.tcp": "tcp", "turn.udp": "turn-udp"}


def _check_unknown(around: Surroundings) -> Iterator[Finding]:
    """A finding about ports for which it is not known what this machine's firewall does."""
    proven = find_proven(around.outside)
    unknown = [
        verdict
        for verdict in around.verdicts
        if verdict.open is None and _SEEN_BY.get(verdict.row.key, "") not in proven
    ]
    # A client that has used any path has had signalling first, so the ports of signalling are open.
    if any(around.outside.values()):
        unknown = [verdict for verdict in unknown if verdict.row.key in _SEEN_BY]
    if not unknown:
        return
    ports = ", ".join(str(verdict.row) for verdict in unknown)
    reasons = dict.fromkeys(str(unread) for unread in around.unread)
    why = reasons or dict.fromkeys(verdict.why for verdict in unknown)
    again = any(unread.again for unread in around.unread) or not reasons
    # `lkhub firewall status` does not list the proxy's port.
    tells = around.tells if any(verdict.row.key != PROXY_KEY for verdict in unknown) else "sudo nft list ruleset"
    yield firewall_unknown(ports).about(
        "firewall",
        detail="; ".join(why),
        fix=(
            *((Fix("ask as root, and for longer" if reasons else "see which rule it is", tells),) if again else ()),
            *((Fix("have nft installed", "sudo apt-get install nftables"),) if NO_NFT in "".join(why) else ()),
            Fix("the first call from another machine shows it", "lkhub status"),
        ),
    )
