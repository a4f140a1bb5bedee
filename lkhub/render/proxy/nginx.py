"""nginx: a server for conf.d, and where TURN over TLS shares port 443 a stream that tells the two apart."""

from collections.abc import Iterator

from lkhub.render.files import RenderedFile
from lkhub.render.proxy.site import (
    BODY_LIMIT_BYTES,
    HTTPS_BEHIND_SPLIT,
    SILENCE,
    ProxySite,
    TurnRoute,
    explain_turn,
    fill,
    indent,
    snippet,
)


def render_nginx(site: ProxySite) -> tuple[RenderedFile, ...]:
    """For nginx 1.18 or newer; the stream needs its stream module."""
    blocks = [_head(site), explain_turn(site, can_split=True), _BASICS, _upstream(site), *_plain(site), *_secure(site)]
    files = [snippet("nginx-lkhub.conf", blocks)]
    if site.turn and site.turn.is_split:
        files.append(snippet("nginx-lkhub-stream.conf", [_split(site, site.turn)]))
    return tuple(files)


def _head(site: ProxySite) -> str:
    return fill(
        """
        # nginx in front of the hub @hub, written by `lkhub render proxy` for its spec.
        # Goes into /etc/nginx/conf.d/. `nginx -t` judges it, `nginx -s reload` takes it over.
        """,
        hub=site.hub,
    )


_BASICS = fill(
    """
    # Only a request that asks for a WebSocket is upgraded.
    map $http_upgrade $lkhub_connection {
        default upgrade;
        ""      "";
    }

    # Signalling URLs carry a token: the path is logged, what follows it is not.
    log_format lkhub '$remote_addr [$time_local] "$request_method $uri" $status $body_bytes_sent';
    """
)


def _upstream(site: ProxySite) -> str:
    return fill(
        """
        upstream lkhub {
            server @upstream;
            keepalive 8;
        }
        """,
        upstream=site.upstream,
    )


def _plain(site: ProxySite) -> Iterator[str]:
    for name in site.names:
        yield fill(
            """
            server {
                listen 80;
                listen [::]:80;
                server_name @name;
                # Browsers give camera and microphone to HTTPS pages alone.
                location / {
                    return 308 https://@name$request_uri;
                }
            }
            """,
            name=name,
        )
    if site.turn and site.turn.proves_name:
        yield _prove(site.turn)


def _prove(turn: TurnRoute) -> str:
    return fill(
        """
        server {
            listen 80;
            listen [::]:80;
            server_name @host;
            # The hub has the certificate of this name, and proves to the authority that it is there.
            location /.well-known/acme-challenge/ {
                proxy_pass http://lkhub;
                proxy_set_header Host $host;
                access_log /var/log/nginx/access.log lkhub;
            }
        }
        """,
        host=turn.host,
    )


def _secure(site: ProxySite) -> Iterator[str]:
    yield _serve(site, site.domain, site.certificate)
    for name in site.sites:
        yield f"# A web site of the hub.\n{_serve(site, name, None)}"


def _serve(site: ProxySite, name: str, files: tuple[str, str] | None) -> str:
    folder = f"/etc/letsencrypt/live/{name}"
    certificate, key = files or (f"{folder}/fullchain.pem", f"{folder}/privkey.pem")
    return fill(
        """
        server {
        @listen
            server_name @name;
            ssl_certificate @certificate;
            ssl_certificate_key @key;

            access_log /var/log/nginx/access.log lkhub;
            # nginx repeats the whole request in its errors, token and all, up to this level.
            error_log /var/log/nginx/error.log crit;

            # LiveKit's API takes small messages, and the hub nothing larger.
            client_max_body_size @limit;

            location / {
                proxy_pass http://lkhub;
                proxy_http_version 1.1;
                # The hub answers its own name and no other.
                proxy_set_header Host $host;
                # Set and not added to: what a client writes there itself must not be believed.
                proxy_set_header X-Forwarded-For $remote_addr;
                proxy_set_header X-Forwarded-Proto https;

                # Signalling is a WebSocket that lives as long as the call; nginx ends it after 60 silent seconds.
                proxy_set_header Upgrade $http_upgrade;
                proxy_set_header Connection $lkhub_connection;
                proxy_read_timeout @silence;
                proxy_send_timeout @silence;

                # What WHIP and the API say is handed on at once, both ways.
                proxy_buffering off;
                proxy_request_buffering off;
            }
        }
        """,
        listen=indent(_listen(site), 4),
        name=name,
        certificate=certificate,
        key=key,
        limit=BODY_LIMIT_BYTES,
        silence=SILENCE,
    )


def _listen(site: ProxySite) -> str:
    if not (site.turn and site.turn.is_split):
        return "listen 443 ssl;\nlisten [::]:443 ssl;"
    return fill(
        """
        # Port 443 is the stream's (nginx-lkhub-stream.conf), which says where the client is.
        listen 127.0.0.1:@port ssl proxy_protocol;
        set_real_ip_from 127.0.0.1;
        real_ip_header proxy_protocol;
        """,
        port=HTTPS_BEHIND_SPLIT,
    )


def _split(site: ProxySite, turn: TurnRoute) -> str:
    return fill(
        """
        # nginx in front of the hub @hub, written by `lkhub render proxy` for its spec.
        # TURN over TLS shares port 443: nginx reads the name that the client asks for, and hands the connection on as
        # it is.
        #
        # This stands beside http {}, not in it: `include /etc/nginx/nginx-lkhub-stream.conf;` at the end of
        # nginx.conf. It needs the stream module (Debian: libnginx-mod-stream). A configuration has one stream {}:
        # where there is one already, move the two inner blocks there.
        #
        # Every other site of this nginx on port 443 has to move behind it, as in nginx-lkhub.conf:
        #     listen 127.0.0.1:@https ssl proxy_protocol;
        #     set_real_ip_from 127.0.0.1;
        #     real_ip_header proxy_protocol;
        stream {
            map $ssl_preread_server_name $lkhub_https_or_turn {
                @host @upstream;
                default 127.0.0.1:@https;
            }

            server {
                listen 443;
                listen [::]:443;
                ssl_preread on;
                proxy_pass $lkhub_https_or_turn;
                # Says where the client is. Both ends believe it from here alone.
                proxy_protocol on;
                preread_timeout 10s;
                proxy_connect_timeout 5s;
                proxy_timeout @silence;
            }
        }
        """,
        hub=site.hub,
        host=turn.host,
        upstream=turn.upstream,
        https=HTTPS_BEHIND_SPLIT,
        silence=SILENCE,
    )
