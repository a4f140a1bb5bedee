"""Caddy: a site for a Caddyfile. Stock Caddy speaks HTTP alone, so TURN over TLS does not pass through it."""

from collections.abc import Iterator

from lkhub.render.files import RenderedFile
from lkhub.render.proxy.site import ProxySite, explain_turn, fill, snippet


def render_caddyfile(site: ProxySite) -> tuple[RenderedFile, ...]:
    """For Caddy 2.6 or newer."""
    return (
        snippet(
            "caddy-lkhub.Caddyfile", [_head(site), explain_turn(site, can_split=False), *_sites(site), _proof(site)]
        ),
        snippet("caddy-lkhub-options.Caddyfile", [_LOG]),
    )


def _head(site: ProxySite) -> str:
    return fill(
        """
        # Caddy in front of the hub @hub, written by `lkhub render proxy` for its spec.
        # `import caddy-lkhub.Caddyfile` goes into /etc/caddy/Caddyfile, and `import caddy-lkhub-options.Caddyfile` into
        # the block of global options at its top. `caddy validate` judges it, `caddy reload` takes it over.
        # The certificate and the way from HTTP to HTTPS are Caddy's own.
        """,
        hub=site.hub,
    )


_LOG = fill(
    """
    # Signalling URLs carry a token, and Caddy repeats them in its errors: the path is logged, what follows it is not.
    log default {
        format filter {
            wrap json
            fields {
                request>uri regexp "\\?.*" ""
            }
        }
    }
    """
)


def _sites(site: ProxySite) -> Iterator[str]:
    own = f"\n    tls {' '.join(site.certificate)}" if site.certificate else ""
    yield _site(site.domain, site.upstream, own)
    for name in site.sites:
        yield f"# A web site of the hub.\n{_site(name, site.upstream)}"


def _site(name: str, upstream: str, files: str = "") -> str:
    return fill(
        """
        @domain {@files
            # WebSockets are upgraded, and live as long as the call. X-Forwarded-For is set to where the connection
            # comes from; what a client writes there itself is dropped, unless trusted_proxies names that client. The
            # hub itself limits what is sent to it.
            reverse_proxy @upstream {
                # What WHIP and the API say is handed on at once.
                flush_interval -1
                # A reload of Caddy ends every WebSocket, unless this says how long they live on (from Caddy 2.7).
                # stream_close_delay 24h
            }
        }
        """,
        domain=name,
        files=files,
        upstream=upstream,
    )


def _proof(site: ProxySite) -> str:
    if not (site.turn and site.turn.proves_name):
        return ""
    return fill(
        """
        # The hub has the certificate of this name, and proves to the authority that it is there.
        http://@host {
            reverse_proxy /.well-known/acme-challenge/* @upstream
        }
        """,
        host=site.turn.host,
        upstream=site.upstream,
    )
