"""What caddy.json says of one web site: its headers, and its files."""

from lkhub.plan.model import EdgePlan, SitePlan, as_host
from lkhub.render.caddy_errors import CaddyJson

# A page of another site may not show the site in a frame, nor learn from where on it a link was followed.
_HEADERS = {
    "X-Content-Type-Options": ["nosniff"],
    "Referrer-Policy": ["same-origin"],
    "Permissions-Policy": ["camera=(self), microphone=(self), display-capture=(self)"],
}


def render_site(edge: EdgePlan, site: SitePlan) -> list[CaddyJson]:
    """The routes that answer every request for a site."""
    policy = site.csp or default_policy(edge)
    headers = {**_HEADERS, "Content-Security-Policy": [policy]}
    handlers: list[CaddyJson] = [
        {"handler": "headers", "response": {"set": headers}},
        # For files that have no smaller form beside them.
        {"handler": "encode", "encodings": {"zstd": {}, "gzip": {}}, "prefer": ["zstd", "gzip"]},
        {"handler": "lkhub_site", "root": site.root},
    ]
    return [{"handle": handlers}]


def default_policy(edge: EdgePlan) -> str:
    """The Content-Security-Policy of a page that uses LiveKit: scripts and styles of its own, its own sockets and this
    hub's, media from the camera, and workers and WebAssembly for effects and encryption."""
    rules = {
        "default-src": "'self'",
        "script-src": "'self' 'wasm-unsafe-eval'",
        # Components of React set styles in attributes.
        "style-src": "'self' 'unsafe-inline'",
        "img-src": "'self' data: blob:",
        "font-src": "'self' data:",
        "media-src": "'self' data: blob: mediastream:",
        "worker-src": "'self' blob:",
        "connect-src": " ".join(["'self'", *_list_origins(edge)]),
        "object-src": "'none'",
        "base-uri": "'self'",
        "form-action": "'self'",
        "frame-ancestors": "'self'",
    }
    return "; ".join(f"{rule} {value}" for rule, value in rules.items())


def _list_origins(edge: EdgePlan) -> list[str]:
    """The hub's origins: signalling, and the validation of a token that refused to connect."""
    port = "" if edge.tls.mode == "external" or edge.port == 443 else f":{edge.port}"
    return [f"{scheme}://{as_host(name)}{port}" for name in edge.names for scheme in ("wss", "https")]
