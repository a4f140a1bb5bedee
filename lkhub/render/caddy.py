"""caddy.json, run by `lkhub-engine edge`: Caddy's own JSON, with the modules of engine/internal/edge."""

import json
from collections.abc import Iterable

from lkhub.plan.model import EdgePlan, Plan, SitePlan, TurnEndpoint, as_host, in_url
from lkhub.render.caddy_errors import CaddyJson, render_error_routes
from lkhub.render.caddy_sites import render_site
from lkhub.render.files import RenderedFile
from lkhub.render.relay import describe_tls_relay
from lkhub.spec.address import Address
from lkhub.wire.serve_config import FORWARDED_HEADER

# How long a TLS handshake, and the header of a request, may take to arrive.
HANDSHAKE = "10s"

# Open connections from one address. Behind an office's router many people share one address, with about six connections
# each.
CONNECTIONS_PER_ADDRESS = 1000

# Requests of one client at once, its WebSockets among them. Behind a proxy, which has one address for all clients, the
# client is the address that the proxy names.
REQUESTS_PER_ADDRESS = 1000

# How long a body may take to arrive, besides a second for each 4 KiB; and for how long a client may read nothing of a
# response. Neither ends WebSockets and streams.
BODY = "10s"
STALL = "30s"

# WebSockets that outlive a reload of the configuration are left alone for as long as any call lasts.
STREAM_CLOSE_DELAY = "24h"

# How long a request waits for a process that is being restarted; that takes a tenth of a second for media, and one or
# two for the service.
_PATIENCE = {"try_duration": "5s", "try_interval": "50ms"}

# How long a service that has taken a request may stay silent: it answers in milliseconds.
_SERVE_ANSWERS_WITHIN = "8s"

# LiveKit's API takes small messages; metadata is limited to 64 KiB each (livekit-server, pkg/config/config.go).
MAX_API_BODY = 1 << 20

# Headers in which clients name their own address, in every spelling that LiveKit or the service would believe.
FORWARDING_HEADERS = (
    *("CF-Connecting-IP", "True-Client-IP", "X-Real-IP", "X-Client-IP", "Forwarded", "Via", FORWARDED_HEADER),
    "X-Forwarded-*",
)

# A browser that knows this header uses HTTPS by itself.
STRICT_TRANSPORT = {"Strict-Transport-Security": ["max-age=31536000"]}

MEDIA_PATHS = ["/rtc", "/rtc/*", "/twirp/*", "/agent", "/agent/*", "/whip", "/whip/*"]

# How a TURN client begins: with a STUN request of a method below 16 (RFC 8489, section 5; RFC 8656, section 17). No
# HTTP request begins like this.
STUN_START = r"^\x00[\x00-\x0f]"


def render_caddy(plan: Plan, edge: EdgePlan) -> RenderedFile:
    """The edge's configuration. It names files with secrets and holds none."""
    config: CaddyJson = {
        "admin": {"disabled": True, "config": {"persist": False}},
        "logging": {"logs": {"default": {**_LOG, "exclude": [_ERRORS]}, "errors": {**_LOG, **_ERROR_LOG}}},
        "storage": {"module": "file_system", "root": plan.paths.caddy},
        "apps": {
            "lkhub": {**_relay(plan), **_proxies(edge)},
            "http": {"grace_period": "1s", "servers": _servers(plan, edge)},
        },
    }
    if edge.tls.mode != "external":
        config["apps"] |= {"tls": _tls(plan, edge), "layer4": {"servers": _fronts(edge)}}
    elif edge.turn:
        config["apps"] |= {
            "tls": _tls(plan, edge),
            "layer4": {"servers": {"turn": _beside_proxy(edge, edge.turn)}},
        }
    if edge.tls.mode == "internal":
        config["apps"]["pki"] = _own_authority(plan, edge)
    return RenderedFile("caddy.json", json.dumps(config, indent=2) + "\n")


def _shortened(characters: int) -> CaddyJson:
    """A filter that keeps the first `characters` of a field: a client may make it as long as a header may be."""
    return {"filter": "regexp", "regexp": f"(?s)^(.{{{characters}}}).+", "value": "${1}…"}


# Signalling URLs carry a token. Messages about a flood of bad clients must not fill the disk.
_LOG = {
    "level": "INFO",
    "writer": {"output": "stderr"},
    "encoder": {
        "format": "filter",
        "wrap": {"format": "json"},
        "fields": {
            **{name: {"filter": "delete"} for name in ("request>uri", "request>headers", "resp_headers")},
            "request>method": _shortened(20),
            "request>host": _shortened(255),
        },
    },
    "sampling": {"interval": 1_000_000_000, "first": 10, "thereafter": 1000},
}

# The reason why a request failed is logged at this level if the answer is a page of ours (caddyhttp/server.go,
# ServeHTTP).
_ERRORS = "http.log.error"
_ERROR_LOG = {"level": "DEBUG", "include": [_ERRORS]}


def _relay(plan: Plan) -> CaddyJson:
    """Clients over TLS are relayed within the edge, which has to read each packet anyway."""
    return {"relay": describe_tls_relay(plan, plan.relay)} if plan.relay and plan.relay.tls else {}


def _proxies(edge: EdgePlan) -> CaddyJson:
    """Addresses of proxies, each of which speaks for many clients."""
    return {"proxies": [str(network) for network in edge.trusted_proxies]} if edge.tls.mode == "external" else {}


def _fronts(edge: EdgePlan) -> dict[str, CaddyJson]:
    """The hub's one port, with TLS, then TURN by its first bytes, HTTP otherwise; and the ports of sites, with TLS and
    HTTP."""
    streams: list[CaddyJson] = [_turn_stream()] if edge.turn else []
    streams.append({"handle": _hand_over("hub")})
    fronts = {"edge": _front(edge, edge.port, streams)}
    for site in edge.sites:
        if site.port:
            fronts[f"site-{site.name}"] = _front(edge, site.port, [{"handle": _hand_over(f"site-{site.name}")}])
    return fronts


def _front(edge: EdgePlan, port: int, streams: list[CaddyJson]) -> CaddyJson:
    """caddy-l4's tls handler has no deadline of its own, so a handler of ours sets a deadline before it, and another
    removes the deadline after it."""
    handlers = [
        {"handler": "lkhub_limit", "per_address": CONNECTIONS_PER_ADDRESS},
        {"handler": "lkhub_deadline", "after": HANDSHAKE},
        {"handler": "tls", "connection_policies": _policies(edge)},
        {"handler": "subroute", "matching_timeout": HANDSHAKE, "routes": streams},
    ]
    return {"listen": _listen(edge.bind, port), "routes": [{"handle": handlers}]}


def _beside_proxy(edge: EdgePlan, turn: TurnEndpoint) -> CaddyJson:
    """Mode external: a port where TURN over TLS arrives directly, or unchanged through the proxy.

    Such a proxy tells the client's address by the PROXY protocol. From any other address the header is refused
    (REJECT), since under caddy-l4's other policies (0.1.2, l4proxyprotocol/handler.go) a header is believed from every
    sender.
    """
    trusted = [str(network) for network in edge.trusted_proxies]
    handlers = [
        {"handler": "proxy_protocol", "allow": trusted, "fallback_policy": "REJECT", "timeout": HANDSHAKE},
        {"handler": "lkhub_announced"},
        {"handler": "lkhub_limit", "per_address": CONNECTIONS_PER_ADDRESS},
        {"handler": "lkhub_deadline", "after": HANDSHAKE},
        {"handler": "tls", "connection_policies": [{"alpn": ["stun.turn", "http/1.1"], "default_sni": turn.host}]},
        {"handler": "subroute", "matching_timeout": HANDSHAKE, "routes": [_turn_stream()]},
    ]
    return {"listen": _listen(turn.bind, turn.listen), "routes": [{"handle": handlers}]}


def _policies(edge: EdgePlan) -> list[CaddyJson]:
    # Clients that connect to an address send no name (RFC 6066, section 3).
    return [{"alpn": ["http/1.1", "stun.turn"], "default_sni": edge.names[0]}]


def _turn_stream() -> CaddyJson:
    stun = {"regexp": {"pattern": STUN_START, "count": 2}}
    return {"match": [stun], "handle": _hand_over("relay")}


def _hand_over(name: str) -> list[CaddyJson]:
    return [{"handler": "lkhub_deadline", "after": "0s"}, {"handler": "lkhub_handover", "to": name}]


def _listen(addresses: Iterable[Address], port: int) -> list[str]:
    """Addresses in Caddy's form. `bounded` is a network of ours: TCP with a limit on open connections."""
    hosts = [in_url(address) for address in addresses] or [""]
    return [f"bounded/{host}:{port}" for host in hosts]


def _servers(plan: Plan, edge: EdgePlan) -> dict[str, CaddyJson]:
    common: CaddyJson = {
        "automatic_https": {"disable": True},
        "read_header_timeout": HANDSHAKE,
        "idle_timeout": "2m",
        "max_header_bytes": 64 * 1024,
        "protocols": ["h1"],
    }
    hub = {**common, "routes": _routes(plan, edge), "errors": render_error_routes()}
    if edge.tls.mode == "external":
        trusted = [str(network) for network in edge.trusted_proxies]
        hub |= {
            "listen": _listen(edge.bind, edge.port),
            "trusted_proxies": {"source": "static", "ranges": trusted},
            "trusted_proxies_strict": 1,
        }
        return {"hub": hub}
    # The layer-4 server hands its connections over inside the process.
    servers = {"hub": hub | {"listen": ["handover/hub"]}}
    for site in edge.sites:
        if site.port:
            routes = [_bounded(), *_site_routes(edge, site)]
            servers[f"site-{site.name}"] = {**common, "listen": [f"handover/site-{site.name}"], "routes": routes}
    if edge.http:
        servers["plain"] = {**common, "listen": _listen(edge.bind, edge.http), "routes": _plain_routes(plan, edge)}
        if edge.tls.mode == "internal":  # /trust comes from the service, which may not answer
            servers["plain"]["errors"] = render_error_routes()
    return servers


def _routes(plan: Plan, edge: EdgePlan) -> list[CaddyJson]:
    routes: list[CaddyJson] = [_bounded()]
    if edge.tls.mode != "external":
        # No header in which a client names its address reaches the hub; the connection itself tells the address.
        routes.append({"handle": [{"handler": "headers", "request": {"delete": list(FORWARDING_HEADERS)}}]})
    else:
        routes += _from_proxies_only(edge)
    for site in edge.sites:
        if site.domain:
            # Terminal, with all the rest: what is at the hub's own name is not at a site's.
            handlers = [{"handler": "subroute", "routes": [*_https_for_good(edge), *render_site(edge, site)]}]
            routes.append({"match": [{"host": [site.domain]}], "handle": handlers, "terminal": True})
    # The service checks the Host of its requests itself; LiveKit does not.
    foreign = {"path": MEDIA_PATHS, "not": [{"host": list(edge.names)}]}
    refuse = _refuse(421, "wrong-host", "this is not the name of this hub: it was asked for {http.request.hostport}")
    routes.append({"match": [foreign], "handle": [refuse], "terminal": True})
    limit = {"handler": "request_body", "max_size": MAX_API_BODY}
    media = _proxy(
        plan.urls.local_media, {**_secure(edge), "stream_close_delay": STREAM_CLOSE_DELAY, "stream_buffer_size": 4096}
    )
    routes.append({"match": [{"path": MEDIA_PATHS}], "handle": [limit, media], "terminal": True})
    routes += _https_for_good(edge)
    # The service adds the other security headers itself.
    if edge.tls.mode == "external":
        routes += _tell_serve()
    # The service knows HTTP/1.1 alone. Some clients offer another protocol with every request, such as Java's.
    offers = {"handler": "headers", "request": {"delete": ["Upgrade", "HTTP2-Settings"]}}
    routes.append({"handle": [limit, offers, _to_serve(plan, _secure(edge))]})
    return routes


def _site_routes(edge: EdgePlan, site: SitePlan) -> list[CaddyJson]:
    """A site at a port of its own. A page elsewhere must not reach it by a name that was rebound to this machine: what
    a site has for its visitors may include a token."""
    names = [*edge.names, *([site.domain] if site.domain else [])]
    refuse = _refuse(421, "wrong-host", "this is not the name of this site: it was asked for {http.request.hostport}")
    return [{"match": [{"not": [{"host": names}]}], "handle": [refuse], "terminal": True}, *render_site(edge, site)]


def _refuse(status: int, code: str, message: str) -> CaddyJson:
    """An answer in the hub's one shape of an error, by whose code `verify` recognizes it as the hub's. What Go's server
    lets through as a host can't end a string of JSON (golang.org/x/net/http/httpguts, ValidHostHeader)."""
    body = json.dumps({"error": {"code": code, "message": message}}) + "\n"
    headers = {"Content-Type": ["application/json"]}
    return {"handler": "static_response", "status_code": status, "headers": headers, "body": body}


def _https_for_good(edge: EdgePlan) -> list[CaddyJson]:
    if not _is_https_for_good(edge):
        return []
    return [{"handle": [{"handler": "headers", "response": {"set": STRICT_TRANSPORT, "deferred": True}}]}]


def _is_https_for_good(edge: EdgePlan) -> bool:
    """Whether browsers may be told to use HTTPS alone for the hub's name, on all of its ports, for a year.

    Not in mode internal: a device that has to fetch a new root would be kept from http://NAME/trust. Not in mode
    tailscale: the name is the machine's, with whatever else runs on it. Not on another port: 443 may be another
    program's. Behind a proxy the proxy decides.
    """
    return edge.tls.mode in ("acme", "files") and edge.port == 443


def _from_proxies_only(edge: EdgePlan) -> list[CaddyJson]:
    """Mode external: this port is the proxy's. Of its headers only X-Forwarded-* is read; other headers may be the
    client's own, forwarded."""
    trusted = [str(network) for network in edge.trusted_proxies]
    text = "this port is for the proxy in front; {http.request.remote.host} is not in tls.trusted_proxies"
    refuse = {**_refuse(403, "not-from-proxy", text), "close": True}
    names = [name for name in FORWARDING_HEADERS if not name.startswith("X-Forwarded-")]
    return [
        {"match": [{"not": [{"remote_ip": {"ranges": trusted}}]}], "handle": [refuse], "terminal": True},
        {"handle": [{"handler": "headers", "request": {"delete": names}}]},
    ]


def _bounded() -> CaddyJson:
    requests = {"handler": "lkhub_requests", "per_address": REQUESTS_PER_ADDRESS, "body": BODY, "stall": STALL}
    return {"handle": [requests]}


def _proxy(url: str, more: CaddyJson) -> CaddyJson:
    return {
        "handler": "reverse_proxy",
        "upstreams": [{"dial": url.removeprefix("http://")}],
        "transport": {"protocol": "http", "dial_timeout": "3s"},
        "load_balancing": _PATIENCE,
        **more,
    }


def _to_serve(plan: Plan, more: CaddyJson) -> CaddyJson:
    proxy = _proxy(plan.urls.local_serve, more)
    proxy["transport"] = {**proxy["transport"], "response_header_timeout": _SERVE_ANSWERS_WITHIN}
    return proxy


def _secure(edge: EdgePlan) -> CaddyJson:
    """TLS ends before Caddy's HTTP server, which therefore takes its requests for plain HTTP."""
    if edge.tls.mode == "external":
        # LiveKit takes the whole header for the address (pkg/service/utils.go), and Caddy would append the proxy's.
        return {"headers": {"request": {"set": {"X-Forwarded-For": ["{http.vars.client_ip}"]}}}}
    return {"headers": {"request": {"set": {"X-Forwarded-Proto": ["https"]}}}}


def _tell_serve() -> list[CaddyJson]:
    """Whether the proxy said where the client is, since `_secure` writes an address in any case."""

    def tell(value: str) -> CaddyJson:
        return {"handle": [{"handler": "headers", "request": {"set": {FORWARDED_HEADER: [value]}}}]}

    return [tell("no"), {"match": [{"header": {"X-Forwarded-For": ["*"]}}], **tell("yes")}]


def _plain_routes(plan: Plan, edge: EdgePlan) -> list[CaddyJson]:
    """Port 80: the redirect to HTTPS, and the root certificate for a device that does not trust the hub yet."""
    routes: list[CaddyJson] = [_bounded()]
    if edge.tls.mode == "internal":
        strip = {"handler": "headers", "request": {"delete": list(FORWARDING_HEADERS)}}
        handlers = [strip, _to_serve(plan, {})]
        routes.append({"match": [{"path": ["/trust", "/trust/*"]}], "handle": handlers, "terminal": True})
    # The redirect goes to the name that was asked for if it is one of the hub's, else to the hub's first name.
    routes += [{"match": [{"host": [name]}], **_send_to(name, edge), "terminal": True} for name in edge.served_names]
    return [*routes, _send_to(edge.names[0], edge)]


def _send_to(name: str, edge: EdgePlan) -> CaddyJson:
    port = "" if edge.port == 443 else f":{edge.port}"
    location = f"https://{as_host(name)}{port}{{http.request.uri}}"
    return {"handle": [{"handler": "static_response", "status_code": 308, "headers": {"Location": [location]}}]}


def _tls(plan: Plan, edge: EdgePlan) -> CaddyJson:
    if edge.tls.cert:
        files = {"certificate": edge.tls.cert, "key": edge.tls.key}
        return {"certificates": {"load_files": [files]}, "disable_ocsp_stapling": True}
    names = [edge.turn.host] if edge.tls.mode == "external" and edge.turn else list(edge.served_names)
    if edge.tls.mode == "tailscale":
        policy: CaddyJson = {
            "subjects": names,
            "get_certificate": [{"via": "tailscale"}],
            "disable_ocsp_stapling": True,
        }
        # Where tailscaled has none, Caddy would ask Let's Encrypt and ZeroSSL for one during the first handshake.
        never = {"permission": {"module": "lkhub_never"}}
        return {"automation": {"on_demand": never, "policies": [policy]}, "disable_ocsp_stapling": True}
    if edge.tls.mode == "internal":
        issuers: list[CaddyJson] = [{"module": "internal", "ca": edge.authority}]
    else:
        issuers = [_acme(edge, directory) for directory in edge.tls.issuers]
    return {
        "certificates": {"automate": names},
        # Once for what is automated, once for what is loaded (caddytls/tls.go): no other server is asked about a
        # certificate.
        "automation": {"policies": [{"subjects": names, "issuers": issuers, "disable_ocsp_stapling": True}]},
        "disable_ocsp_stapling": True,
    }


def _acme(edge: EdgePlan, directory: str) -> CaddyJson:
    issuer: CaddyJson = {"module": "acme", "ca": directory}
    if edge.tls.email:
        issuer["email"] = edge.tls.email
    if account := edge.tls.account:
        # Caddy puts the file's content there when it loads the configuration (caddytls/acmeissuer.go, Provision).
        issuer["external_account"] = {"key_id": account.key_id, "mac_key": f"{{file.{account.key_file}}}"}
    # Set explicitly, since otherwise these challenges would open 443 and 80 themselves.
    http, tls = edge.http, edge.port
    if edge.tls.mode == "external" and edge.turn:
        http, tls = edge.port, edge.turn.listen  # the proxy forwards both
    issuer["challenges"] = {
        "tls-alpn": {"alternate_port": tls},
        "http": {"alternate_port": http} if http else {"disabled": True},
    }
    if edge.bind:
        issuer["challenges"]["bind_host"] = str(edge.bind[0])
    return issuer


def _own_authority(plan: Plan, edge: EdgePlan) -> CaddyJson:
    root = {"certificate": plan.paths.ca_root, "private_key": plan.paths.ca_key, "format": "pem_file"}
    authority = {"name": plan.name, "install_trust": False, "root": root}
    return {"certificate_authorities": {edge.authority: authority}}
