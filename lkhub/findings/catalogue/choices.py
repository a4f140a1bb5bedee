"""Codes of what a plan has chosen, and of what will not work with that choice. `up` shows these findings, and `status`
does as long as the hub runs by that plan."""

from lkhub.findings.declare import Says, declare


@declare("address-chosen", "info")
def address_chosen(address: str, why: str) -> Says:
    """Which address clients are told, and why. The subject is the address.

    **Why.** Clients send media there. A machine has several addresses, and other machines reach only some of them.

    **What to do.** Nothing where it is the right address. Else write the right one as `media.advertise`.
    """
    return Says(f"clients are told {address}, {why}")


@declare("address-besides", "info")
def address_besides(address: str, why: str) -> Says:
    """A further address that clients are told. The subject is the address.

    **Why.** This machine is in several networks, and clients in each network reach media at this machine's address
    there.

    **What to do.** Nothing, or write the right addresses as `media.advertise`.
    """
    return Says(f"clients are also told {address}, {why}")


@declare("address-passed-over", "info")
def address_passed_over(address: str, interface: str, why_not: str) -> Says:
    """An address of this machine that clients are not told. The subject is the address.

    **Why.** Only containers or a VPN reach it, or no other machine does; or another address came first. The note says
    which.

    **What to do.** Nothing, or write it as `media.advertise`.
    """
    return Says(f"not {address} on {interface}: {why_not}")


@declare("ipv4-left-out", "info")
def ipv4_left_out(problem: str, hint: str) -> Says:
    """A public hub is reached over IPv6 alone. The subject is its name.

    **Why.** The machine has a public IPv6 address and no public IPv4 address, and the hub's name leads to none either.

    **What to do.** Follow the note, if clients without IPv6 should get in.
    """
    return Says(f"clients without IPv6 can't reach this hub: {problem}; {hint}")


@declare("address-not-learnt", "info")
def address_not_learnt(server: str, why: str, own: str) -> Says:
    """The STUN server of `media.advertise` did not say this hub's address. The subject is the server.

    **Why.** The note has the reason. Until the server answers, clients are told an address of this machine, which they
    can't reach from other networks.

    **What to do.** Nothing: the hub asks the server again while it runs. Or write the address as `media.advertise`.
    """
    return Says(f"{server} did not say this hub's address ({why}); clients are told {own} until it does")


@declare("turn-tls-left-out", "info")
def turn_tls_left_out() -> Says:
    """Behind a proxy TURN over TLS is not offered. The subject is `turn-tls`.

    **Why.** An HTTP proxy can't carry TURN over TLS, and the spec names no port for it.

    **What to do.** Write `turn.listen`, and have clients' connections reach it:
    [behind a proxy](guides/behind-a-proxy.md).
    """
    return Says(
        "TURN over TLS is not offered, since an HTTP proxy can't carry it: turn.listen names a port for it, and "
        "`lkhub render proxy` shows how it is reached"
    )


@declare("issuer-chosen", "info")
def issuer_chosen(native: bool, missing: str = "") -> Says:
    """Which authority certifies the hub's name, where the spec leaves that open. The subject is `tls.issuer`.

    **Why.** Browsers accept both Let's Encrypt's and ZeroSSL's certificates. Native applications accept only ZeroSSL's
    for TURN over TLS ([native-refuses](#native-refuses)).

    **What to do.** Nothing; or add what the note says is missing.
    """
    if native:
        return Says("the certificate comes from ZeroSSL, whose chain native applications accept for TURN over TLS")
    return Says(
        "the certificate comes from Let's Encrypt: browsers accept it everywhere, native applications not for TURN "
        f"over TLS; ZeroSSL's would do for both, and {missing}"
    )


@declare("root-new", "info")
def root_new(created: bool, reason: str) -> Says:
    """The hub certifies itself by another root than before. The subject is `root`. For a week
    [root-changed](#root-changed) says so too.

    **Why.** The note says why: the address or the name of the hub changed, or the earlier root was about to expire.

    **What to do.** Let devices trust the new root: `lkhub trust`.
    """
    root, devices = ("a new root", "every device has")
    if not created:
        root, devices = "an earlier root again", "devices that don't know it have"
    return Says(f"the hub has {root}, since {reason}: {devices} to trust it anew (`lkhub trust`)")


@declare("dev-key", "warning")
def dev_key(key: str, secret: str) -> Says:
    """Every device of the network can make itself tokens of this hub. The subject is `keys.source`.

    **Why.** With `keys.source: dev` the hub's API key is the one of `livekit-server --dev`, which everybody knows. With
    it one enters every room, ends calls and takes the place of others.

    **What to do.** Nothing where you trust the network and the hub is for development. Else write `managed`, and give
    applications the key that `lkhub env` prints.
    """
    return Says(f"whoever reaches this hub knows its API key, {key} with the secret {secret}: for development only")


@declare("no-tls", "warning")
def no_tls(port: int) -> Says:
    """A hub for other machines has no TLS. The subject is `tls.mode`.

    **Why.** Browsers give camera and microphone only to pages with TLS, and to pages of their own machine.

    **What to do.** Leave `tls.mode` out: its default makes certificates. Or put a proxy with TLS in front:
    [behind a proxy](guides/behind-a-proxy.md).
    """
    return Says(
        "no TLS: browsers on other devices refuse camera and microphone on this hub; "
        f"they work in a browser on this machine, at http://127.0.0.1:{port}, and in native applications"
    )


@declare("codecs-for-all-rooms", "warning")
def codecs_for_all_rooms(match: str) -> Says:
    """A preset of rooms names codecs, which has no effect. The subject is the preset's key.

    **Why.** LiveKit has one list of codecs, for all rooms of a hub. It takes none for one room, neither when the room
    is created nor in a token.

    **What to do.** Write the codecs for all rooms, as the fix says, or leave the key out. There is no finding where
    `livekit.room.enabled_codecs` has exactly these codecs.
    """
    return Says(f"the codecs of rooms like {match} have no effect: LiveKit takes codecs only for all rooms at once")


@declare("site-token-shared", "info")
def site_token_shared(site: str, identity: str, room: str) -> Says:
    """Everybody who opens a site has the same token, which is built into it. The subject is the key `env`.

    **Why.** A token is for one identity, and LiveKit ends the call of whoever has an identity when it comes a second
    time. So two visitors throw each other out of the room. And whoever can open the site can read the token, and use it
    until it ends.

    **What to do.** Nothing for a site with one visitor at a time. For more, have the page ask the hub's token endpoint
    for a token of its own: [tokens over HTTP](guides/tokens.md), or [invites](guides/invites.md).
    """
    return Says(
        f"everybody who opens the site {site} is {identity} in {room}: a second visitor ends the first one's call; "
        "pages can ask the hub for a token for each visitor instead (docs/guides/tokens.md)"
    )


@declare("site-build-not-apart", "warning")
def site_build_not_apart(site: str) -> Says:
    """A build runs as the hub's own user. The subject is the site's name.

    **Why.** Only root can start a program as another user, and this hub is not root: it runs as an ordinary user, or in
    a pod. A build is other people's code, that of every package that it uses. As the hub's user it can read the hub's
    API keys, its certificate authority and its store, and reach its control socket.

    **What to do.** Make the hub a service of the machine (`lkhub install`, by root), or run it in Docker: there each
    site is built in a unit or a container of its own. Or build the site elsewhere, as where its code is tested, and
    give the hub the finished files: `root`, without `build`. Nothing where you trust every package as you trust the
    hub.
    """
    return Says(
        f"the build of the site {site} runs as the hub's own user, and can read the hub's keys",
        "only root can start a program as another user",
    )


@declare("second-ports-unused", "info")
def second_ports_unused(why: str) -> Says:
    """The second ports of media do nothing. The subject is `media.udp`.

    **Why.** Two media processes, the old one and the new one of a change, can run at once only if they share their
    rooms through Redis, and if both are the bundled engine. Otherwise a change of media waits for an empty hub.

    **What to do.** Name a Redis server: `redis: redis://127.0.0.1:6379`
    ([changes that nobody hears](guides/redis.md)). Or write one port in `media.udp` and `media.tcp`.
    """
    return Says(f"the second ports of media do nothing: {why}")


@declare("redis-in-clear", "info")
def redis_in_clear(host: str) -> Says:
    """Redis is on another machine, and is spoken to without TLS. The subject is `redis`.

    **Why.** Whoever can read the network between the two machines learns the password of Redis and who is in which
    room. Sound and picture don't go through Redis.

    **What to do.** Nothing in a network that is yours, or inside a VPN. Else write `rediss://`, and have Redis listen
    with TLS.
    """
    return Says(f"what media tells Redis at {host} crosses the network in clear; rediss:// encrypts it")
