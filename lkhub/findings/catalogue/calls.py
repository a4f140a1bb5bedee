"""Codes of calls: the paths that are tried, the page of a join link, and the proxy in front of both."""

from lkhub.findings.declare import Says, declare


@declare("path-fails", "error")
def path_fails(paths: str) -> Says:
    """A call through one path did not get through. The subject is the path: `udp`, `tcp`, `turn-udp` or `turn-tls`.
    Paths that fail for the same cause are one finding: its title names them all, and its subject is the first.

    **Why.** A call can fail at the same stage for several reasons, and the finding says which one was seen: a
    certificate may have expired, or an unknown authority may have signed it; a port may refuse connections, or drop
    them; a refusal may come from the hub, or from a proxy. Where several causes fit what was seen, the finding says
    *not decided* and names them. Where the hub's own machine refused to send the answers, that is the cause, with the
    kernel's name for the error. [How far a call
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

    **Why.** The probe could not be run to its end: another deployment (`--url`) does not offer the path, or there was
    only one token, which proves everything but media. The detail says which.

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
    hub's own service gives. Where a proxy is in front (`tls.mode: external`), it may lead signalling to the hub and the
    rest elsewhere, ask for a login, or change what passes: then applications can call, and people can't. The finding
    says what answered.

    **What to do.** Have the proxy forward every request for the hub's name to the hub's upstream address, from `/` on:
    [behind a proxy](guides/behind-a-proxy.md).

    ```sh
    lkhub render proxy -o proxy
    ```
    """
    title = "join links do not open: the page is not there by the hub's name"
    return Says(f"{title}, nor is the API" if api_too else title)


@declare("api-fails", "error")
def api_fails() -> Says:
    """LiveKit's API (`/twirp`) is not there by the hub's name. Server SDKs, `lk` and agents need it. The subject is
    `web`.

    **Why.** A proxy in front leads `/twirp` elsewhere, refuses POST, or drops the header `Authorization`.

    **What to do.** As with [page-fails](#page-fails).
    """
    return Says("applications do not reach LiveKit's API by the hub's name")


@declare("http-not-redirected", "warning", info="where nothing answers")
def http_not_redirected() -> Says:
    """Behind a proxy (`tls.mode: external`), plain HTTP at the hub's name does not lead
    to the same page by HTTPS. The subject is `web`.

    **Why.** The proxy serves the page without TLS, and browsers give such a page neither camera nor microphone; or it
    serves another site there, or nothing, and people who type the name without `https://` do not get to the hub. The
    detail says what answered.

    **What to do.** Have the proxy redirect: nginx `return 308 https://$host$request_uri;` in a server with `listen
    80;`, HAProxy `http-request redirect scheme https code 308 unless { ssl_fc }`, Traefik a redirection of its entry
    point. Caddy does it by itself. The files of `lkhub render proxy -o proxy` have it.
    """
    return Says(
        "plain HTTP at the hub's name does not lead to HTTPS",
        "people who type the name without https:// do not get to the hub",
    )


@declare("client-address-lost", "warning")
def client_address_lost(client: str) -> Says:
    """The proxy in front (`tls.mode: external`) does not tell the hub the addresses of clients. The subject is `web`.

    **Why.** A proxy names the client of each request in the header `X-Forwarded-For`. Without this header all clients
    seem to come from the proxy's own address, and share what the hub allows to one address: a single client can use it
    up, and logs do not show where anyone came from.

    **What to do.** nginx `proxy_set_header X-Forwarded-For $remote_addr;` in the location, HAProxy
    `http-request set-header X-Forwarded-For %[src]`. Caddy and Traefik send the header unless they are told to drop it.
    """
    return Says(
        "the proxy does not tell the hub the addresses of clients",
        f"to the hub all of them are at {client}, and share what one address is allowed: a single client can use it "
        "up, and the others are refused",
    )


@declare("address-not-told", "warning")
def address_not_told(path: str) -> Says:
    """A path works from this machine, but would not work from behind a NAT: media came from an address that clients are
    not told, and nothing answered at the address that they are told. The subject is the path, nearly always `udp`.

    **Why.** LiveKit sends the first packets to clients by itself, from the address that its machine really has. A
    client without a NAT or a firewall in front of it receives them, learns the server's address from them, and the call
    goes through. A NAT or a firewall drops packets that the client did not ask for, and most clients are behind one.
    `verify` accepts such packets only after 0.8 seconds without an answer from the address that it was told. The detail
    has both addresses.

    **What to do.** Have clients told an address at which the server is reached. For another LiveKit that is
    `rtc.node_ip`, or `rtc.use_external_ip`, in its configuration; on a machine with several addresses also
    `rtc.ips.includes` with the same address, or LiveKit may listen on another one. For a hub:

    ```yaml
    reach: public
    domain: rtc.example.com
    media:
      advertise: 203.0.113.5
    ```

    In the server's own network it need not be a fault: many routers do not forward packets that a machine inside sends
    to the router's public address. Try it from another network.
    """
    return Says(
        f"a client behind a NAT or a firewall gets no media on the path {path} from here",
        "nothing answers at the address that clients are told; the server's own packets come from another one, and a "
        "NAT drops packets that the client did not ask for",
    )


@declare("native-refuses", "warning", info="on a LAN and on this machine alone")
def native_refuses(in_own_network: bool) -> Says:
    """TURN over TLS works, and native applications can't use it. The
    subject is `turn-tls`.

    **Why.** libwebrtc, which the native SDKs are built on (Python, Rust, C++, Swift, Kotlin, Flutter, Unity, agents),
    checks TURN over TLS against 21 roots of its own, and accepts certificates for names only, not for addresses. Let's
    Encrypt's root is not among the 21, nor is the hub's own (`tls.mode: internal`), nor that of a tailnet's
    certificate. Browsers accept all of these. It matters where a network lets nothing but 443/tcp through: a native
    application joins there, but no sound or picture gets through. The detail names the certificate's issuer.

    **What to do.** Where the hub has a name in the DNS and port 80 is open, take a certificate from ZeroSSL:

    ```yaml
    reach: public
    domain: rtc.example.com
    tls:
      issuer: zerossl
      email: ops@example.com
    ```

    Google's roots are among the 21 too: `issuer: google`, with [`tls.account`](reference/spec.md#tlsaccount). Otherwise
    leave native applications another path: `media.tcp`, or `turn.udp`. On a LAN, where those are open, there is nothing
    to do. [An office firewall](guides/office-firewall.md) says what works where.
    """
    when = (
        "here they get through over UDP; it matters only where something between a device and the hub lets nothing but "
        "443/tcp through, as some guest networks do"
        if in_own_network
        else "it matters on networks that let nothing but 443/tcp through"
    )
    return Says(
        "native applications can't use TURN over TLS here; browsers can",
        f"libwebrtc, which the native SDKs are built on, checks TURN over TLS against roots of its own; {when}",
    )
