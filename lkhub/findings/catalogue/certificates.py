"""Codes of certificates: those that the edge gets, those that are given to it, the hub's own root."""

from datetime import timedelta

from lkhub.findings.declare import Says, declare


@declare("certificate-fails", "error")
def certificate_fails(name: str, renewal: bool) -> Says:
    """There is no certificate for a name of the hub, or no new one. The subject is the name.

    **Why.** The detail has the issuer and its words. A certificate that is there goes on being used until it expires,
    and the hub tries again by itself. Of several issuers (`tls.issuer: auto`) the words are the last one's.

    | kind | what happened | what to do |
    |---|---|---|
    | `dns` | the issuer could not look the name up | an A record (AAAA for IPv6) with this machine's public address |
    | `connection` | it could not connect to what the name resolves to | open 443 and 80 further out, or mend the A record |
    | `unauthorized` | something else answered there | take a CDN out of the way; behind a proxy, `tls.mode: external` |
    | `tls` | what answered on 443 does not speak the hub's TLS | see which program listens there |
    | `caa` | a CAA record allows other authorities only | add one for the issuer, or take the allowed one: `tls.issuer` |
    | `rate-limited` | too many certificates, or failures, for this name in a week | wait, or another issuer |
    | `no-challenge` | the issuer proves names in a way that the spec does not open; ZeroSSL needs port 80 | `tls.http: 80`, or another issuer |
    | `account` | no account could be made with the issuer | look at `tls.email`; a new key for `tls.account` |
    | `external-account-required` | the issuer gives certificates to accounts that it knows already | `tls.account`, or another issuer |
    | `issuer-name` | this machine could not look the issuer's name up | its name server, its network |
    | `issuer-unreachable` | this machine does not reach the issuer | let this machine open connections to port 443 |
    | `issuer-untrusted` | the issuer's own certificate is not trusted here | the clock; a device in between that intercepts TLS |
    | `tailscale` | the local tailscaled gave none; the detail has its words | [Tailscale](guides/tailscale.md#what-goes-wrong) |
    | `tailscale-no-daemon` | tailscaled is not running | `sudo systemctl start tailscaled` |
    | `tailscale-no-permission` | tailscaled gives the hub's user no certificates | `sudo tailscale set --operator=USER` |
    | `tailscale-not-connected` | Tailscale is stopped or logged out, and has no certificate at hand | `sudo tailscale up` |
    | `tailscale-https-off` | the tailnet gives out no certificates | HTTPS certificates in the admin console; with headscale, `tls.mode: internal` |
    | `tailscale-renamed` | the machine has another name in the tailnet now | `lkhub up` |
    | `tailscale-rate-limited` | Let's Encrypt issues no more certificates for this name for a while | wait, or give the machine another name |
    | `tailscale-slow` | tailscaled has not answered for two minutes; Let's Encrypt may refuse it for a while | `journalctl -u tailscaled` |
    | `storage` | the state directory can't be written | the disk |

    **What to do.** Follow the finding. To see what the issuer answered, and which ports have to be open:

    ```sh
    lkhub logs edge
    lkhub render firewall
    ```
    """  # noqa: E501
    return Says(f"there is no {'new ' if renewal else ''}certificate for {name}")


@declare("certificate-pending", "warning")
def certificate_pending(name: str) -> Says:
    """A name of the hub has no certificate yet, and nobody can connect by it until there is one. The subject is the
    name.

    **Why.** The hub asked for the certificate, and neither the certificate nor a refusal has come. The first one takes
    seconds, from Tailscale up to a minute. While Let's Encrypt refuses Tailscale for a while (a rate limit, an outage),
    tailscaled goes on trying without an answer to the hub; after two minutes this is
    [certificate-fails](#certificate-fails), kind `tailscale-slow`.

    **What to do.** Wait for a minute. After that read the log of the program that asks for it: tailscaled, or else the
    edge.

    ```sh
    journalctl -u tailscaled
    lkhub logs edge
    ```
    """
    return Says(f"there is no certificate for {name} yet, and nobody can connect until there is")


@declare("certificate-expires", "warning", error="once it has")
def certificate_expires(left: timedelta) -> Says:
    """A certificate of the hub ends within a day and a half and was not renewed. The subject is its name.

    **Why.** The hub renews a certificate when a third of its lifetime is left, so something has kept the hub from it
    ever since: [certificate-fails](#certificate-fails) says what. With `tls.mode: files` the files are the old ones.

    **What to do.** Mend what keeps the certificate from being renewed, or put the new files in the place of the old
    ones: the hub takes them over without a restart.

    ```sh
    lkhub logs edge
    ```
    """
    title = "has expired" if left <= timedelta(0) else f"expires in {left // timedelta(hours=1)} hours"
    return Says(
        f"the certificate {title}", "it was not renewed: the other findings say why, or its files are the old ones"
    )


@declare("root-changed", "warning")
def root_changed() -> Says:
    """The hub certifies itself (`tls.mode: internal`), and has another root than before: devices that don't trust the
    new root yet are kept out. The finding is shown for a week.

    **Why.** A root is good for the hub's own names and addresses only. The hub makes a new one when this machine's
    address in the LAN or `domain` in the spec changes, and a good year before the root ends. The detail says which. An
    earlier root that fits again is used again: where a machine moves between two networks, devices have to trust two
    roots, and no third one. It also makes a new one where the files of the root are damaged, as after a power cut.

    **What to do.** Let every device trust the new root. To keep it, give this machine a fixed address in the router's
    DHCP settings. A [backup](guides/backup.md) has the root that was damaged: restore it before devices trust the new
    one.

    ```sh
    lkhub trust
    ```
    """
    return Says(
        "the hub has another root, and devices that don't trust it yet are kept out",
        "a root is good for the hub's own names and addresses only, and a new one is made when they change, or where "
        "the root's files are damaged",
    )


@declare("certificate-not-taken", "error")
def certificate_not_taken() -> Says:
    """The files of `tls.cert` and `tls.key` were replaced, and the edge goes on with the certificate that it had.

    **Why.** The new files can't be used: the key belongs to another certificate, or a file is damaged or can't be read.
    Files that were replaced while lkhub did not run are read when it starts, and fail the same way.

    **What to do.** `lkhub up` checks the files and says what is wrong with them. Once they are right, the edge takes
    them over by itself within seconds:

    ```sh
    lkhub up
    ```
    """
    return Says(
        "the certificate's files were replaced, and the old one is still in use",
        "the new files can't be used: certificate and key don't belong together, or a file is damaged or can't be read",
    )
