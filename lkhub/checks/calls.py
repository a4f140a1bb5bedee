"""Turns what the calls through each path proved into findings, one for each cause. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from lkhub.checks import causes_connection, causes_external, causes_http, causes_media, sends
from lkhub.checks.called import FOREIGN, CalledHub
from lkhub.checks.causes import Cause, explain, is_turn, undecided
from lkhub.checks.consequences import explain_by_findings, is_common
from lkhub.checks.line import check_line
from lkhub.checks.paths import PathResult
from lkhub.findings.catalogue.calls import address_not_told, native_refuses, path_fails, path_not_tried
from lkhub.findings.catalogue.lines import path_lossy
from lkhub.findings.finding import Finding, Fix, Ref

_TABLES = (causes_connection.CAUSES, causes_http.CAUSES, causes_media.CAUSES, sends.CAUSES)


def check_paths(results: Iterable[PathResult], hub: CalledHub = FOREIGN) -> Iterator[Finding]:
    """Findings for paths that failed, that could not be tried, or that not all clients can use. Paths that fail for the
    same cause get one finding, whose subject is the first of these paths."""
    results = tuple(results)
    loss = max(map(worst_loss, results), default=0.0)
    lossy = tuple(_find_lossy(results))
    yield from lossy
    yield from check_line(results)
    for result in results:
        if result.ok and _UNTOLD in result.evidence:
            yield _find_untold(result, hub)
        if result.ok and result.native is False:
            yield _find_native(result, hub)
    answered = any(result.ok is not None and not is_common(result) for result in results)
    for group in _group((r for r in results if r.ok is False and r.reason != _TOO_LOSSY), hub):
        yield _find_failure(group, hub, loss, lossy[0].ref if lossy else None, answered=answered)
    for group in _group((r for r in results if r.ok is None), hub):
        yield _find_untried(group, hub)


def _group(results: Iterable[PathResult], hub: CalledHub) -> Iterator[Sequence[PathResult]]:
    """The results in groups, those with the same cause together, in the order of the first result of each group."""
    found: dict[tuple[str, ...], list[PathResult]] = {}
    for result in results:
        found.setdefault(_cause_key(result), []).append(result)
    udp, relayed = found.get(_UDP_KEY), found.get(_RELAY_KEY)
    if udp and relayed and not _have_own_causes(udp, relayed, hub):
        udp += found.pop(_RELAY_KEY)
    yield from found.values()


def _cause_key(result: PathResult) -> tuple[str, ...]:
    """A key that is the same for all results that failed for the same cause."""
    if not result.reason or is_turn(result):
        return (result.path,)
    if is_common(result):
        # The network may lose a packet at one stage of one path, and at another stage of the next.
        return ("signalling", "silent" if result.reason in _SIGNALLING_SILENCES else result.reason)
    if result.stage == "join" and result.reason not in _OF_ONE_PATH:
        # The same server ended all these calls with the same words.
        return ("join", result.reason, result.detail)
    if result.reason == sends.REASON:
        return (result.reason,)
    if result.reason in ("no-reply", "server-first"):
        # A relay forwards to media's own port, so calls through a relay wait for the same port as direct ones.
        return ("no-reply", result.evidence.get("remote", "").partition(" ")[0] or result.path)
    if result.reason == "turn-silent" and result.path == "turn-udp":
        return _RELAY_KEY
    return (result.path,)


_SIGNALLING_SILENCES = ("silent", "tls-silent", "http-silent", "signal-silent")

# These reasons are about one path alone: that a hub lacks it says nothing about other paths.
_OF_ONE_PATH = ("not-offered", "not-promised")

# Where neither media nor the TURN server answers over UDP, the same firewall drops the packets to both.
_UDP_KEY = ("no-reply", "udp")
_RELAY_KEY = ("turn-silent", "udp")


def _name_paths(group: Sequence[PathResult]) -> str:
    names = [result.path for result in group]
    if len(names) == 1:
        return f"the path {names[0]}"
    return f"the paths {', '.join(names[:-1])} and {names[-1]}"


# From this loss on people hear and see it: Opus and packets that are sent again can't make up for more.
LOSSY = 0.03

# On a line that loses so much, the loss alone may be why no answer came in time.
_BAD = 0.10
_SILENCES = ("signal-silent", "silent", "tls-silent", "http-silent", "turn-silent", "dtls-unfinished", "no-reply")

_TOO_LOSSY = "too-lossy"


def worst_loss(result: PathResult) -> float:
    """The larger loss of sound and picture, from 0 to 1; 0 where neither was measured."""
    return max(result.loss or 0.0, result.picture_loss or 0.0)


def _find_lossy(results: Iterable[PathResult]) -> Iterator[Finding]:
    """One finding for all paths that lose packets, since they share the line."""
    lossy = [result for result in results if worst_loss(result) >= LOSSY]
    if not lossy:
        return
    losses = [f"{result.path} {worst_loss(result):.0%}" for result in lossy]
    too_bad = any(result.reason == _TOO_LOSSY for result in lossy)
    cause = causes_media.CAUSES[_TOO_LOSSY](lossy[0], FOREIGN)
    worst = max(map(worst_loss, lossy))
    yield path_lossy(_name_paths(lossy), len(lossy), worst, unfit=too_bad).about(
        lossy[0].path,
        severity="error" if too_bad else "warning",
        detail=f"lost, or later than 0.3 s: {', '.join(losses)}",
        cause=cause.why,
        fix=cause.fix,
    )


def _blame_loss(cause: Cause, loss: float) -> Cause:
    return Cause(
        f"the line loses {loss:.0%} of the packets, which alone can be why no answer came in time", cause.fix[:1]
    )


def _find_failure(
    group: Sequence[PathResult], hub: CalledHub, loss: float, lossy: Ref | None, *, answered: bool
) -> Finding:
    """The finding about paths that failed for one cause. `loss` is the worst loss of all paths, and `lossy` the finding
    about it, if there is one. `answered`: the signalling answered on another path."""
    first = group[0]
    patchy = _explain_patchy(group, hub) if answered else None
    closed = _list_closed(group, hub)
    cause = (
        patchy
        or _explain_closed(closed)
        or _explain_udp(group, hub)
        or _explain_uncertified(first, hub)
        or _explain_alone(first, hub)
    )
    by_loss = loss >= _BAD and first.reason in _SILENCES
    if by_loss:
        cause = _blame_loss(causes_media.CAUSES[_TOO_LOSSY](first, hub), loss)
    return path_fails(_name_paths(group)).about(
        first.path,
        detail="; ".join(detail for detail, _ in groupby(_list_details(group))),
        cause=cause.why,
        fix=cause.fix,
        depends_on=(lossy,) if lossy and by_loss else [hub.closed[port] for port in closed] or _depend(group, hub),
    )


def _have_own_causes(one: Sequence[PathResult], other: Sequence[PathResult], hub: CalledHub) -> bool:
    """Whether other findings explain one of the groups, or each of them, and do not explain both together."""
    return (_is_explained(one, hub) or _is_explained(other, hub)) and not _is_explained((*one, *other), hub)


def _is_explained(group: Sequence[PathResult], hub: CalledHub) -> bool:
    """Whether other findings explain why all paths of the group failed."""
    return bool(_list_closed(group, hub) or _depend(group, hub))


def _depend(group: Sequence[PathResult], hub: CalledHub) -> tuple[Ref, ...]:
    if needs_certificate(group[0], hub):
        return tuple(finding.ref for finding in hub.uncertified)
    found = [explain_by_findings(result, hub) for result in group]
    return tuple(ref for refs in found for ref in refs) if all(found) else ()


def _list_closed(group: Sequence[PathResult], hub: CalledHub) -> tuple[str, ...]:
    """The ports that gave no answer, if this machine's own firewall closes all of them; else ()."""
    if not hub.is_own or any(result.reason not in ("no-reply", "turn-silent") for result in group):
        return ()
    # A call to a silent relay has not reached media's port: the closed port is the relay's.
    tried = (hub.ports.get(r.path, "") if r.reason == "turn-silent" else hub.port_of(r) for r in group)
    ports = tuple(dict.fromkeys(tried))
    return ports if set(ports) <= set(hub.closed) else ()


def _explain_closed(ports: Sequence[str]) -> Cause | None:
    """The cause where this machine's own firewall closes these ports. The finding port-closed has the rule and the
    commands that open them."""
    if not ports:
        return None
    why = f"this machine's own firewall closes {' and '.join(ports)}: port-closed says by which rule"
    return Cause(
        f"{why}; if it lets loopback pass, something else is wrong as well",
        (Fix("open what it closes first, and try again", "lkhub verify"),),
    )


def _explain_alone(result: PathResult, hub: CalledHub) -> Cause:
    if hub.uses_external_turn(result) and result.reason not in _KNOWN_OF_EXTERNAL:
        return causes_external.explain_external(result)
    return explain(result, hub, _TABLES)


# The reasons that the ordinary tables explain also for an external TURN server, or for the network from it to media.
_KNOWN_OF_EXTERNAL = ("turn-login", "turn-forbids", "no-reply", "server-first", *sends.CAUSES)


def needs_certificate(result: PathResult, hub: CalledHub) -> bool:
    """Whether a path failed because the hub has no certificate for its name."""
    ends_tls = (
        result.ok is False and result.stage == "tls" and not hub.is_proxied and not hub.uses_external_turn(result)
    )
    return ends_tls and bool(hub.uncertified) and result.reason in ("tls-silent", "tls-closed", "tls-alert")


def _explain_uncertified(result: PathResult, hub: CalledHub) -> Cause | None:
    if not needs_certificate(result, hub):
        return None
    codes = " and ".join(_list_codes(hub))
    return Cause(f"the hub has no certificate for {hub.name}, so that nobody can connect: {codes} says why", ())


def _list_codes(hub: CalledHub) -> tuple[str, ...]:
    return tuple(dict.fromkeys(finding.code for finding in hub.uncertified))


def _list_details(group: Sequence[PathResult]) -> list[str]:
    """What was seen: the first two different details."""
    return list(dict.fromkeys(result.detail for result in group if result.detail))[:2]


def _explain_patchy(group: Sequence[PathResult], hub: CalledHub) -> Cause | None:
    """The cause where the signalling gave no answer in time on these paths, and gave one on another path at the same
    time."""
    if not all(result.reason in _SIGNALLING_SILENCES and is_common(result) for result in group):
        return None
    why = undecided(
        "the line loses so many packets that signalling does not get through in time",
        "the server, or a proxy in front of it, is overloaded",
    )
    status = causes_connection.status_fix(hub)
    return Cause(
        f"the signalling answered at the same time on another path: {why}",
        (Fix("try it again, and over a cable where it goes over Wi-Fi"), status),
    )


def _explain_udp(group: Sequence[PathResult], hub: CalledHub) -> Cause | None:
    """The cause where neither media's port nor the TURN server's answers over UDP."""
    reasons = {result.reason for result in group}
    if "turn-silent" not in reasons or not reasons <= {"no-reply", "server-first", "turn-silent"} or len(reasons) == 1:
        return None
    ports = " and ".join(dict.fromkeys(filter(None, map(hub.port_of, group))))
    if "server-first" in reasons:
        return causes_media.explain_server_first(ports)
    if hub.is_own:
        why = f"nothing that was sent over UDP was answered ({ports}); the calls were made on this very machine"
        return Cause(
            f"{why}, so its own firewall is the likeliest cause", causes_media.closed_fixes(hub, ports or "them")
        )
    closed = Fix(f"see what closes {ports or 'them'}, on the hub's machine", "lkhub firewall status")
    why = undecided(
        "the network here, or one on the way, lets no UDP through, as offices do",
        "a firewall or router in front of the server drops these ports",
        "the address that clients are told is not the server's",
    )
    return Cause(f"nothing that was sent over UDP was answered: {why}", (causes_media.ADDRESS_FIX, closed))


def _find_untried(group: Sequence[PathResult], hub: CalledHub) -> Finding:
    first = group[0]
    return path_not_tried(_name_paths(group), len(group)).about(
        first.path,
        detail="; ".join(_list_details(group)),
        cause=_UNTRIED.get(first.reason),
        fix=_untried_fixes(group, hub),
    )


def _untried_fixes(group: Sequence[PathResult], hub: CalledHub) -> tuple[Fix, ...]:
    """What makes it possible to try the path. Trying again does not help where the path is not offered."""
    first = group[0]
    if first.reason == "not-offered":
        return causes_media.CAUSES["not-offered"](first, hub).fix
    if first.reason == "needs-subscriber":
        return (Fix("give a second token, of another identity", "lkhub token --room ROOM --identity NAME"),)
    return (Fix("try it again", f"lkhub verify --path {first.path}" + ("" if hub.is_own else " --url URL")),)


# Why a path was not proved, and did not fail either.
_UNTRIED = {
    "not-offered": "a path that is not offered can't be tried; another deployment need not offer it",
    "needs-subscriber": "a single token proves all but media: there is no second participant to receive any",
    "no-ipv6": "this machine has IPv4 alone, which says nothing about the server",
    "interrupted": "the verification was interrupted",
}


def _find_native(result: PathResult, hub: CalledHub) -> Finding:
    """A finding about native applications. For a hub in one's own network it is a note: there they connect by another
    path, and perhaps no certificate exists that they would accept."""
    in_own_network = hub.reach in ("local", "lan")
    fixes = (
        Fix("in a hub with a public name: tls.mode: acme with tls.email and port 80 open takes ZeroSSL's"),
        Fix("else leave them another path: media.tcp, or turn.udp"),
    )
    if hub.uses_external_turn(result):
        fixes = (Fix("give the TURN server a certificate that they accept, as ZeroSSL's"), fixes[1])
    return native_refuses(in_own_network).about(
        result.path,
        severity="info" if in_own_network else "warning",
        detail=result.native_detail or "",
        fix=() if in_own_network else fixes,
    )


# The evidence that media came from an address that clients are not told (engine/internal/probe/explain.go).
_UNTOLD = "untold"
_TOLD_FIX = Fix("see whether the address that clients are told leads to this hub: media.advertise")


def _find_untold(result: PathResult, hub: CalledHub) -> Finding:
    """The finding about an address that clients are told and at which nothing answered. Elsewhere the address may still
    be right: not every router forwards packets from inside to its own public address."""
    return address_not_told(result.path).about(
        result.path,
        detail=result.detail,
        fix=(
            _TOLD_FIX if hub.is_own else causes_media.ADDRESS_FIX,
            Fix("in the server's own network: try from another one, since the router may not forward from inside"),
        ),
    )
