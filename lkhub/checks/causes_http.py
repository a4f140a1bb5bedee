"""Causes of failures where HTTP works: another server answers, the token is refused, or the join fails. Pure."""

from collections.abc import Mapping
from urllib.parse import urlsplit

from lkhub.checks import causes_join
from lkhub.checks.called import CalledHub
from lkhub.checks.causes import LOG_FIX, Cause, Explain, undecided
from lkhub.checks.causes_connection import CLOCK_FIX, LISTENERS_FIX, RENDER_FIX, STATUS_FIX, lookup_fix, status_fix
from lkhub.checks.paths import PathResult
from lkhub.findings.finding import Fix

# The URL paths that must reach LiveKit without another login: LiveKit asks for its own tokens.
_OPEN_PATHS = "/rtc, /twirp, /agent and /whip"


def _let_pass(result: PathResult, hub: CalledHub, how: str) -> str:
    """What to let pass. For a page it is the hub's whole name: people with a join link have no other login."""
    if result.path == "page":
        return (
            f"let all of {hub.name} pass {how}, from / on: people have join links, and LiveKit asks for its own tokens"
        )
    return f"let {_OPEN_PATHS} pass {how}: LiveKit asks for its own tokens there"


_ADDRESS_FIX = Fix("give the address that `lkhub env` shows on the hub's machine: LIVEKIT_URL")


def forward_fix(hub: CalledHub) -> Fix:
    """The line of a proxy's configuration that forwards to the hub."""
    upstream = f"http://{hub.upstream}"
    return Fix(
        f"forward everything for {hub.name} to the hub's upstream address, {upstream}: nginx `proxy_pass {upstream};`"
    )


def _not_livekit(result: PathResult, hub: CalledHub) -> Cause:
    if hub.is_proxied:
        leads = (
            f"the proxy answers itself, or forwards {hub.name} to another site: everything for this name must reach "
            "the hub, from / on, since pages, API and tokens use the name without a path"
        )
        if result.path in ("page", "api"):
            # These were requested only after signalling had reached the hub by the same name.
            return Cause(leads, (forward_fix(hub), RENDER_FIX))
        why = undecided(leads, f"{hub.name} leads to another machine than the proxy's")
        return Cause(why, (forward_fix(hub), RENDER_FIX, lookup_fix(hub)))
    if hub.is_own:
        return Cause("the program that answers at the hub's own address is not the hub", (LISTENERS_FIX, STATUS_FIX))
    why = undecided(
        "the address is another server's",
        "LiveKit is below a path of this server, and the address lacks the path, or the proxy does not remove it",
        "a proxy forwards /rtc elsewhere",
    )
    return Cause(why, (_ADDRESS_FIX, Fix("below a path: nginx `proxy_pass http://127.0.0.1:PORT/;`, with the last /")))


def _http_failed(result: PathResult, hub: CalledHub) -> Cause:
    if not hub.is_proxied:
        return _not_livekit(result, hub)
    refuses = "the proxy refuses the request by a rule or a limit of its own"
    if result.evidence.get("status") != "400":
        return Cause(undecided(refuses, f"it forwards {hub.name} to another site"), (forward_fix(hub), RENDER_FIX))
    return Cause(undecided(_sends_proxy_protocol(hub), refuses), (_PLAIN_FIX, forward_fix(hub), RENDER_FIX))


def _sends_proxy_protocol(hub: CalledHub) -> str:
    """The edge answers the PROXY protocol with HTTP 400 and closes the connection. The proxy may notice only the
    latter."""
    return f"the proxy sends the PROXY protocol to the hub at {hub.upstream}, which does not expect it there"


_PLAIN_FIX = Fix(
    "have the proxy speak plain HTTP/1.1 to the hub, without TLS and without the PROXY protocol (HAProxy `send-proxy`, "
    "nginx `proxy_protocol on;` in a stream server)"
)


def _part_missing(result: PathResult, hub: CalledHub) -> Cause:
    fixes = (forward_fix(hub), RENDER_FIX) if hub.is_proxied else (status_fix(hub),)
    return Cause(
        "something in front of the hub forwards some URLs to it and others elsewhere, or changes their content",
        fixes,
    )


def _login(result: PathResult, hub: CalledHub) -> Cause:
    return Cause(
        "something in front of LiveKit (an access gateway, a CDN, a password of the proxy) asks clients for a login, "
        "which no LiveKit client can give",
        (Fix(_let_pass(result, hub, "without it")),),
    )


def _forbidden(result: PathResult, hub: CalledHub) -> Cause:
    return Cause(
        "something in front of LiveKit (a web application firewall, a CDN, the proxy's own list) refuses the call",
        (Fix(_let_pass(result, hub, "there")),),
    )


def _redirect(result: PathResult, hub: CalledHub) -> Cause:
    location = result.evidence.get("location", "")
    host = result.evidence.get("to_host", "")
    if not location:
        return _not_livekit(result, hub)
    let_pass = Fix(f"a login: {_let_pass(result, hub, 'without it')}")
    if hub.is_own:
        # If the redirect stays at the hub's own name, only the whole location shows where it goes.
        to = location if host in ("", hub.name) else host
        return Cause(
            f"something in front sends clients to {to} instead of to the hub: mostly a login (an access "
            "gateway, a CDN)",
            (let_pass, *((forward_fix(hub),) if hub.is_proxied else ())),
        )
    why = undecided(
        f"LiveKit is at {location}", f"something in front of it sends clients to a login at {host or location}"
    )
    return Cause(why, (Fix(f"if LiveKit is there: give that address, as {_as_address(location)}"), let_pass))


def _as_address(location: str) -> str:
    parts = urlsplit(location)
    path = parts.path.removesuffix("/validate").removesuffix("/v1").removesuffix("/rtc").rstrip("/")
    return f"{'wss' if parts.scheme == 'https' else 'ws'}://{parts.netloc}{path}"


def _to_tls(result: PathResult, hub: CalledHub) -> Cause:
    address = _as_address(result.evidence.get("location", ""))
    return Cause("this port only redirects to the port with TLS", (Fix(f"use {address}"),))


def _wants_tls(result: PathResult, hub: CalledHub) -> Cause:
    if hub.is_proxied:
        return Cause(
            f"the proxy speaks TLS to the hub, or forwards to another port: {hub.upstream} speaks plain HTTP",
            (forward_fix(hub), RENDER_FIX),
        )
    if hub.is_own:
        return _not_livekit(result, hub)
    return Cause("the port speaks TLS, and the call did not", (Fix("give wss:// instead of ws://"),))


def _gateway(result: PathResult, hub: CalledHub) -> Cause:
    status = result.evidence.get("status", "502")
    if hub.is_proxied:
        why = f"the proxy answers {status} itself: it does not reach the hub at its upstream address, {hub.upstream}"
        # A proxy also answers 502 when it does not understand the answer from its upstream address.
        plain = (_PLAIN_FIX,) if status == "502" else ()
        # A proxy on another machine can't reach an upstream address on loopback.
        elsewhere = (_ELSEWHERE_FIX,) if hub.upstream.startswith(("127.", "[::1]")) else ()
        return Cause(why, (forward_fix(hub), *plain, *elsewhere, STATUS_FIX, RENDER_FIX))
    return Cause(
        f"a proxy in front of LiveKit answers {status}: the server behind it does not run, or is elsewhere",
        (
            Fix("see whether LiveKit runs, and whether the proxy forwards to its port"),
            status_fix(hub),
        ),
    )


_ELSEWHERE_FIX = Fix(
    "if the proxy is on another machine: write its address as tls.trusted_proxies; the hub then listens for it",
    "lkhub up",
)


def _hub_wrong_host(result: PathResult, hub: CalledHub) -> Cause:
    host = Fix(
        "have the proxy send the name unchanged: nginx `proxy_set_header Host $host;`, Apache `ProxyPreserveHost On`"
    )
    if hub.is_proxied:
        return Cause(f"the proxy reaches the hub, but sends another Host than {hub.name}", (host, RENDER_FIX))
    return Cause(
        undecided(
            "a proxy in front of the hub sends another Host", "the hub has another name than the one it was called by"
        ),
        (host, _ADDRESS_FIX),
    )


def _hub_not_trusted(result: PathResult, hub: CalledHub) -> Cause:
    return Cause(
        "the proxy reaches the hub, but from an address at which the hub expects no proxy",
        (
            Fix("write the address that the hub names into tls.trusted_proxies of its spec, if it is the proxy's"),
            Fix("and apply the spec", "lkhub up"),
        ),
    )


def _hub_without_media(result: PathResult, hub: CalledHub) -> Cause:
    if hub.is_proxied:
        why = f"the proxy forwards to the hub's web application ({hub.web}), where there is no signalling"
        return Cause(f"{why}: the upstream address for everything is {hub.upstream}", (forward_fix(hub), RENDER_FIX))
    leads = (
        "a proxy forwards to the hub's web application instead of the hub's upstream address",
        "a proxy forwards a path to the hub, and does not remove the path",
    )
    fixes = (
        Fix(
            "forward everything for the name to the upstream address that `lkhub render proxy` writes",
            "lkhub render proxy -o proxy",
        ),
        Fix("below a path: nginx `proxy_pass http://127.0.0.1:7883/;`, with the last /"),
    )
    if hub.is_own:
        return Cause(undecided(*leads), fixes)
    # Without an edge, the hub's pages have a port of their own.
    return Cause(undecided("the address is that of the hub's pages, not LIVEKIT_URL", *leads), (_ADDRESS_FIX, *fixes))


def _hub_media_down(result: PathResult, hub: CalledHub) -> Cause:
    why = Fix("see why", "lkhub logs media") if hub.is_own else Fix("and why, there", "lkhub logs media")
    return Cause("the hub's edge answers, but the process behind it does not", (status_fix(hub), why))


def _http_silent(result: PathResult, hub: CalledHub) -> Cause:
    why = undecided(
        "the program that listens there hangs",
        "a proxy waits for the server behind it",
        "packets are lost on the way",
    )
    return Cause(why, (status_fix(hub), *((forward_fix(hub),) if hub.is_proxied else ())))


def _http_closed(result: PathResult, hub: CalledHub) -> Cause:
    causes = (
        "the program that listens there is no web server",
        "it was restarted",
        "something in front cuts the connection",
    )
    if hub.is_proxied:
        return Cause(undecided(*causes, _sends_proxy_protocol(hub)), (status_fix(hub), _PLAIN_FIX, forward_fix(hub)))
    return Cause(undecided(*causes), (status_fix(hub),))


def _sign_anew(text: str, options: str = "") -> Fix:
    """The command that makes a token. It is typed on the machine of the hub that the token is for."""
    return Fix(text, f"lkhub token --room ROOM --identity NAME{options}")


_KEY_FIX = Fix("take key and secret from the hub itself", "lkhub env")


def _other_key(what: str) -> Explain:
    def explain(result: PathResult, hub: CalledHub) -> Cause:
        if result.evidence.get("key_like") == "secret":
            why = "the given key is as long as a secret: key and secret are mixed up"
            return Cause(why, (Fix("make the token with the short one as the key, and the long one as the secret"),))
        key = result.evidence.get("key", "")
        if hub.is_own and not hub.given_tokens:
            fixes = (forward_fix(hub),) if hub.is_proxied else (LISTENERS_FIX, STATUS_FIX)
            return Cause("another LiveKit answers, not this hub: this hub knows its own key", fixes)
        named = what.format(key=f" {key}" if key else "")
        if hub.given_tokens:
            return Cause(
                named,
                (_sign_anew("make the token with a key of that very server"),),
            )
        return Cause(named, (_KEY_FIX,))

    return explain


def _token_expired(result: PathResult, hub: CalledHub) -> Cause:
    if hub.given_tokens:
        new = _sign_anew("make new ones", " --ttl 10m")
        return Cause("the token has expired, by the server's clock", (new, CLOCK_FIX))
    if hub.is_own:
        return Cause(_CLOCK_JUMPED, (CLOCK_FIX, STATUS_FIX))
    return Cause(
        "the token was made a moment ago, so the clocks of this machine and the server differ by minutes", (CLOCK_FIX,)
    )


# This machine's own hub has the same clock as this program, so their clocks do not differ.
_CLOCK_JUMPED = undecided(
    "this machine's clock was set while the call was made", "another LiveKit answers, on another machine"
)


def _token_early(result: PathResult, hub: CalledHub) -> Cause:
    if hub.is_own:
        return Cause(_CLOCK_JUMPED, (CLOCK_FIX, STATUS_FIX))
    return Cause("the server's clock is behind the clock of the machine that made the token", (CLOCK_FIX,))


def _token_malformed(result: PathResult, hub: CalledHub) -> Cause:
    if hub.given_tokens:
        return Cause(
            "the given text is not a LiveKit token",
            (_sign_anew("make one"),),
        )
    return Cause(
        "the token was made here and now, and arrives as another text: something on the way changes the header "
        "Authorization",
        (_AUTHORIZATION_FIX,),
    )


def _no_grant(result: PathResult, hub: CalledHub) -> Cause:
    if hub.given_tokens:
        return Cause(
            "the token does not allow joining this room, or publishing and subscribing in it",
            (_sign_anew("make one"),),
        )
    return Cause(
        "the token was made here and now and allows all that, so it did not arrive: something on the way drops the "
        "header Authorization",
        (_AUTHORIZATION_FIX,),
    )


_AUTHORIZATION_FIX = Fix(
    "have the proxy send the header Authorization unchanged; a password that the proxy asks for uses the same header"
)


def _no_identity(result: PathResult, hub: CalledHub) -> Cause:
    return Cause("the token names no participant", (_sign_anew("make it with an identity"),))


def _no_room(result: PathResult, hub: CalledHub) -> Cause:
    return Cause(
        "the room does not exist, and joining does not create it (room.auto_create is off)",
        (
            Fix("create the room first, through the server's API; on a hub's machine", "lkhub rooms create ROOM"),
            Fix("or let joining open rooms: room.auto_create: true in livekit.yaml, access.create: joining in a spec"),
        ),
    )


def _room_full(result: PathResult, hub: CalledHub) -> Cause:
    why = "the room has as many participants as room.max_participants allows; a verification needs two places"
    return Cause(
        why, (Fix("allow two or more, in livekit: of the spec or the server's configuration: room.max_participants"),)
    )


def _limit_reached(result: PathResult, hub: CalledHub) -> Cause:
    why = "the server carries as much as its own limits allow (limit.num_tracks, limit.bytes_per_sec)"
    fix = Fix("try again with fewer people in calls, or raise these limits in the server's configuration")
    return Cause(why, (fix,))


def _token_mismatch(result: PathResult, hub: CalledHub) -> Cause:
    return Cause(
        "the two tokens do not belong together: a verification needs two identities in one room",
        (_sign_anew("give two tokens for one room, with two identities"),),
    )


def _token_refused(result: PathResult, hub: CalledHub) -> Cause:
    why = "the server refuses the token, and its reason is not one of the usual ones: its words are above"
    if hub.given_tokens:
        return Cause(why, (_sign_anew("make another"), CLOCK_FIX))
    return Cause(why, (LOG_FIX if hub.is_own else _KEY_FIX, CLOCK_FIX))


CAUSES: Mapping[str, Explain] = {
    "not-livekit": _not_livekit,
    "not-found": _not_livekit,
    "another-page": _not_livekit,
    "part-missing": _part_missing,
    "redirect": _redirect,
    "to-tls": _to_tls,
    "login": _login,
    "forbidden": _forbidden,
    "gateway": _gateway,
    "wants-tls": _wants_tls,
    "http-silent": _http_silent,
    "http-closed": _http_closed,
    "http-failed": _http_failed,
    "hub-wrong-host": _hub_wrong_host,
    "hub-not-trusted": _hub_not_trusted,
    "hub-without-media": _hub_without_media,
    "hub-media-down": _hub_media_down,
    "unknown-key": _other_key("the server does not know the key{key}: it is another server's, or was revoked"),
    "bad-signature": _other_key("the server knows the key, with another secret"),
    "token-expired": _token_expired,
    "token-too-early": _token_early,
    "token-malformed": _token_malformed,
    "no-grant": _no_grant,
    "no-identity": _no_identity,
    "no-room": _no_room,
    "room-full": _room_full,
    "limit-reached": _limit_reached,
    "token-mismatch": _token_mismatch,
    "token-refused": _token_refused,
    **causes_join.CAUSES,
}
