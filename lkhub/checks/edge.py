"""Turns what the edge reports of its certificates into findings. Pure."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from lkhub.findings.catalogue.certificates import (
    certificate_expires,
    certificate_fails,
    certificate_pending,
    root_changed,
)
from lkhub.findings.finding import Finding, Fix, Ref
from lkhub.wire.engine import Certificate, EdgeStatus

# Caddy renews a certificate when a third of its lifetime is left: two days, for a certificate of six. If less time than
# this is left, something keeps Caddy from renewing it.
EXPIRES_SOON = timedelta(hours=36)

# Certificates of the hub's own authority are valid for hours only, and are renewed like the others.
SHORT_LIVED = timedelta(days=1)

# Why there is no certificate, and what to do, for each kind of failure in engine/internal/edge/failures.go. The kinds
# are the types of ACME errors (RFC 8555, section 6.7) and a few of the engine's own.
_KINDS: dict[str, tuple[str, tuple[Fix, ...]]] = {
    "rate-limited": (
        "the authority has given this name as many certificates, or seen as many failures, as it allows in a week",
        (
            Fix("wait until the time that the authority names; the hub tries again by itself"),
            Fix("or take another issuer: tls.issuer"),
        ),
    ),
    "dns": (
        "the authority could not look the hub's name up",
        (Fix("make an A record (AAAA for IPv6) of the name with this machine's public address"),),
    ),
    "connection": (
        "the authority could not connect to the address that the name resolves to",
        (
            Fix(
                "open the hub's ports in the firewall, and forward them to this machine in the router",
                "lkhub render firewall -o .",
            ),
            Fix("see whether the name's A record is this machine's public address"),
        ),
    ),
    "unauthorized": (
        "something else answered the authority at the hub's name: the name leads to another machine, or a proxy or "
        "CDN is in front",
        (
            Fix("let the name's A record be this machine's public address, not a CDN's"),
            Fix("behind a proxy, write tls.mode: external"),
        ),
    ),
    "caa": (
        "a CAA record of the domain allows other authorities only",
        (Fix("add a CAA record for the issuer, or take an authority that the record allows: tls.issuer"),),
    ),
    "tls": (
        "what answers at the hub's name on port 443 does not speak the hub's TLS",
        (Fix("see whether another program or a proxy answers there"),),
    ),
    "external-account-required": (
        "this issuer gives certificates to accounts that it knows already",
        (
            Fix("write tls.account, with the key that the issuer gives out for an account"),
            Fix("or take another issuer: tls.issuer"),
        ),
    ),
    "account": (
        "no account could be made with the issuer",
        (
            Fix("see whether tls.email is a real address"),
            Fix("take a new key for tls.account: issuers let each be used once, and some for a few days only"),
        ),
    ),
    "no-challenge": (
        "the issuer proves names in ways that this spec does not open: ZeroSSL needs port 80",
        (Fix("write tls.http: 80, or take another issuer: tls.issuer"),),
    ),
    "issuer-name": (
        "this machine could not look the issuer's name up: it has no network, or no name server",
        (Fix("see whether this machine can look names up"),),
    ),
    "issuer-unreachable": (
        "this machine does not reach the issuer: a firewall forbids connections to it, or there is no network",
        (Fix("let this machine open connections to port 443"),),
    ),
    "issuer-untrusted": (
        "the issuer's own certificate is not trusted here: something in between intercepts TLS, or the clock is wrong",
        (Fix("see whether this machine's clock is right", "date"),),
    ),
    "storage": ("the state directory can't be written", (Fix("see whether the disk is full", "df -h"),)),
    "tailscale": (
        "the local tailscaled gave no certificate for the name; its words are above",
        (Fix("see what it says", "tailscale status"), Fix("read its own log", "journalctl -u tailscaled")),
    ),
    "tailscale-no-daemon": (
        "tailscaled, which gets the certificate, is not running",
        (Fix("start it", "sudo systemctl start tailscaled"),),
    ),
    "tailscale-no-permission": (
        "tailscaled gives certificates only to root and to the users that its settings name",
        (Fix("name the hub's user to it", "sudo tailscale set --operator=USER"),),
    ),
    "tailscale-not-connected": (
        "Tailscale is not connected on this machine, and has no certificate for the name at hand",
        (Fix("connect it", "sudo tailscale up"),),
    ),
    "tailscale-https-off": (
        "certificates are not enabled in the tailnet, or its control server has none to give (headscale)",
        (
            Fix("in Tailscale's admin console, under DNS: enable MagicDNS, then HTTPS Certificates"),
            Fix("with headscale: write tls.mode: internal"),
        ),
    ),
    "tailscale-renamed": (
        "this machine was renamed in the tailnet, and the hub has its old name",
        (
            Fix("take the new name over (a domain in the spec has to be the new one)", "lkhub up"),
            Fix("or give the machine its old name back", "sudo tailscale set --hostname=NAME"),
        ),
    ),
    "tailscale-rate-limited": (
        "Let's Encrypt has given this name as many certificates, or seen as many failures, as it allows in a week",
        (
            Fix("wait until the time that Let's Encrypt names; the hub tries again by itself"),
            Fix("or give the machine another name", "sudo tailscale set --hostname=NAME"),
        ),
    ),
    "tailscale-slow": (
        "tailscaled is still getting the certificate, or hangs; while Let's Encrypt refuses for a while (a rate limit, "
        "an outage) it goes on trying, and says so in its own log alone",
        (
            Fix("see what it does", "journalctl -u tailscaled"),
            Fix("where it hangs", "sudo systemctl restart tailscaled"),
        ),
    ),
}

_UNKNOWN = ("the issuer refused; its words are above", (Fix("read the edge's log", "lkhub logs edge"),))


_ISSUING: dict[str, tuple[str, tuple[Fix, ...]]] = {
    "tailscale": (
        "tailscaled is getting it from Let's Encrypt, which takes up to a minute; where Let's Encrypt refuses for a "
        "while (a rate limit, an outage), tailscaled goes on trying and says so in its own log alone",
        (Fix("after more than a minute, read that log", "journalctl -u tailscaled"),),
    ),
    "": ("the issuer has not finished its answer yet", (Fix("after more than a minute, see why", "lkhub logs edge"),)),
}


def check_edge(status: EdgeStatus | None, now: datetime, tls: str = "") -> Iterator[Finding]:
    """Findings from what the edge reports on its control socket: names without a certificate, and certificates that
    are not renewed. `tls` is the spec's tls.mode."""
    if status is None:
        return
    for name in status.pending:
        cause, fix = _ISSUING.get(tls, _ISSUING[""])
        detail = "the hub asked for it, and neither the certificate nor a refusal has come"
        yield certificate_pending(name).about(name, detail=detail, cause=cause, fix=fix)
    certified = _list_certified(status)
    failed = {failure.name for failure in status.failures}
    for failure in status.failures:
        cause, fix = _KINDS.get(failure.kind, _UNKNOWN)
        name, detail = failure.name, f"{failure.issuer}: {failure.error}"
        yield certificate_fails(name, renewal=name in certified).about(name, detail=detail, cause=cause, fix=fix)
    for certificate in status.certificates:
        left = certificate.not_after - now
        if left > EXPIRES_SOON or (timedelta(0) < left < SHORT_LIVED and not _is_public(certificate)):
            continue
        yield certificate_expires(left).about(
            next(iter(certificate.names), "hub"),
            severity="error" if left <= timedelta(0) else "warning",
            detail=f"valid until {_show(certificate.not_after)}, issued by {certificate.issuer}",
            fix=(Fix("see why", "lkhub logs edge"),),
            depends_on=[Ref(certificate_fails.name, name) for name in certificate.names if name in failed],
        )


def _show(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")


def _list_certified(status: EdgeStatus) -> set[str]:
    return {name for certificate in status.certificates for name in certificate.names}


def find_uncertified(status: EdgeStatus | None, now: datetime, tls: str = "") -> tuple[Finding, ...]:
    """The findings about names that have no certificate at all, so that clients can't connect by these names."""
    certified = _list_certified(status) if status else set()
    codes = (certificate_pending.name, certificate_fails.name)
    return tuple(f for f in check_edge(status, now, tls) if f.code in codes and f.subject not in certified)


# For so long the finding about a new root is shown. By then people have seen it, or their devices have warned them.
ROOT_CHANGE_TOLD = timedelta(days=7)


def check_root(at: float, reason: str, now: datetime) -> Iterator[Finding]:
    """A finding where devices have to trust a new root of the hub. `at` is when the root changed (epoch seconds), and
    `reason` why: the rest of a sentence that begins with "as"."""
    if timedelta(seconds=now.timestamp() - at) > ROOT_CHANGE_TOLD:
        return
    since = datetime.fromtimestamp(at, now.tzinfo)
    yield root_changed().about(
        "root",
        detail=f"since {since:%Y-%m-%d %H:%M %Z}, as {reason}",
        fix=(
            Fix("trust it on each device; this shows how. The warning ends a week after the change", "lkhub trust"),
            Fix(
                "if this machine's address changed: give it a fixed one in the router's DHCP settings, so that the "
                "root stays"
            ),
            Fix("if its files were damaged: a backup has the root that devices trust", "lkhub restore FILE --force"),
        ),
    )


def _is_public(certificate: Certificate) -> bool:
    """Whether the certificate comes from a public issuer. The issuers of Caddy's own authorities have this in their
    name (caddypki/ca.go)."""
    return "ECC Intermediate" not in certificate.issuer
