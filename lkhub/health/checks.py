"""Facts → findings, one function a finding. Pure."""

import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from lkhub.health.finding import Finding, Fix
from lkhub.health.paths import PathResult


@dataclass(frozen=True)
class CalledHub:
    """What findings about a path depend on besides the path: `reach` and `tls.mode` of the hub that was called, ""
    where it is somebody else's."""

    reach: str = ""
    tls: str = ""

    @staticmethod
    def of(applied: Mapping[str, Any] | None) -> "CalledHub":
        """By the record of what is in force."""
        record = applied or {}
        return CalledHub(record.get("reach", ""), record.get("tls", ""))


SOMEBODYS = CalledHub()

# What stands in the way when a probe got as far as this stage and no further.
_CAUSES = {
    "dns": "the name of the hub does not resolve on this machine",
    "tcp": "nothing answers on the signalling port: media is not running, or a firewall drops the connection",
    "tls": "the certificate or the TLS set-up is refused",
    "http": "something answers on the signalling port that is not LiveKit",
    "token": "the server does not accept the key that signed the token",
    "join": "the server let the participant in and then did not offer this path",
    "gather": "this machine has no address from which this path can be tried",
    "connect": "signalling works and media does not: packets to the advertised address and port are lost",
    "dtls": "packets pass, but the encrypted session does not come up: something on the way drops large packets",
    "media": "the connection is up, but what one participant sends does not reach the other",
}

# The spec's key of the port that each path needs.
_PORT_KEYS = {"udp": "media.udp", "tcp": "media.tcp", "turn-udp": "turn.udp", "turn-tls": "tls.listen"}

# What to do about a failure before any packet of media is sent.
_FIXES: dict[str, tuple[Fix, ...]] = {
    "dns": (Fix("see whether this machine can look the name up"),),
    "tcp": (Fix("see whether the hub runs, and whether a firewall drops its signalling port", "lkhub status"),),
    "tls": (Fix("compare the address with LIVEKIT_URL of that hub: ws:// or wss://", "lkhub env"),),
    "http": (Fix("give the address that `lkhub status` shows on the hub's machine"),),
    "token": (Fix("take key and secret from the hub itself", "lkhub env"),),
}


def check_paths(results: Iterable[PathResult], hub: CalledHub = SOMEBODYS) -> Iterator[Finding]:
    """A finding for every path that failed or could not be tried, or that not everybody can use."""
    for result in results:
        if result.ok and _NOT_TOLD in result.detail:
            yield _find_untold(result, hub)
        if result.ok and result.native is False:
            yield _find_native(result, hub)
        if result.ok is False:
            yield Finding(
                "path-fails",
                result.path,
                "error",
                f"no call gets through on the path {result.path}",
                result.detail,
                *_explain_failure(result, hub),
            )
        elif result.ok is None:
            yield Finding(
                "path-not-tried",
                result.path,
                "warning",
                f"whether the path {result.path} works is not known",
                result.detail,
                "a path that is not offered, or a single token, proves neither",
                (Fix("on this hub: try it again", f"lkhub verify --path {result.path}"),),
            )


def _find_native(result: PathResult, hub: CalledHub) -> Finding:
    """On a network of one's own they have other ways, and there may be no chain that they would take: a note."""
    at_home = hub.reach in ("local", "lan")
    when = (
        "here they get through over UDP; it matters only where something between a device and the hub lets nothing but "
        "443/tcp through, as some guest networks do"
        if at_home
        else "it matters on networks that let nothing but 443/tcp through"
    )
    ways = (
        Fix("in a hub with a public name: tls.mode: acme with tls.email and port 80 open takes ZeroSSL's"),
        Fix("else leave them another way: media.tcp, or turn.udp"),
    )
    return Finding(
        "native-refuses",
        result.path,
        "info" if at_home else "warning",
        "native applications can't use TURN over TLS here; browsers can",
        result.native_detail or "",
        f"libwebrtc, which the native SDKs are built on, checks TURN over TLS against roots of its own; {when}",
        () if at_home else ways,
    )


# Of one's own hub that is `address-changed`.
_ADDRESS_FIX = Fix(
    "see whether the address that was tried is where the server is reached from here: media.advertise in a hub's spec, "
    "rtc.node_ip or rtc.use_external_ip in the configuration of another LiveKit"
)

# How the probe says that it heard the server where clients would not look (engine/internal/probe/explain.go).
_NOT_TOLD = "which clients are not told"
_TOLD_FIX = Fix("see whether the address that clients are told leads to this hub: media.advertise")


def _find_untold(result: PathResult, hub: CalledHub) -> Finding:
    """From elsewhere the address may be the right one: not every router leads to its outside address from inside."""
    return Finding(
        "address-not-told",
        result.path,
        "warning",
        f"a client behind a NAT or a firewall gets no media on the path {result.path} from here",
        result.detail,
        "nothing answers at the address that clients are told; the server's own packets come from another one, and a "
        "NAT drops what nobody asked for",
        (
            _ADDRESS_FIX if hub == SOMEBODYS else _TOLD_FIX,
            Fix("in the server's own network: try from outside, for its router may not lead back in from there"),
        ),
    )


# For a TURN server that a path goes through, where the address that was given is not to blame.
_TURN_FIXES: dict[str, tuple[Fix, ...]] = {
    "dns": (Fix("see whether this machine can look the TURN server's name up"),),
    "tcp": (Fix("see whether the hub's TLS port is open, and whether a proxy in front passes it on"),),
    "tls": (Fix("see what the hub says of its certificate", "lkhub status"), Fix("read its log", "lkhub logs edge")),
}

# Its own "gather": this side has an address, and the server gives none.
_TURN_CAUSE = "the TURN server that clients are told gives no relay address"

# Behind a proxy TURN over TLS has a port of its own.
_TURN_PORT_FIXES = (
    Fix("see whether the port that turn.listen names is open, and whether a proxy that splits by name passes it on"),
)

# How the probe says that a TURN server does not know its secret (engine/internal/participant/diary.go). The hub's own
# relay always does.
_LOGIN_REFUSED = "refuses the name and password"
_LOGIN_CAUSE = "the TURN server does not take the credentials that LiveKit gives out for it"
_LOGIN_FIXES = (
    Fix("give its entry in turn.external the secret that the TURN server has (coturn: static-auth-secret)"),
    Fix("see whether the clocks of both machines are right", "date"),
)


# How it says that a web server is where TURN over TLS should be (engine/internal/probe/webserver.go).
_WEB_SERVER = "speaks HTTP, not TURN"
_WEB_SERVER_CAUSE = "a web server has the port that clients are told for TURN over TLS, and does not pass TURN on"
_WEB_SERVER_FIXES = (
    Fix(
        "give TURN a name of its own (turn.domain), and have what listens on that port pass TLS for this name on to it"
    ),
    Fix("nginx, HAProxy and Traefik can, Caddy with caddy-l4; for a hub behind a proxy", "lkhub render proxy -o proxy"),
)


def _explain_failure(result: PathResult, hub: CalledHub) -> tuple[str, tuple[Fix, ...]]:
    """Cause and ways out."""
    if result.path.startswith("turn-") and _LOGIN_REFUSED in result.detail:
        return _LOGIN_CAUSE, _LOGIN_FIXES
    if result.path == "turn-tls" and _WEB_SERVER in result.detail:
        return _WEB_SERVER_CAUSE, _WEB_SERVER_FIXES
    if result.path.startswith("turn-") and result.stage == "gather":
        return _TURN_CAUSE, _find_fixes(result, hub)
    return _CAUSES.get(result.stage, "unknown"), _find_fixes(result, hub)


def _find_fixes(result: PathResult, hub: CalledHub) -> tuple[Fix, ...]:
    if result.path == "turn-tls" and result.stage in _TURN_FIXES:
        is_port = result.stage == "tcp" and hub.tls == "external"
        return _TURN_PORT_FIXES if is_port else _TURN_FIXES[result.stage]
    return _FIXES.get(result.stage) or _fix_media(result, hub)


def _fix_media(result: PathResult, hub: CalledHub) -> tuple[Fix, ...]:
    """What to do where signalling works and this path does not."""
    key = _PORT_KEYS.get(result.path, "media")
    if result.path == "turn-tls" and hub.tls == "external":
        key = "turn.listen"
    if result.stage == "join":
        return (Fix(f"turn the path on in the spec of that hub: {key}"),)
    port = Fix(f"see whether a firewall drops the port that {key} names")
    log = Fix("see what media says about it", "lkhub logs media")
    return (_ADDRESS_FIX, port, log) if hub == SOMEBODYS and _tried_address(result) else (port, log)


def _tried_address(result: PathResult) -> bool:
    """Whether nothing came back from an address that the server gave for its own. A TURN server over TLS has a name."""
    return result.stage == "connect" or (result.stage == "gather" and result.path != "turn-tls")


def check_processes(processes: Iterable[Mapping[str, Any]], failures: Mapping[str, str]) -> Iterator[Finding]:
    """A finding for every process that is not running as it should."""
    for process in processes:
        if process["state"] in ("backoff", "failed"):
            name = process["name"]
            yield Finding(
                "process-fails",
                name,
                "error",
                f"{name} does not stay up",
                failures.get(name, ""),
                "its log says why",
                (Fix("read its log", f"lkhub logs {name}"), Fix("try it again at once", f"lkhub restart {name}")),
            )


def check_pending(pending: bool) -> Iterator[Finding]:
    """A finding for a change that waits."""
    if pending:
        yield Finding(
            "change-pending",
            "hub",
            "info",
            "a change of the spec waits until nobody is in a call",
            "it restarts media, which would interrupt people",
            "people are in a call",
            (Fix("apply it now and interrupt them for a moment", "lkhub up --now"),),
        )


def check_edited(spec: str | None) -> Iterator[Finding]:
    """A finding for a spec that was edited since it was applied."""
    if spec:
        yield Finding(
            "spec-not-applied",
            "hub",
            "info",
            "the spec has changed, and the hub runs by what it was",
            f"{spec} is not as it was at the last `lkhub up`",
            "a spec takes effect when it is applied",
            (Fix("apply it", f"lkhub up --spec {shlex.quote(spec)}"),),
            where={"file": spec, "line": None},
        )


def check_address(moved: str) -> Iterator[Finding]:
    """A finding where this machine's address is not the one that clients are told."""
    if moved:
        yield Finding(
            "address-changed",
            "media",
            "error",
            "clients are sent to an address where the hub is not",
            moved,
            "this machine's address changed (DHCP, dynamic DNS, a VPN), and following it would interrupt a call",
            (Fix("follow it now and interrupt people for a moment", "lkhub up --now"),),
        )


def check_supervised(supervised: bool, running: Iterable[str]) -> Iterator[Finding]:
    """A finding where processes run and nobody would restart them."""
    names = ", ".join(running)
    if names and not supervised:
        yield Finding(
            "no-supervisor",
            "hub",
            "error",
            "the hub runs, but nobody watches over it",
            f"still running: {names}",
            "lkhub itself was killed; calls go on, but what ends is not started again",
            (Fix("take them over, without interrupting a call", "lkhub up"),),
        )
