"""Causes where no connection to a server comes about: its name, its port, its certificate. Pure."""

import shlex
from collections.abc import Mapping

from lkhub.checks.called import CalledHub
from lkhub.checks.causes import Cause, Explain, is_turn, undecided
from lkhub.checks.paths import PathResult
from lkhub.findings.finding import Fix

RENDER_FIX = Fix("write the proxy's configuration for this hub, and compare", "lkhub render proxy -o proxy")
STATUS_FIX = Fix("see whether the hub runs", "lkhub status")
LISTENERS_FIX = Fix("see which program listens there", "sudo ss -ltnp")
CLOCK_FIX = Fix("see whether this machine's clock is right, and the server's", "date")


def status_fix(hub: CalledHub) -> Fix:
    """The command that shows whether the hub runs, and the machine to type it on."""
    return STATUS_FIX if hub.is_own else Fix("if it is a hub: see on its machine whether it runs", "lkhub status")


def lookup_fix(hub: CalledHub) -> Fix:
    """The command that shows whether the hub's name leads to the proxy."""
    return Fix(f"see whether {hub.name} leads to the proxy's machine", f"getent ahosts {shlex.quote(hub.name)}")


def _server(result: PathResult, hub: CalledHub) -> str:
    if is_turn(result):
        return "the TURN server"
    return "the proxy" if hub.is_proxied else "the server"


def _at(result: PathResult) -> str:
    return result.evidence.get("address", "its address")


def _port(result: PathResult) -> str:
    port = result.evidence.get("address", "").rpartition(":")[2]
    return f"{port}/tcp" if port.isdigit() else "its port"


def _name_unknown(result: PathResult, hub: CalledHub) -> Cause:
    name = result.evidence.get("name", "it")
    return Cause(
        f"the name servers that this machine asks know no address of {name}",
        (
            Fix(f"make an A record (AAAA for IPv6) of {name}, or mend its spelling"),
            Fix("see what this machine finds", f"getent ahosts {shlex.quote(name)}"),
        ),
    )


def _look_up_silent(result: PathResult, hub: CalledHub) -> Cause:
    server = result.evidence.get("server", "")
    return Cause(
        f"this machine's name server{f' {server}' if server else ''} does not answer; this says nothing about the hub",
        (Fix("see which name servers this machine asks, and whether it reaches them", "cat /etc/resolv.conf"),),
    )


def _look_up_failed(result: PathResult, hub: CalledHub) -> Cause:
    return Cause(
        "this machine's name server fails or refuses, or there is none; this says nothing about the hub",
        (Fix("see which name servers this machine asks", "cat /etc/resolv.conf"),),
    )


def _refused(result: PathResult, hub: CalledHub) -> Cause:
    if is_turn(result):
        why = f"nothing listens on {_at(result)}, which clients are told for TURN over TLS"
        return Cause(why, _turn_refused_fixes(result, hub))
    if hub.is_proxied:
        why = f"nothing listens on {_at(result)}, where {hub.name} leads and where the proxy should listen"
        return Cause(
            why,
            (
                Fix(f"start the proxy, and have it forward {hub.name} to http://{hub.upstream}"),
                RENDER_FIX,
                lookup_fix(hub),
            ),
        )
    if hub.is_own:
        process = "media" if hub.tls == "off" else "edge"
        return Cause(f"nothing listens on {_at(result)}: the hub's {process} does not run", (STATUS_FIX,))
    why = undecided(f"nothing listens on {_at(result)}", "a firewall in front of it refuses (REJECT)")
    return Cause(
        f"the machine answers: {why}",
        (
            Fix("give the address that `lkhub env` shows on the hub's machine: LIVEKIT_URL"),
            Fix("see there whether the hub runs", "lkhub status"),
            Fix(f"see there what closes {_port(result)}", "lkhub firewall status"),
        ),
    )


def _silent(result: PathResult, hub: CalledHub) -> Cause:
    port = _port(result)
    why = undecided(
        f"a firewall drops {port}",
        f"no machine is at {_at(result)}",
        "the name leads to another machine's address",
    )
    named = f"{port}, which turn.listen names" if hub.is_proxied else port
    closed = Fix(f"see what closes {named}, on the hub's machine", "lkhub firewall status")
    # `lkhub firewall` knows the hub's own ports, and not a port of the proxy's.
    if hub.has_split or (hub.is_proxied and not is_turn(result)):
        name = hub.turn_name if is_turn(result) else hub.name
        return Cause(
            why,
            (
                Fix(f"see on the proxy's machine whether it runs, and whether its firewall lets {port} in"),
                Fix(f"see whether {name} leads to that machine", f"getent ahosts {shlex.quote(name)}"),
            ),
        )
    if is_turn(result) and not hub.is_own:
        open_fix = Fix(f"open {port} on the TURN server's machine; if that is a hub", "lkhub firewall status")
        return Cause(why, (open_fix, status_fix(hub)))
    return Cause(why, (closed, status_fix(hub)))


def _turn_refused_fixes(result: PathResult, hub: CalledHub) -> tuple[Fix, ...]:
    """What to do where nothing listens for TURN over TLS. A firewall is not the cause then."""
    if hub.has_split:
        return (Fix(f"start the proxy, and have it {_forward_turn(hub)}"), RENDER_FIX)
    if hub.is_own:
        named = f"{_port(result)}, which turn.listen names" if hub.is_proxied else _port(result)
        return (STATUS_FIX, Fix(f"see why its edge does not listen on {named}", "lkhub logs edge"))
    return (
        Fix("start the TURN server there, or tell clients its port: turn.tls_port, turn.external_tls of LiveKit"),
        status_fix(hub),
    )


def _forward_turn(hub: CalledHub) -> str:
    return f"forward TLS for {hub.turn_name} unchanged to {hub.turn_upstream}"


def _unreachable(result: PathResult, hub: CalledHub) -> Cause:
    return Cause(
        f"this machine, or a router on the way, has no route to {_at(result)}",
        (Fix("see whether this machine has a network, and whether the address is reached from it", "ip route"),),
    )


def _not_tls(result: PathResult, hub: CalledHub) -> Cause:
    why = f"{_at(result)} answers without TLS"
    if is_turn(result):
        why = f"{why}, and clients are told that TURN over TLS is there"
        if hub.has_split:
            return Cause(why, (Fix(f"have the proxy {_forward_turn(hub)}"), RENDER_FIX))
        if not hub.is_own:
            return Cause(why, (Fix("give the TURN server a certificate, or don't tell clients turns: for that port"),))
    if (hub.is_own and not hub.is_proxied) or is_turn(result):
        return Cause(f"{why}: the program that listens there is not the hub", (LISTENERS_FIX, STATUS_FIX))
    if not hub.is_own:
        address = Fix("see the address, on a hub's machine", "lkhub env")
        return Cause(why, (Fix("give ws:// instead of wss://, or the port that has TLS"), address))
    why = f"the proxy answers on {_at(result)} without TLS; with tls.mode: external the proxy has to provide it"
    certify = Fix("nginx: `listen 443 ssl;` with ssl_certificate and ssl_certificate_key")
    if not hub.has_split:
        return Cause(why, (certify, RENDER_FIX))
    return Cause(undecided(why, _UNEXPECTED_PROTOCOL), (_EXPECT_FIX, certify, RENDER_FIX))


# A proxy that forwards by name sends the PROXY protocol to all its upstream addresses, or to none.
_UNEXPECTED_PROTOCOL = (
    "the proxy that forwards by name sends the PROXY protocol to the web server, which does not expect it"
)
_EXPECT_FIX = Fix("have the web server expect it: nginx `listen 8443 ssl proxy_protocol;`, HAProxy `accept-proxy`")

PROXY_PROTOCOL_FIX = Fix(
    "have the proxy send clients' addresses by the PROXY protocol: nginx `proxy_protocol on;` in its stream server, "
    "HAProxy `send-proxy-v2`, Traefik `proxyProtocol: {version: 2}`"
)


def _tls_closed(result: PathResult, hub: CalledHub) -> Cause:
    if is_turn(result) and hub.has_split:
        name = hub.turn_name
        if hub.unannounced:
            why = (
                f"the proxy at {hub.unannounced} forwards {name} to {hub.turn_upstream} without the PROXY protocol, "
                "which carries the clients' addresses, and the hub closes the connection"
            )
            return Cause(why, (PROXY_PROTOCOL_FIX, RENDER_FIX))
        why = undecided(
            f"the proxy forwards {name} to {hub.turn_upstream} without the PROXY protocol, and the hub closes the "
            "connection",
            f"the proxy forwards {name} elsewhere",
            f"there is no certificate of {name} yet",
        )
        return Cause(why, (PROXY_PROTOCOL_FIX, RENDER_FIX, Fix("read what the edge says", "lkhub logs edge")))
    causes = (
        f"{_server(result, hub)} has no certificate for the name that was asked for",
        "the program that forwards the connection does not reach the server behind it",
    )
    if hub.has_split:
        return Cause(undecided(*causes, _UNEXPECTED_PROTOCOL), (_EXPECT_FIX, _see_tls(result), RENDER_FIX))
    log = (Fix("read what the edge says", "lkhub logs edge"),) if hub.is_own and not hub.is_proxied else ()
    return Cause(undecided(*causes), (*log, _see_tls(result)))


def _see_tls(result: PathResult) -> Fix:
    text = "see which certificate it serves for the name that clients use"
    return Fix(text, f"openssl s_client -connect {result.evidence.get('address', 'HOST:443')} -servername NAME")


def _tls_silent(result: PathResult, hub: CalledHub) -> Cause:
    return Cause(
        undecided(
            f"the program at {_at(result)} accepts connections and speaks no TLS",
            "something on the way accepts them and forwards nothing",
            "packets are lost on the way",
        ),
        (Fix(f"see what listens there, on {_server(result, hub)}'s machine", "ss -ltnp"),),
    )


def _tls_alert(result: PathResult, hub: CalledHub) -> Cause:
    why = f"{_server(result, hub)} refuses the handshake; mostly it has no certificate for the name that was asked for"
    if hub.is_proxied and not is_turn(result):
        have = f"have the proxy serve {hub.name} with a certificate for it: nginx `server_name {hub.name};`"
        return Cause(why, (Fix(have), RENDER_FIX))
    if hub.is_own:
        logs = Fix("and read what the edge says", "lkhub logs edge")
        return Cause(why, (Fix("see what the hub says of its certificate", "lkhub status"), logs))
    if is_turn(result):
        return Cause(why, (Fix("tell clients the name that its certificate is for: turn.domain of LiveKit"),))
    status = Fix("see what a hub says of its certificate, on its machine", "lkhub status")
    return Cause(why, (Fix("call it by the name that its certificate is for"), status))


def _certificate_fixes(result: PathResult, hub: CalledHub, what: str) -> tuple[Fix, ...]:
    """How to replace the certificate that was seen by `what`, for whatever serves it."""
    if hub.tls == "files" or (is_turn(result) and hub.is_proxied):
        return (Fix(f"put {what} where tls.cert points; the hub takes it over by itself"),)
    if hub.is_proxied:
        return (Fix(f"give the proxy {what}; nginx has it in ssl_certificate, and reads it at `nginx -s reload`"),)
    if hub.is_own:
        return (
            Fix("see what keeps the hub from getting a certificate", "lkhub status"),
            Fix("and why", "lkhub logs edge"),
        )
    return (Fix(f"give {_server(result, hub)} {what}"),)


def _expired(result: PathResult, hub: CalledHub) -> Cause:
    fixes = _certificate_fixes(result, hub, "a certificate that has been renewed")
    return Cause(f"the certificate of {_server(result, hub)} was not renewed, or a clock is wrong", (*fixes, CLOCK_FIX))


def _not_yet_valid(result: PathResult, hub: CalledHub) -> Cause:
    return Cause("a clock is wrong: this machine's, or that of the machine that made the certificate", (CLOCK_FIX,))


def _wrong_name(result: PathResult, hub: CalledHub) -> Cause:
    names, host = result.evidence.get("names", "other names"), result.evidence.get("host", "this name")
    why = f"{_server(result, hub)} has a certificate only for {names}, and clients call it {host}"
    if hub.is_own:
        return Cause(why, _certificate_fixes(result, hub, f"a certificate for {host}"))
    other = "tell clients" if is_turn(result) else "call it by"
    named = f"{other} a name of its certificate" + (" (turn.domain of LiveKit)" if is_turn(result) else "")
    return Cause(why, (Fix(f"{named}: {names}"), Fix(f"or give it one for {host}")))


_INSTALL_FIX = Fix(
    "for a private authority: put its root certificate into /usr/local/share/ca-certificates/ of this machine, named "
    "*.crt (Debian, Ubuntu), and into every device that is to use the hub; then",
    "sudo update-ca-certificates",
)
_ONE_PROGRAM_FIX = Fix("for one program on this machine: SSL_CERT_FILE=/path/of/root.pem in its environment")
_TRUST_FIX = Fix("if it is a hub that certifies itself: see on its machine how a device trusts it", "lkhub trust")


def _chain_fixes(result: PathResult, hub: CalledHub) -> tuple[Fix, ...]:
    return _certificate_fixes(result, hub, "the whole chain (certbot: fullchain.pem, not cert.pem)")


def _chain_gap(result: PathResult, hub: CalledHub) -> Cause:
    issuer = result.evidence.get("issuer", "its issuer")
    why = f"{_server(result, hub)} sends its own certificate without that of {issuer}: browsers may fill the gap"
    return Cause(f"{why}, most other programs don't", _chain_fixes(result, hub))


def _unknown_issuer(result: PathResult, hub: CalledHub) -> Cause:
    issuer = result.evidence.get("issuer", "its issuer")
    trust = () if hub.is_own else (_TRUST_FIX,)
    if result.evidence.get("sent", "1") == "1":
        why = undecided(
            f"{issuer} is a private authority, whose root this machine does not have",
            f"{_server(result, hub)} does not send the certificate of {issuer}, between its own and a root",
        )
        return Cause(why, (_INSTALL_FIX, _ONE_PROGRAM_FIX, *trust, *_chain_fixes(result, hub)))
    why = f"the chain is whole, and {issuer} is a private authority, whose root this machine does not have"
    return Cause(why, (_INSTALL_FIX, _ONE_PROGRAM_FIX, *trust))


def _self_signed(result: PathResult, hub: CalledHub) -> Cause:
    return Cause(
        f"the certificate of {_server(result, hub)} is signed by itself, so that clients have no reason to trust it",
        (
            *_certificate_fixes(result, hub, "a certificate of an authority"),
            Fix(
                "or trust that very certificate on every device; on this machine put it into "
                "/usr/local/share/ca-certificates/, named *.crt (Debian, Ubuntu), then",
                "sudo update-ca-certificates",
            ),
        ),
    )


CAUSES: Mapping[str, Explain] = {
    "name-unknown": _name_unknown,
    "look-up-silent": _look_up_silent,
    "look-up-failed": _look_up_failed,
    "refused": _refused,
    "silent": _silent,
    "unreachable": _unreachable,
    "not-tls": _not_tls,
    "tls-silent": _tls_silent,
    "tls-closed": _tls_closed,
    "tls-alert": _tls_alert,
    "expired": _expired,
    "not-yet-valid": _not_yet_valid,
    "wrong-name": _wrong_name,
    "self-signed": _self_signed,
    "chain-gap": _chain_gap,
    "unknown-issuer": _unknown_issuer,
}
