"""Causes where the join succeeds, and media does not get through. Pure."""

from collections.abc import Mapping

from lkhub.checks.called import CalledHub
from lkhub.checks.causes import LOG_FIX, Cause, Explain, undecided
from lkhub.checks.causes_connection import LISTENERS_FIX, RENDER_FIX, STATUS_FIX
from lkhub.checks.paths import PathResult
from lkhub.findings.finding import Fix

# The spec's key of the port that each path needs.
_PORT_KEYS = {"udp": "media.udp", "tcp": "media.tcp", "turn-udp": "turn.udp", "turn-tls": "tls.listen"}

# For another machine's hub. If this machine's own hub has a new address, the finding `address-changed` says so.
ADDRESS_FIX = Fix(
    "see whether the server is reached from here at the address that was tried: media.advertise in a hub's spec, "
    "rtc.node_ip or rtc.use_external_ip in the configuration of another LiveKit"
)


def key_of(result: PathResult, hub: CalledHub) -> str:
    """The spec's key of the port that a path needs."""
    return "turn.listen" if result.path == "turn-tls" and hub.is_proxied else _PORT_KEYS.get(result.path, "media")


# The same keys in the configuration of another LiveKit.
_LIVEKIT_KEYS = {"udp": "rtc.udp_port", "tcp": "rtc.tcp_port", "turn-udp": "turn.udp_port", "turn-tls": "turn.tls_port"}


def host_of(result: PathResult) -> str:
    """The host that packets were sent to, for a command; HOST where it is not known."""
    remote = _end(result, "remote") or (result.remote or "")
    return remote.rpartition(" ")[2].rpartition(":")[0].strip("[]") or "HOST"


def _end(result: PathResult, name: str) -> str:
    return result.evidence.get(name, "").split(", ")[0]


def _key_of_tried(result: PathResult, hub: CalledHub) -> str:
    """The spec's key of the port that was tried. A relay also forwards to media's own UDP port."""
    if result.path.startswith("turn-") and _end(result, "remote").startswith("udp "):
        return _PORT_KEYS["udp"]
    return key_of(result, hub)


def closed_fixes(hub: CalledHub, ports: str) -> tuple[Fix, ...]:
    """What to do where a firewall of the hub's own machine may close ports. `lkhub firewall` says nothing of a hub for
    this machine alone, which needs no port open."""
    if hub.reach == "local":
        return (STATUS_FIX, Fix("see whether a rule drops packets over loopback", "sudo nft list ruleset"))
    return (
        Fix(f"see what closes {ports}", "lkhub firewall status"),
        Fix("open what the hub needs", "lkhub firewall apply"),
    )


def _no_reply(result: PathResult, hub: CalledHub) -> Cause:
    port, remote, key = hub.port_of(result), _end(result, "remote"), _key_of_tried(result, hub)
    named = f"{port} ({key})" if port else f"the port that {key} names"
    if hub.is_own:
        why = f"nothing answered what was sent to {remote or named}, and the call was made on this very machine"
        return Cause(
            f"{why}, so its own firewall is the likeliest cause",
            (*closed_fixes(hub, named), LOG_FIX),
        )
    why = undecided(f"a firewall drops {port or 'the port'}", "the address is not where the server is")
    return Cause(
        f"signalling works, and nothing came back from {remote or 'the address that the server tells'}: {why}",
        (
            ADDRESS_FIX,
            Fix(
                f"open {named} in front of the server, in a router forwarded to the same number; on a hub's machine "
                "this says what closes it",
                "lkhub firewall status",
            ),
        ),
    )


def _server_first(result: PathResult, hub: CalledHub) -> Cause:
    port, key = hub.port_of(result), _key_of_tried(result, hub)
    return explain_server_first(f"{port} ({key})" if port else f"the port that {key} names")


def explain_server_first(ports: str) -> Cause:
    """The cause where packets arrive at these ports only from clients to which the server has sent first."""
    return Cause(
        f"a firewall drops what clients send first to {ports}, and lets a client in only after the server has sent to "
        "it; a client behind a NAT never gets in",
        (
            Fix(f"see on the hub's machine what closes {ports}", "lkhub firewall status"),
            Fix("open what the hub needs there", "lkhub firewall apply"),
            Fix(
                "if that machine's firewall lets them in: open them in the provider's firewall, or have the router "
                "forward them, each to the same number (media can't tell clients another)"
            ),
        ),
    )


def _turn_silent(result: PathResult, hub: CalledHub) -> Cause:
    key = key_of(result, hub)
    port = hub.ports.get(result.path) or _port_of_url(result.evidence.get("relay", ""))
    named = f"{port} ({key})" if port else f"the port that {key} names"
    if hub.is_own:
        return Cause(
            f"nothing came back from the TURN server at {named}",
            (closed_fixes(hub, named)[0], Fix("see what the relay says", "lkhub logs relay")),
        )
    why = undecided(f"a firewall drops {port or 'its port'}", "the address is not where the TURN server is")
    open_fix = Fix(
        f"open {named} in front of the server; on a hub's machine this says what closes it", "lkhub firewall status"
    )
    return Cause(f"nothing came back from the TURN server: {why}", (ADDRESS_FIX, open_fix))


def _port_of_url(url: str) -> str:
    """`3478/udp` of `turn:192.0.2.1:3478?transport=udp`."""
    address, _, query = url.split(", ")[0].partition("?")
    port = address.rpartition(":")[2]
    return f"{port}/{query.removeprefix('transport=') or 'udp'}" if port.isdigit() else ""


def _turn_login(result: PathResult, hub: CalledHub) -> Cause:
    entry = "its entry in turn.external" if hub.is_own else "its entry in rtc.turn_servers (a hub: turn.external)"
    return Cause(
        "the TURN server does not take the credentials that LiveKit gives out: it has another secret, or a clock is "
        "wrong",
        (
            Fix(f"give {entry} the secret that the TURN server has (coturn: static-auth-secret)"),
            Fix("see whether the clocks of both machines are right", "date"),
        ),
    )


def _turn_refused(result: PathResult, hub: CalledHub) -> Cause:
    if hub.is_own and not hub.uses_external_turn(result):
        # Over TLS the relay is part of the edge.
        log = "lkhub logs edge" if result.path == "turn-tls" else "lkhub logs relay"
        why = undecided("the ports of turn.relay are used up, or too few", "it refuses for another reason")
        return Cause(
            f"the hub's relay gives no address: {why}",
            (
                Fix("give turn.relay more ports, a dozen a participant (default: 30000-39999), then", "lkhub up"),
                Fix("see what the relay says", log),
            ),
        )
    why = "the TURN server that clients are told gives no relay address"
    return Cause(why, (Fix("read its log; coturn's", "journalctl -u coturn"),))


def _turn_forbids(result: PathResult, hub: CalledHub) -> Cause:
    address = host_of(result).replace("HOST", "ADDRESS")
    livekit = (
        Fix(f"LiveKit's own TURN: allow media's address, turn.allow_restricted_peer_cidrs: [{address}/32]"),
        Fix(f"coturn: allowed-peer-ip={address}"),
    )
    return Cause(
        f"the TURN server relays, but not to {_end(result, 'remote') or 'media'}: its own rules forbid that address"
        + ("" if hub.is_own else "; LiveKit's own TURN forbids private and reserved addresses by default"),
        livekit[1:] if hub.is_own else livekit,
    )


def _turn_is_web(result: PathResult, hub: CalledHub) -> Cause:
    named = f" ({hub.turn})" if hub.turn else ""
    fixes = (
        Fix("give TURN a name of its own (turn.domain), and have the web server forward TLS for this name unchanged"),
        Fix(
            "nginx, HAProxy and Traefik can do that, and Caddy with caddy-l4; for a hub behind a proxy",
            "lkhub render proxy -o proxy",
        ),
    )
    if hub.is_own:
        # No proxy is expected there.
        fixes = (LISTENERS_FIX, STATUS_FIX)
    if hub.has_split:
        name = hub.turn_name
        fixes = (
            Fix(f"have the proxy forward TLS for {name} unchanged to {hub.turn_upstream}, by its name"),
            RENDER_FIX,
        )
    why = f"a web server has the port that clients are told for TURN over TLS{named}, and does not forward TURN"
    if not hub.is_own and _end(result, "told_port") == "443":
        # A constant in livekit-server's pkg/service/roommanager.go.
        why = f"{why}; with LiveKit's own TURN clients are told 443, whatever turn.tls_port is"
    return Cause(why, fixes)


def _no_own_address(result: PathResult, hub: CalledHub) -> Cause:
    return Cause(
        "this machine has no address from which this path can be tried; this says nothing about the hub",
        (Fix("see its addresses", "ip address"),),
    )


def _loopback_told(result: PathResult, hub: CalledHub) -> Cause:
    return Cause(
        "the server tells clients its loopback address, at which each client reaches only itself",
        (
            ADDRESS_FIX,
            Fix("a hub for one machine alone does so on purpose: reach: lan or public lets other machines in"),
        ),
    )


def _not_offered(result: PathResult, hub: CalledHub) -> Cause:
    key = key_of(result, hub)
    other = _LIVEKIT_KEYS.get(result.path, "rtc")
    ports = hub.ports.get("udp", "").removesuffix("/udp")
    if hub.is_own and result.path == "udp" and "-" in ports:
        first, _, last = ports.partition("-")
        return Cause(
            f"each participant takes ports of the range for itself, and all of {ports} may be taken; or the hub runs by"
            " another spec",
            (
                Fix(f"see which of {ports} are taken", f"ss -lun 'sport >= :{first} and sport <= :{last}'"),
                Fix("if all are: write a wider range, or one port, which all calls share (media.udp: 7882)"),
                Fix("if some are free: apply the spec", "lkhub up"),
            ),
        )
    if hub.is_own:
        return Cause(
            "the spec promises this path, and the running hub does not offer it",
            (Fix(f"apply the spec, and see whether {key} has its port", "lkhub up"), LOG_FIX),
        )
    return Cause(
        "the server lets participants in, and does not offer them this path",
        (Fix(f"to have the path, turn it on: {key} in a hub's spec, {other} in another LiveKit's configuration"),),
    )


def _not_promised(result: PathResult, hub: CalledHub) -> Cause:
    key = "turn.tls" if result.path == "turn-tls" else _PORT_KEYS.get(result.path, "media")
    also = " and turn.enabled" if result.path.startswith("turn-") else ""
    return Cause(
        f"{key}{also} of the spec, or its reach, leave the path out: nothing failed",
        (
            Fix(f"to have the path, change {key}{also}, and apply the spec", "lkhub up"),
            Fix("see whether the paths that the hub does offer work", "lkhub verify"),
        ),
    )


def _dtls(result: PathResult, hub: CalledHub) -> Cause:
    why = undecided(
        "something on the way drops large packets", "the line loses many packets", "a middlebox filters DTLS"
    )
    return Cause(
        f"small packets pass, and the encrypted session does not come up: {why}",
        (
            Fix("see which size of packet passes", f"ping -M do -s 1372 {host_of(result)}"),
            Fix("on a tunnel or PPPoE: a smaller MTU on the server's interface, or clamped by its router"),
        ),
    )


def _nothing_heard(result: PathResult, hub: CalledHub) -> Cause:
    why = undecided("the server does not forward the track", "packets of media are dropped, and other packets are not")
    return Cause(why, (LOG_FIX,) if hub.is_own else (Fix("read what the server says of these two participants"),))


def _no_picture(result: PathResult, hub: CalledHub) -> Cause:
    return Cause(
        "sound gets through, and packets of a picture's size (1,200 bytes) do not: something on the way drops large "
        "packets, mostly a tunnel or PPPoE with a smaller MTU",
        (
            Fix("see which size of packet passes", f"ping -M do -s 1372 {host_of(result)}"),
            Fix("give the server's interface a smaller MTU, or open ICMP, by which routers report theirs"),
        ),
    )


def _too_lossy(result: PathResult, hub: CalledHub) -> Cause:
    return Cause(
        undecided(
            "the network between here and the server is overloaded or bad (Wi-Fi, a mobile network, a full uplink)",
            "this machine or the server is overloaded",
        ),
        (
            Fix("look where packets are lost", f"mtr {host_of(result)}"),
            Fix("try again over a cable, and while nothing else uses the line"),
        ),
    )


def _not_accepted(result: PathResult, hub: CalledHub) -> Cause:
    why = "the server does not take the publisher's track: the token, the room or room.enabled_codecs does not allow it"
    allow = Fix("allow audio/opus in room.enabled_codecs, and publishing in the token")
    return Cause(why, (LOG_FIX, allow) if hub.is_own else (allow,))


CAUSES: Mapping[str, Explain] = {
    "no-reply": _no_reply,
    "server-first": _server_first,
    "turn-silent": _turn_silent,
    "turn-login": _turn_login,
    "turn-refused": _turn_refused,
    "turn-forbids": _turn_forbids,
    "turn-is-web": _turn_is_web,
    "no-own-address": _no_own_address,
    "loopback-told": _loopback_told,
    "not-offered": _not_offered,
    "not-promised": _not_promised,
    "dtls-unfinished": _dtls,
    "nothing-heard": _nothing_heard,
    "no-picture": _no_picture,
    "not-accepted": _not_accepted,
    "too-lossy": _too_lossy,
}
