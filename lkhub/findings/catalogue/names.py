"""Codes of the way here: where names and addresses lead, what the router and this machine's firewall do."""

from datetime import timedelta

from lkhub.findings.declare import Says, declare


@declare("name-leads-elsewhere", "warning")
def name_leads_elsewhere(name: str, others: str, told: str, also: bool) -> Says:
    """A name of the hub leads, or also leads, to an address that is not this machine's. The subject is the name.

    **Why.** Clients go where the name leads. The hub's own calls did not: they went to this machine, so what they
    proved says nothing of the name. What the name leads to is what this machine's own resolver says. lkhub asks there
    over TLS who it is ([`GET /api/way`](reference/http.md#get-apiway)), and the finding says what came of it:

    - another answers: the record is of another machine;
    - this very hub answers, behind something that ends TLS: pages and signalling get through, and TURN over TLS does not;
    - nobody answers: the record is an old one, or what passes connections on to this machine does not do so from inside;
    - of a private address no router of the internet knows: with split DNS the name may lead there on purpose, so that it is
      told only where this hub did not answer, or answered behind something that ends TLS;
    - a known CDN is not asked: it passes pages and signalling on, and neither media nor TURN over TLS.

    **What to do.** Make this machine's public address the only one of the name. Where a proxy or a CDN is wanted in
    front: [behind a proxy](guides/behind-a-proxy.md).
    """  # noqa: E501
    some = "also " if also else ""
    return Says(f"{name} {some}leads to {others}, and this machine is {told}")


@declare("name-leads-through", "info")
def name_leads_through(name: str, through: str, told: str, seen_as: str) -> Says:
    """A name of the hub leads to an address that is not this machine's, and what is there passes connections on to
    this hub as they are: a load balancer for TCP, or a router. Asked there over TLS, this very hub answered with its
    own certificate. The subject is the name.

    **Why.** It is worth knowing, and no fault: pages, signalling and TURN over TLS come that way. Media over UDP and
    TCP does not; clients send it to the address that they are told (`media.advertise`), where the hub's other ports
    have to be reached. Where the hub sees the load balancer's address instead of the clients', the note says so: what
    one address may take is then shared by all who come that way.

    **What to do.** Nothing.
    """
    seen = f"; to the hub whoever comes so is at {seen_as}, and shares its bounds" if seen_as else ""
    return Says(
        f"{name} leads to {through}, which passes connections on to this hub",
        f"pages, signalling and TURN over TLS come that way{seen}. All other media does not: clients send it to "
        f"{told}, where the hub's other ports have to be reached",
    )


@declare("name-leads-nowhere", "warning")
def name_leads_nowhere(name: str) -> Says:
    """The name of a public hub has no address, as far as this machine's resolver says. The subject is the name.

    **Why.** There is no A or AAAA record, or it is so new that not everybody knows it yet.

    **What to do.** Make an A record with this machine's public address.
    """
    return Says(
        f"{name} has no address in the DNS, as far as this machine's resolver says",
        "there is no A or AAAA record, or it is too new to be known everywhere",
    )


@declare("address-of-cdn", "error")
def address_of_cdn(address: str, cdn: str) -> Says:
    """Clients are told to send media to an address of a CDN. The subject is `media`.

    **Why.** Behind a NAT clients are told what the hub's name resolves to, and the name leads to a CDN, which passes
    web pages on and no media. Known are [Cloudflare's addresses](https://www.cloudflare.com/ips/), as they were in
    September 2026.

    **What to do.** Say where media goes, and leave the pages to the CDN; or turn its proxying off for this name.

    ```yaml
    reach: public
    domain: rtc.example.com
    media:
      advertise: 203.0.113.5
    ```
    """
    return Says(
        f"clients are told to send media to {address}, which is {cdn}'s and not this machine's",
        f"the hub's name leads to {cdn}, which passes web pages on and no media",
    )


@declare("address-assumed", "info", warning="where several addresses lead to one machine")
def address_assumed(told: str, several: bool) -> Says:
    """Clients are told an address that no interface of this
    machine has, and that it leads here is an assumption. The subject is `media`.

    **Why.** A router in front has that address, and packets from outside never pass it on the way of the hub's own
    calls. A client on another network that was [the first to send](concepts/processes.md#who-came-from-outside) is the
    proof, and ends this. Of several addresses of one name, one may be another machine's: each client tries them all,
    and what goes to a stranger is lost.

    **What to do.** Forward the hub's ports in the router ([a home server on the internet](guides/home-public.md)), and
    call from mobile data. Name the right address as `media.advertise` where the name has several.
    """
    if several:
        return Says(
            f"clients are told {told}, and that each of them leads to this machine is assumed",
            "several addresses of one name are several machines, more often than not: media to another one is lost",
        )
    return Says(
        f"that {told} leads to this machine is assumed, and was not seen yet",
        "a router in front that forwards the hub's ports makes it so",
    )


@declare("address-not-public", "warning")
def address_not_public(told: str) -> Says:
    """A hub of `reach: public` tells clients private addresses alone. The subject is `media`.

    **Why.** What the spec names in `media.advertise`, or what a STUN server did not say, is an address of a private
    network, of a carrier's NAT (100.64.0.0/10) or of documents. No router of the internet leads to these.

    **What to do.** Name the public address, or write `reach: lan`.
    """
    return Says(
        f"clients are told {told}, which the internet does not lead to",
        "addresses of private networks, of a carrier's NAT (100.64.0.0/10) and of documents mean nothing elsewhere",
    )


@declare("address-changed", "error")
def address_changed(lost: bool) -> Says:
    """Clients are sent to an address where the hub is not any more. The detail has both addresses, or says that
    there is none.

    **Why.** The address of this machine changed while it runs (DHCP, dynamic DNS, a VPN that went up), and to follow it
    media has to restart. That is done by itself as soon as nobody is in a call. Where the address is gone (a cable that
    is out, Tailscale that was stopped), the detail says why, and the hub is back by itself as soon as the address is.

    **What to do.** Nothing, or follow it now: everyone in a call has to reconnect, which their clients do by
    themselves. On a LAN give the machine a fixed address: with another one the hub has [another root](#root-changed).

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
        "this machine's address changed (DHCP, dynamic DNS, a VPN), and following it would interrupt a call",
    )


@declare("port-closed", "error", warning="where only the way from HTTP to HTTPS is closed")
def port_closed(ports: str, sources: str, of_proxy: bool) -> Says:
    """This machine's own firewall keeps clients from ports
    that they need. The subject is the first of them, as `7882/udp`; the detail has each with the rule that decides.

    **Why.** The hub's calls to itself come over loopback, which most firewalls let pass, so that they prove nothing of
    it. Where they fail beside this finding, open the port first and verify again: if they still fail, another cause
    shows. A client that is not behind a NAT may get through too, since a firewall lets in a client that media has sent
    to; behind a NAT none gets through.

    Behind a proxy on this machine (`tls.mode: external`) its port 443 is told in a finding of its own, where lkhub runs
    as root and so can see that a proxy listens there: clients come by it, and `lkhub firewall apply` opens the hub's
    ports alone.

    **What to do.** Type the command that the finding shows, which opens what `lkhub firewall status` lists and nothing
    else ([the firewall](guides/firewall.md)). Firewalls further out, the provider's or the router's, are not seen from
    here.
    """
    if of_proxy:
        return Says(
            f"this machine's firewall keeps clients from {ports}, the proxy's, by which they come",
            f"clients come from {sources}; calls from this machine to the proxy come over loopback, so that where they "
            "get through they prove it without the firewall",
        )
    return Says(
        f"this machine's firewall keeps clients from {ports}",
        f"clients come from {sources}; the hub's calls to itself come over loopback, so that where they get through "
        "they prove the hub without its firewall",
    )


@declare("firewall-unknown", "info")
def firewall_unknown(ports: str) -> Says:
    """What this machine's firewall does with packets of clients could not be found out. The detail says which
    firewall could not be read, and why; the title has the ports. A port that clients have come through is not among
    them.

    **Why.** Only root may read firewalls, firewalld may take seconds to answer, and of some rules lkhub can't tell
    whether they let a packet through. The hub's calls to itself come over loopback, so that they say nothing of it
    either.

    **What to do.** Type the command that the finding shows: as root, and without a limit of seconds,

    ```sh
    sudo lkhub firewall status
    ```

    tells each port. Or call from another machine, which shows it too.
    """
    return Says(
        f"whether this machine's firewall lets clients in to {ports} is not known",
        "the hub's calls to itself come over loopback, so that they say nothing of it either",
    )


@declare("router-mapping-ends", "warning", error="once clients are led here no longer")
def router_mapping_ends(left: timedelta | None) -> Says:
    """The router was asked for port mappings
    (`lkhub firewall apply --router`), and the hub could not renew them. The detail has the router's words.

    **Why.** A router lets a mapping end after some hours, and forgets it when it is restarted. The hub asks for it
    again every two minutes, and at once when this machine's address in the network changes. The router was replaced, no
    longer takes such requests, or has given a port to another machine. Another router than the one that the command
    asked is never asked: on another network, or behind a new router, the mappings have to be asked for anew. A refusal
    is shown once it has lasted for five minutes, and a router that is silent when the mappings have less than six hours
    left.

    **What to do.** The hub tries again by itself, every two minutes. To ask at once, and see what the router says:

    ```sh
    lkhub firewall apply --router
    ```

    Where the ports are forwarded on the router's own pages, `lkhub firewall revert --router` ends it.
    """
    why = "the hub could not renew the port mappings that it was told to ask the router for; it goes on trying"
    if left is None:
        return Says("nobody knows how long the router leads clients here", why)
    if left <= timedelta(0):
        return Says("the router no longer leads clients here", why)
    hours, minutes = divmod(int(left.total_seconds()) // 60, 60)
    return Says(f"the router leads clients here for another {f'{hours} h' if hours else f'{minutes} min'}", why)
