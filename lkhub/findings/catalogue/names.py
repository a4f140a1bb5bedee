"""Codes of what lies between clients and the hub: where names and addresses lead, what the router and this machine's
firewall do."""

from datetime import timedelta

from lkhub.findings.declare import Says, declare


@declare("name-leads-elsewhere", "warning")
def name_leads_elsewhere(name: str, others: str, told: str, also: bool) -> Says:
    """A name of the hub leads, or also leads, to an address that is not this machine's. The subject is the name.

    **Why.** Clients connect to the address that the name leads to. The hub's own calls did not: they went to this
    machine, so they prove nothing about the name. Where the name leads is what this machine's resolver says. lkhub
    connects there over TLS and asks which hub answers
    ([`GET /api/request-info`](reference/http.md#get-apirequest-info)). The finding says what was seen:

    - another server answers: the DNS record is for another machine;
    - this very hub answers, behind a program that ends TLS: pages and signalling get through, TURN over TLS does not;
    - no server answers: the record is an old one, or a router or load balancer forwards connections to this machine,
      but not those from inside its network;
    - the address is private: no router of the internet leads there. With split DNS that may be on purpose, so the
      finding is shown only where this hub did not answer, or answered behind a program that ends TLS;
    - the address is a known CDN's, which is not asked: a CDN forwards pages and signalling, and neither media nor TURN
      over TLS.

    **What to do.** Make this machine's public address the only one of the name. Where a proxy or a CDN is wanted in
    front: [behind a proxy](guides/behind-a-proxy.md).
    """
    some = "also " if also else ""
    return Says(f"{name} {some}leads to {others}, and this machine is {told}")


@declare("name-leads-through", "info")
def name_leads_through(name: str, through: str, told: str, seen_as: str) -> Says:
    """A name of the hub leads to an address that is not this machine's, where a TCP load balancer or a router forwards
    connections to this hub unchanged: lkhub connected there over TLS, and this very hub answered with its own
    certificate. The subject is the name.

    **Why.** This is worth knowing, and no fault: pages, signalling and TURN over TLS arrive through that address. Media
    over UDP and TCP does not; clients send it to the address that they are told (`media.advertise`), where the hub's
    other ports have to be reached. Where the hub sees the load balancer's address instead of the clients' addresses,
    the note says so: all these clients then share what the hub allows to one address.

    **What to do.** Nothing.
    """
    seen = f"; to the hub all these clients are at {seen_as}, and share what one address is allowed" if seen_as else ""
    return Says(
        f"{name} leads to {through}, which forwards connections to this hub",
        f"pages, signalling and TURN over TLS arrive through it{seen}. All other media does not: clients send it to "
        f"{told}, where the hub's other ports have to be reached",
    )


@declare("name-leads-nowhere", "warning")
def name_leads_nowhere(name: str) -> Says:
    """The name of a public hub has no address, as far as this machine's resolver says. The subject is the name.

    **Why.** There is no A or AAAA record, or it is so new that not all name servers know it yet.

    **What to do.** Make an A record with this machine's public address.
    """
    return Says(
        f"{name} has no address in the DNS, as far as this machine's resolver says",
        "there is no A or AAAA record, or it is too new to be known everywhere",
    )


@declare("address-of-cdn", "error")
def address_of_cdn(address: str, cdn: str) -> Says:
    """Clients are told to send media to an address of a CDN. The subject is `media`.

    **Why.** The clients of a hub behind a NAT are told the addresses of the hub's name. This name leads to a CDN, which
    forwards web pages and no media. lkhub knows [Cloudflare's addresses](https://www.cloudflare.com/ips/), as they were
    in September 2026.

    **What to do.** Write this machine's public address as `media.advertise`, and leave the pages to the CDN; or turn
    its proxying off for this name.

    ```yaml
    reach: public
    domain: rtc.example.com
    media:
      advertise: 203.0.113.5
    ```
    """
    return Says(
        f"clients are told to send media to {address}, which is {cdn}'s and not this machine's",
        f"the hub's name leads to {cdn}, which forwards web pages and no media",
    )


@declare("address-assumed", "info", warning="where several addresses lead to one machine")
def address_assumed(told: str, several: bool) -> Says:
    """Clients are told an address that no interface of this machine has. That the address leads to this machine is
    assumed. The subject is `media`.

    **Why.** A router in front of this machine has the address, and the hub's own calls do not pass through the router
    as packets from outside do. The proof is a client on another network that was
    [the first to send](concepts/processes.md#who-came-from-outside); the finding ends then. Where the hub's name has
    several addresses, one may belong to another machine: each client tries them all, and media to another machine is
    lost.

    **What to do.** Forward the hub's ports in the router ([a home server on the internet](guides/home-public.md)), and
    call from a phone over mobile data. Where the name has several addresses, write the right one as `media.advertise`.
    """
    if several:
        return Says(
            f"clients are told {told}, and that each of them leads to this machine is assumed",
            "several addresses of one name mostly belong to several machines: media to another machine is lost",
        )
    return Says(
        f"that {told} leads to this machine is assumed, and was not seen yet",
        "it does so if a router in front forwards the hub's ports",
    )


@declare("address-not-public", "warning")
def address_not_public(told: str) -> Says:
    """A hub of `reach: public` tells clients private addresses alone. The subject is `media`.

    **Why.** The addresses are those of `media.advertise`, or this machine's own where its STUN server did not answer.
    They belong to a private network, to a carrier's NAT (100.64.0.0/10), or to the ranges that are kept for examples in
    documents. No router of the internet leads to such addresses.

    **What to do.** Write the public address as `media.advertise`, or write `reach: lan`.
    """
    return Says(
        f"clients are told {told}, which can't be reached from the internet",
        "no router of the internet leads to the addresses of private networks, of a carrier's NAT (100.64.0.0/10) and "
        "of examples in documents",
    )


@declare("address-changed", "error")
def address_changed(lost: bool) -> Says:
    """Clients are told an address that is no longer the hub's. The detail has both addresses, or says that there is no
    new one.

    **Why.** This machine's address changed while the hub ran (DHCP, dynamic DNS, a VPN that was started), and media has
    to restart to take the new one. The hub does that by itself as soon as nobody is in a call. Where the machine has
    lost its address (a cable is out, Tailscale was stopped), the detail says why, and the hub is back by itself as soon
    as the address is.

    **What to do.** Nothing, or take the new address now: everyone in a call has to reconnect, which their clients do by
    themselves. On a LAN give the machine a fixed address: with another address the hub has
    [another root](#root-changed).

    ```sh
    lkhub up --now
    ```
    """
    if lost:
        return Says(
            "clients are sent to an address that this machine does not have now",
            "calls go on where they still get through, and the hub is back by itself as soon as the address is",
        )
    return Says(
        "clients are sent to an address where the hub is not",
        "this machine's address changed (DHCP, dynamic DNS, a VPN), and taking the new one would interrupt a call",
    )


@declare("port-closed", "error", warning="where only the way from HTTP to HTTPS is closed")
def port_closed(ports: str, sources: str, of_proxy: bool) -> Says:
    """This machine's own firewall keeps clients from ports that they need. The subject is the first port, as
    `7882/udp`; the detail has each port with the rule that decides.

    **Why.** The hub's calls to itself use loopback, which most firewalls let pass. So these calls may get through where
    no client does. Where they fail too, open the port first and verify again: if they still fail, another cause shows.
    A client that is not behind a NAT may get through all the same, since a firewall lets in a client to which media has
    sent first. No client behind a NAT gets through.

    Where a proxy on this machine is in front of the hub (`tls.mode: external`), its port 443 has a finding of its own,
    if lkhub runs as root and so can see that a proxy listens there. Clients need this port, and `lkhub firewall apply`
    opens only the hub's own ports.

    **What to do.** Type the command that the finding shows. It opens what `lkhub firewall status` lists and nothing
    else ([the firewall](guides/firewall.md)). Firewalls further out, such as the provider's or the router's, can't be
    seen from this machine.
    """
    if of_proxy:
        return Says(
            f"this machine's firewall keeps clients from {ports}, the proxy's port, which they need",
            f"clients come from {sources}; calls from this machine to the proxy use loopback, which most firewalls let "
            "pass",
        )
    return Says(
        f"this machine's firewall keeps clients from {ports}",
        f"clients come from {sources}; the hub's calls to itself use loopback, which most firewalls let pass",
    )


@declare("firewall-unknown", "info")
def firewall_unknown(ports: str) -> Says:
    """lkhub could not find out what this machine's firewall does with packets from clients. The detail says which
    firewall could not be read, and why; the title has the ports, without those that clients on other machines have
    used.

    **Why.** Only root may read firewalls, firewalld may take seconds to answer, and of some rules lkhub can't tell
    whether they let a packet through. The hub's calls to itself use loopback, so they say nothing about the firewall
    either.

    **What to do.** Type the command that the finding shows. As root, and without a limit of seconds,

    ```sh
    sudo lkhub firewall status
    ```

    tells each port. Or call from another machine, which shows it too.
    """
    return Says(
        f"whether this machine's firewall lets clients in to {ports} is not known",
        "the hub's calls to itself use loopback, so they say nothing about the firewall either",
    )


@declare("router-mapping-ends", "warning", error="once clients are led here no longer")
def router_mapping_ends(left: timedelta | None) -> Says:
    """The router was asked for port mappings (`lkhub firewall apply --router`), and the hub could not renew them. The
    detail has the router's answer.

    **Why.** A router ends a mapping after some hours, and forgets it when it is restarted. So the hub asks for it again
    every two minutes, and at once when this machine's address in the network changes. The router was replaced, no
    longer takes such requests, or has given a port to another machine. The hub asks no other router than the one that
    the command asked: on another network, or behind a new router, the command has to be typed again. The finding is
    shown once the router has refused for five minutes, or once a silent router's mappings have less than six hours
    left.

    **What to do.** The hub tries again by itself, every two minutes. To ask at once, and see what the router says:

    ```sh
    lkhub firewall apply --router
    ```

    Where the ports are forwarded on the router's own pages, `lkhub firewall revert --router` ends it.
    """
    why = "the hub could not renew the port mappings that it was told to ask the router for; it goes on trying"
    if left is None:
        return Says("it is not known how long the router leads clients here", why)
    if left <= timedelta(0):
        return Says("the router no longer leads clients here", why)
    hours, minutes = divmod(int(left.total_seconds()) // 60, 60)
    return Says(f"the router leads clients here for another {f'{hours} h' if hours else f'{minutes} min'}", why)
