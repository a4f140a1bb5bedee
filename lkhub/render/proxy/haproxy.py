"""HAProxy: frontends and backends, and where TURN over TLS shares port 443 a frontend that tells the two apart."""

from lkhub.render.files import RenderedFile
from lkhub.render.proxy.site import BODY_LIMIT_BYTES, SILENCE, ProxySite, TurnRoute, explain_turn, fill, indent, snippet


def render_haproxy(site: ProxySite) -> tuple[RenderedFile, ...]:
    """For HAProxy 2.4 or newer."""
    turn = site.turn if site.turn and site.turn.is_split else None
    blocks = [
        _head(site),
        explain_turn(site, can_split=True),
        _plain(site),
        _split(turn) if turn else "",
        _secure(site),
        _backend(site),
        _backend_turn(turn) if turn else "",
    ]
    return (snippet("haproxy-lkhub.cfg", blocks),)


def _head(site: ProxySite) -> str:
    return fill(
        """
        # HAProxy in front of the hub @hub, written by `lkhub render proxy` for its spec. For HAProxy 2.4 and newer.
        # `haproxy -c -f /etc/haproxy/haproxy.cfg -f haproxy-lkhub.cfg` judges it; start HAProxy with both files. Where
        # your configuration has frontends for 80 and 443 already, move the lines of these into them.
        """,
        hub=site.hub,
    )


def _plain(site: ProxySite) -> str:
    proof = ""
    if site.turn and site.turn.proves_name:
        proof = fill(
            """
            # The hub has the certificate of @host, and proves to the authority that it is there.
            acl lkhub_proof path_beg /.well-known/acme-challenge/
            acl lkhub_turn_name hdr(host),field(1,:) -i @host
            use_backend lkhub if lkhub_proof lkhub_turn_name
            """,
            host=site.turn.host,
        )
    return fill(
        """
        frontend lkhub_plain
            mode http
            bind :80
            bind :::80 v6only
            timeout client 30s
            # Browsers give camera and microphone to HTTPS pages alone.
            http-request redirect scheme https code 308 if { hdr(host),field(1,:) -i @names }
        @proof
        """,
        names=" ".join(site.names),
        proof=indent(proof, 4),
    ).rstrip()


def _split(turn: TurnRoute) -> str:
    return fill(
        """
        # TURN over TLS shares port 443: HAProxy reads the name that the client asks for, and hands the connection on as
        # it is.
        frontend lkhub_443
            mode tcp
            bind :443
            bind :::443 v6only
            timeout client @silence
            tcp-request inspect-delay 10s
            tcp-request content reject unless { req.ssl_hello_type 1 }
            use_backend lkhub_turn if { req.ssl_sni -i @host }
            default_backend lkhub_to_https

        backend lkhub_to_https
            mode tcp
            timeout connect 5s
            timeout server @silence
            # Says where the client is, to the frontend below.
            server https abns@@lkhub-https send-proxy-v2
        """,
        host=turn.host,
        silence=SILENCE,
    )


def _secure(site: ProxySite) -> str:
    # Two sockets: with one for both families, HAProxy would report IPv4 clients as ::ffff:192.0.2.1.
    addresses = [":443", ":::443 v6only"]
    if site.turn and site.turn.is_split:
        addresses = ["abns@lkhub-https accept-proxy"]
    files = " ".join(f"crt /etc/haproxy/certs/{name}.pem" for name in site.names)
    certificate = f"ssl {files} alpn http/1.1"
    return fill(
        """
        frontend lkhub_https
            mode http
            # Certificate, chain and key, in this order, in one file for each name.
        @binds
            timeout client 60s
            timeout http-request 10s
            # Signalling URLs carry a token: the path is logged, what follows it is not.
            log-format "%ci:%cp [%tr] %ft %b/%s %Tr/%Ta %ST %B %tsc %HM %HP"
            # Set and not added to: what a client writes there itself must not be believed.
            http-request set-header X-Forwarded-For %[src]
            http-request set-header X-Forwarded-Proto https
            # LiveKit's API takes small messages, and the hub nothing larger.
            http-request deny deny_status 413 if { req.hdr_val(content-length) gt @limit }
            use_backend lkhub if { hdr(host),field(1,:) -i @names }
        """,
        binds=indent("\n".join(f"bind {address} {certificate}" for address in addresses), 4),
        names=" ".join(site.names),
        limit=BODY_LIMIT_BYTES,
    )


def _backend(site: ProxySite) -> str:
    return fill(
        """
        backend lkhub
            mode http
            timeout connect 5s
            timeout server 60s
            # Signalling is a WebSocket that lives as long as the call; this is for what was upgraded.
            timeout tunnel @silence
            # What WHIP and the API say is handed on at once.
            option http-no-delay
            server hub @upstream
        """,
        upstream=site.upstream,
        silence=SILENCE,
    )


def _backend_turn(turn: TurnRoute) -> str:
    return fill(
        """
        backend lkhub_turn
            mode tcp
            timeout connect 5s
            timeout server @silence
            # Says where the client is. The hub believes it from tls.trusted_proxies alone.
            server hub @upstream send-proxy-v2
        """,
        upstream=turn.upstream,
        silence=SILENCE,
    )
