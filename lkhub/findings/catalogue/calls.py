"""Codes of calls: the paths that are tried, the page of a join link, what is in front of both."""

from lkhub.findings.declare import Says, declare


@declare("path-fails", "error")
def path_fails(paths: str) -> Says:
    """A call through one path did not get through. The subject is the path: `udp`, `tcp`, `turn-udp` or `turn-tls`.
    Paths that fail for the same cause are one finding: its title names them all, and its subject is the first.

    **Why.** A stage has several causes, and the finding says which one was seen: a certificate that expired is not one
    that an unknown authority signed, a port that refuses not one that drops, and a hub's own refusal not a proxy's
    page. Where what was seen leaves several open, it says *not decided* and names them. Where the hub's own machine
    refused to send the answers, that is the cause, with the kernel's word for it. [How far a call
    gets](guides/when-it-does-not-work.md#verify-how-far-a-call-gets) has a row for each stage, and what is usual with
    [another LiveKit](guides/when-it-does-not-work.md#another-livekit). A path that this hub's spec promises and the
    server does not offer is a failure too.

    **What to do.** Try the path again and read the detail; see whether a firewall on this machine drops the port; read
    what media says:

    ```sh
    lkhub verify --path udp
    lkhub logs media
    ```
    """
    return Says(f"no call gets through on {paths}")


@declare("path-not-tried", "warning")
def path_not_tried(paths: str, count: int) -> Says:
    """Whether a path works is not known.

    **Why.** The probe could not be run to its end: on another deployment (`--url`) the path is not offered, or with a
    single token everything but media was proved. The detail says which.

    **What to do.** Try again; with `--token-file`, give two tokens of one room:

    ```sh
    lkhub verify --path udp
    ```
    """
    return Says(
        f"whether {paths} {'works' if count == 1 else 'work'} is not known", "the probe could not be run to its end"
    )


@declare("page-fails", "error")
def page_fails(api_too: bool) -> Says:
    """The page of a join link, or a part of it, is not there by the hub's name. The subject is `web`.

    **Why.** `up` and `verify` fetch the page that a join link leads to, as a browser does, and compare it with what the
    hub's own service gives. Where a proxy is in front (`tls.mode: external`) it may lead signalling to the hub and the
    rest elsewhere, ask for a login, or change what passes: calls from applications get through then, and people don't.
    The finding says what answered.

    **What to do.** Lead all of the hub's name to its one door, from `/` on: [behind a proxy](guides/behind-a-proxy.md).

    ```sh
    lkhub render proxy -o proxy
    ```
    """
    title = "join links do not open: the page is not there by the hub's name"
    return Says(f"{title}, nor is the API" if api_too else title)


@declare("api-fails", "error")
def api_fails() -> Says:
    """LiveKit's API (`/twirp`) is not there by the hub's name: server SDKs, `lk` and agents need it. The subject is
    `web`.

    **Why.** A proxy in front leads `/twirp` elsewhere, refuses POST, or drops the header `Authorization`.

    **What to do.** As with [page-fails](#page-fails).
    """
    return Says("applications do not reach LiveKit's API by the hub's name")


@declare("http-not-redirected", "warning", info="where nothing answers")
def http_not_redirected() -> Says:
    """Behind a proxy (`tls.mode: external`), plain HTTP at the hub's name does not lead
    to the same page by HTTPS. The subject is `web`.

    **Why.** The proxy serves the page without TLS, where browsers give neither camera nor microphone; or it serves
    another site there, or nothing, and whoever types the name without `https://` gets elsewhere. The detail says what
    answered.

    **What to do.** Have the proxy redirect: nginx `return 308 https://$host$request_uri;` in a server with `listen
    80;`, HAProxy `http-request redirect scheme https code 308 unless { ssl_fc }`, Traefik a redirection of its entry
    point. Caddy does it by itself. The files of `lkhub render proxy -o proxy` have it.
    """
    return Says(
        "plain HTTP at the hub's name does not lead to HTTPS", "whoever types the name without https:// gets elsewhere"
    )


@declare("client-address-lost", "warning")
def client_address_lost(client: str) -> Says:
    """The proxy in front (`tls.mode: external`) does not say where clients are. The subject is `web`.

    **Why.** By the header `X-Forwarded-For` a proxy says which client it speaks for. Without it all clients are at the
    proxy's own address for the hub, and share what one address may take: one of them can use it up for everybody, and
    logs say of nobody where they came from.

    **What to do.** nginx `proxy_set_header X-Forwarded-For $remote_addr;` in the location, HAProxy
    `http-request set-header X-Forwarded-For %[src]`. Caddy and Traefik say it unless they are told to drop the header.
    """
    return Says(
        "the proxy does not say where clients are",
        f"to the hub all of them are at {client}, so that what one address may take is shared by everybody: a single "
        "client can use it up, and the others are refused",
    )


@declare("address-not-told", "warning")
def address_not_told(path: str) -> Says:
    """A path works from here, and would not behind a NAT: media came from an address that clients are not told, and
    at the one that they are told nothing answered. The subject is the path, nearly always `udp`.

    **Why.** LiveKit sends packets to clients by itself, from the address that its machine really has. A client that
    nothing stands in front of hears them, finds the server that way, and the call goes through. A NAT or a firewall
    drops what nobody asked for, and most clients are behind one. `verify` takes such packets only after 0.8 seconds
    without an answer from the address that it was told. The detail has both addresses.

    **What to do.** Give clients an address where the server is. For another LiveKit that is `rtc.node_ip`, or
    `rtc.use_external_ip`, in its configuration; on a machine with several addresses also `rtc.ips.includes` with that
    one, or LiveKit may listen on another. For a hub:

    ```yaml
    reach: public
    domain: rtc.example.com
    media:
      advertise: 203.0.113.5
    ```

    In the server's own network it need not be a fault: many routers do not lead from inside to their outside address.
    Try it from another network.
    """
    return Says(
        f"a client behind a NAT or a firewall gets no media on the path {path} from here",
        "nothing answers at the address that clients are told; the server's own packets come from another one, and a "
        "NAT drops what nobody asked for",
    )


@declare("native-refuses", "warning", info="on a LAN and on this machine alone")
def native_refuses(at_home: bool) -> Says:
    """TURN over TLS works, and native applications can't use it. The
    subject is `turn-tls`.

    **Why.** libwebrtc, which the native SDKs are built on (Python, Rust, C++, Swift, Kotlin, Flutter, Unity, agents),
    checks TURN over TLS against 21 roots of its own, and knows servers by name alone, not by address. Let's Encrypt's
    is not among the roots, nor is the hub's own (`tls.mode: internal`), nor that of a tailnet's certificate. Browsers
    accept all of these. It matters where a network lets nothing but 443/tcp through: a native application then
    connects, and hears nobody. The detail says who issued the certificate.

    **What to do.** Where the hub has a name in the DNS and port 80 is open, take a certificate from ZeroSSL:

    ```yaml
    reach: public
    domain: rtc.example.com
    tls:
      issuer: zerossl
      email: ops@example.com
    ```

    Google's roots are among the 21 too: `issuer: google`, with [`tls.account`](reference/spec.md#tlsaccount). Otherwise
    leave native applications another way: `media.tcp`, or `turn.udp`. On a LAN, where those are open, there is nothing
    to do. [An office firewall](guides/office-firewall.md) says what works where.
    """
    when = (
        "here they get through over UDP; it matters only where something between a device and the hub lets nothing but "
        "443/tcp through, as some guest networks do"
        if at_home
        else "it matters on networks that let nothing but 443/tcp through"
    )
    return Says(
        "native applications can't use TURN over TLS here; browsers can",
        f"libwebrtc, which the native SDKs are built on, checks TURN over TLS against roots of its own; {when}",
    )
