"""The edge of a hub: its names, the addresses where it listens, and the source of its certificate."""

from lkhub.findings.catalogue.choices import turn_tls_left_out
from lkhub.findings.catalogue.spec import address_not_here, key_missing, key_unused, keys_conflict
from lkhub.findings.finding import Edit, Finding
from lkhub.plan.installation import Installation
from lkhub.plan.issuer import check_issuer, choose_issuers, plan_account
from lkhub.plan.model import EdgePlan, MediaPlan, TlsPlan, TurnEndpoint, as_host
from lkhub.plan.network import LOOPBACK, NetworkFacts
from lkhub.plan.sites import plan_sites
from lkhub.spec.address import Address
from lkhub.spec.load import LoadedSpec
from lkhub.spec.model import Spec
from lkhub.spec.types import TlsMode

DEFAULT_MODES: dict[str, TlsMode] = {"local": "off", "lan": "internal", "public": "acme"}
HTTPS_PORT, HTTP_PORT = 443, 80
TURN_TLS_PORT = 5349  # IANA's
BEHIND_PROXY_PORT = 7883


def tls_mode(spec: Spec) -> TlsMode:
    """The mode that the spec asks for, else the default for its reach."""
    return spec.tls.mode or DEFAULT_MODES[spec.reach]


def listen_port(spec: Spec) -> int:
    """The port of the edge: 443, or another port behind a proxy, which has 443 itself."""
    return spec.tls.listen or (BEHIND_PROXY_PORT if tls_mode(spec) == "external" else HTTPS_PORT)


def plan_edge(
    loaded: LoadedSpec, facts: NetworkFacts, installation: Installation, media: MediaPlan | None, notes: list[Finding]
) -> EdgePlan | None:
    """The edge; None for a hub without one. Faults are added to `loaded`."""
    spec = loaded.spec
    mode = tls_mode(spec)
    _check_keys(loaded, facts, mode)
    sites = plan_sites(loaded, installation, mode)
    if mode == "off" or media is None:
        return None
    ends_tls = mode != "external"
    names = _name(spec, facts, media, mode)
    if not names:
        return None
    bind = _bind(spec, media, mode)
    turn = _plan_turn(spec, media, names[0], bind, notes)
    return EdgePlan(
        names=names,
        bind=bind,
        port=listen_port(spec),
        http=http_port(spec) if ends_tls else None,
        tls=_plan_tls(spec, installation, mode, notes),
        turn=turn,
        trusted_proxies=() if ends_tls else spec.tls.trusted_proxies,
        sites=sites,
    )


def _plan_turn(
    spec: Spec, media: MediaPlan, name: str, listen: tuple[Address, ...], notes: list[Finding]
) -> TurnEndpoint | None:
    """TURN over TLS is on the edge's port. Behind a proxy it has a port of its own, if the spec names one."""
    if not (spec.turn.enabled and spec.turn.tls):
        return None
    host = spec.turn.domain or name
    if tls_mode(spec) != "external":
        return TurnEndpoint(host, listen_port(spec), listen_port(spec), listen)
    if spec.turn.listen is None:
        notes.append(turn_tls_left_out().about("turn-tls"))
        return None
    # Clients may connect to it directly, wherever the proxy is.
    bind = (LOOPBACK,) if spec.reach == "local" else () if spec.reach == "public" else (*media.local, LOOPBACK)
    return TurnEndpoint(host, spec.turn.port or spec.turn.listen, spec.turn.listen, bind)


def _check_keys(loaded: LoadedSpec, facts: NetworkFacts, mode: TlsMode) -> None:
    """Add faults for keys that a mode needs, and for keys that it does not use."""
    spec = loaded.spec
    # A domain that is given but wrong has a fault of its own.
    is_nameless = spec.domain is None and not loaded.is_broken(("domain",))
    if spec.reach == "public" and is_nameless and mode != "tailscale":
        hint = "write domain: rtc.example.com, a name whose A record is this machine's public address"
        loaded.add(("reach",), key_missing("a public hub needs the name that clients use"), hint)
    if mode == "acme" and spec.reach == "local" and "://" not in spec.tls.issuer:
        hint = "write reach: public with domain: rtc.example.com; for this machine only, write tls.mode: internal"
        conflict = keys_conflict("no public authority reaches a hub that is for this machine only")
        loaded.add(("tls", "mode"), conflict, hint)
    elif mode == "acme" and is_nameless and spec.reach != "public":
        conflict = keys_conflict("no authority certifies an address of this network")
        loaded.add(("tls", "mode"), conflict, "write domain: NAME, or tls.mode: internal", Edit("tls.mode", "internal"))
    if mode == "external" and is_nameless:
        missing = key_missing("the name by which clients reach the proxy is missing")
        loaded.add(("tls", "mode"), missing, "write domain: rtc.example.com")
    certifies_turn = mode == "external" and spec.turn.listen is not None
    for key in ("cert", "key"):
        given = getattr(spec.tls, key)
        if mode == "files" and given is None:
            missing = key_missing(f"mode files needs tls.{key}")
            loaded.add(("tls", "mode"), missing, f"write tls.{key}: the path of a PEM file")
        if mode != "files" and not certifies_turn and given is not None:
            hint = (
                "write tls.mode: files"
                if mode != "external"
                else f"write turn.listen: {TURN_TLS_PORT}, for TURN over TLS with this certificate"
            )
            edit = Edit("tls.mode", "files") if mode != "external" else Edit("turn.listen", TURN_TLS_PORT)
            loaded.add(("tls", key), key_unused(f"mode {mode} does not use it"), hint, edit)
    check_issuer(loaded, mode, http_port(spec))
    _check_turn(loaded, mode)
    if mode == "tailscale":
        _check_tailnet(loaded, facts)
    if mode in ("off", "tailscale") and spec.turn.domain is not None:
        why = "a node of a tailnet has one name" if mode == "tailscale" else "mode off has no TURN over TLS"
        unused = key_unused(f"{why}, so no TURN server is at {spec.turn.domain}")
        loaded.add(("turn", "domain"), unused, "leave it out", Edit("turn.domain", None))


def _check_turn(loaded: LoadedSpec, mode: TlsMode) -> None:
    """The port of TURN over TLS beside a proxy, and the certificate that it needs."""
    spec = loaded.spec
    turn, tls = spec.turn, spec.tls
    if mode != "external":
        for key in ("listen", "port"):
            if getattr(turn, key) is not None:
                hint = (
                    "leave it out: without TLS the hub has no TURN over TLS"
                    if mode == "off"
                    else f"TURN over TLS is on port {listen_port(spec)} (tls.listen), like everything else"
                )
                unused = key_unused(f"mode {mode} has no port of its own for TURN over TLS")
                loaded.add(("turn", key), unused, hint, Edit(f"turn.{key}", None))
        return
    if turn.listen is None:
        if turn.port is not None:
            missing = key_missing("the port on which the hub takes TURN over TLS is missing")
            hint, edit = f"write turn.listen: {TURN_TLS_PORT}", Edit("turn.listen", TURN_TLS_PORT)
            loaded.add(("turn", "port"), missing, hint, edit)
        return
    told = turn.port or turn.listen
    has_own_name = turn.domain is not None and turn.domain != spec.domain
    if told == HTTPS_PORT and not has_own_name:
        loaded.add(
            ("turn", "port" if turn.port else "listen"),
            keys_conflict(
                "the proxy has port 443 of the hub's name, and tells TURN over TLS from HTTPS only by another name"
            ),
            "write turn.domain: turn.example.com, or another port",
        )
    elif (tls.cert is None) != (tls.key is None):
        given, other = ("key", "cert") if tls.cert is None else ("cert", "key")
        loaded.add(("tls", given), key_missing(f"tls.{other} is missing"), f"write tls.{other}")
    elif tls.cert is None and told != HTTPS_PORT:
        loaded.add(
            ("turn", "listen"),
            key_missing(
                f"TURN over TLS needs a certificate, and the hub gets one by itself only for port 443, not {told}"
            ),
            "write tls.cert and tls.key, the proxy's own files; or turn.domain with turn.port: 443",
        )


def _check_tailnet(loaded: LoadedSpec, facts: NetworkFacts) -> None:
    looked_up, domain = facts.looked_up, loaded.spec.domain
    if loaded.spec.reach != "lan":
        conflict = keys_conflict("a tailnet's name leads only the devices of the tailnet to this machine")
        loaded.add(("tls", "mode"), conflict, "write reach: lan", Edit("reach", "lan"))
    elif looked_up.tailnet is None:
        if looked_up.no_tailnet:
            loaded.place(("tls", "mode"), looked_up.no_tailnet)
    elif domain is not None and domain != looked_up.tailnet:
        elsewhere = address_not_here(f"{domain} is not this node's name in the tailnet")
        loaded.add(("domain",), elsewhere, f"it is {looked_up.tailnet}", Edit("domain", looked_up.tailnet))


def _name(spec: Spec, facts: NetworkFacts, media: MediaPlan, mode: TlsMode) -> tuple[str, ...]:
    """The hub's names, its own first. They include addresses where the hub certifies itself for a network in which it
    may have no name. On the internet it has a name; there a provider may change the address, which must not cost
    devices a new root."""
    if mode == "tailscale":
        return (facts.looked_up.tailnet,) if facts.looked_up.tailnet else ()
    named = [spec.domain] if spec.domain else []
    if mode == "internal":
        named += [str(address) for address in media.advertise if spec.reach != "public"]
        if LOOPBACK not in media.advertise:
            named.append(str(LOOPBACK))  # the hub's own machine can use it without a name
    if mode == "files" and not named:
        named = [str(address) for address in media.advertise]
    if spec.turn.domain and spec.turn.domain not in named:
        named.append(spec.turn.domain)
    return tuple(named)


def _bind(spec: Spec, media: MediaPlan, mode: TlsMode) -> tuple[Address, ...]:
    """Where the edge listens. The address of a public hub may change while it runs, so its edge listens on every
    address."""
    if spec.reach == "local" or (
        mode == "external" and all(network.is_loopback for network in spec.tls.trusted_proxies)
    ):
        return (LOOPBACK,)
    if mode == "external" or spec.reach == "public":
        return ()
    return tuple(dict.fromkeys((*media.local, LOOPBACK)))


def http_port(spec: Spec) -> int | None:
    """The port of the redirect to HTTPS and of ACME's HTTP challenge; None: no such port."""
    if spec.tls.http is None:
        return HTTP_PORT if listen_port(spec) == HTTPS_PORT else None
    return None if spec.tls.http == "off" else spec.tls.http


def _plan_tls(spec: Spec, installation: Installation, mode: TlsMode, notes: list[Finding]) -> TlsPlan:
    for_turn = mode == "external" and spec.turn.listen is not None and spec.tls.cert is None
    asks = mode == "acme" or for_turn
    issuers, why = choose_issuers(spec, mode, http_port(spec)) if asks else ((), None)
    notes += [why.about("tls.issuer")] if why else []
    account = plan_account(spec, installation.paths) if asks else None
    cert, key = (installation.beside_spec(path) if path else "" for path in (spec.tls.cert, spec.tls.key))
    return TlsPlan(mode, spec.tls.email, issuers, cert, key, account)


def origin(edge: EdgePlan, scheme: str) -> str:
    """`https://NAME[:port]`, as clients type it. `scheme` is http or ws; behind a proxy the port is the proxy's."""
    port = HTTPS_PORT if edge.tls.mode == "external" else edge.port
    host = as_host(edge.names[0])
    return f"{scheme}s://{host}" if port == HTTPS_PORT else f"{scheme}s://{host}:{port}"


def list_authorities(edge: EdgePlan) -> tuple[str, ...]:
    """What a request that came through the edge may say as its `Host`."""
    ports = {HTTPS_PORT if edge.tls.mode == "external" else edge.port, *([edge.http] if edge.http else [])}
    found = []
    # A name that is only for TURN is not a name of the web application.
    served = [name for name in edge.names if name == edge.names[0] or not edge.turn or name != edge.turn.host]
    for name in map(as_host, served):
        found += [f"{name}:{port}" for port in sorted(ports)]
        if ports & {HTTPS_PORT, HTTP_PORT}:
            found.append(name)
    return tuple(found)


def list_trust_urls(edge: EdgePlan) -> tuple[str, ...]:
    """Where a device fetches the root of mode internal: over plain HTTP first, since it does not trust the hub yet."""
    if edge.tls.mode != "internal":
        return ()
    names = [as_host(name) for name in edge.names if name != str(LOOPBACK)] or [str(LOOPBACK)]
    plain = "" if edge.http == HTTP_PORT else f":{edge.http}"
    secure = "" if edge.port == HTTPS_PORT else f":{edge.port}"
    urls = [f"http://{name}{plain}/trust" for name in names] if edge.http else []
    return (*urls, *(f"https://{name}{secure}/trust" for name in names))
