"""The local tailscaled, which gets this node's certificate: asked over its own API, and judged before Caddy needs it.

Paths and answers are those of tailscale.com (ipn/localapi, ipn/ipnserver) and of github.com/tailscale/tscert, with
which Caddy fetches the certificate.
"""

import contextlib
import os
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from lkhub.findings.catalogue.tailnet import (
    tailscale_https_off,
    tailscale_no_daemon,
    tailscale_no_permission,
    tailscale_not_connected,
    tailscale_silent,
    tailscale_userspace,
    tailscale_wrong_name,
)
from lkhub.findings.declare import Statement
from lkhub.findings.finding import Finding, Fix
from lkhub.host.http import httpx

# A running daemon reports its status within a millisecond; on a busy machine that may take seconds.
ASK_SECONDS = 10.0

# The only Host that tailscaled answers to (localapi.go, validHost).
_HOST = "local-tailscaled.sock"

# A name without a dot: tailscaled refuses it before it asks any server (ipnlocal/cert.go, validLookingCertDomain), but
# only after it has checked whether we may have certificates at all (localapi/cert.go).
_NO_DOMAIN = "lkhub"

_LINUX_SOCKET = "/var/run/tailscale/tailscaled.sock"
_MAC_SOCKET = "/var/run/tailscaled.socket"

# Where the standalone Mac application says which port of loopback it answers on, and keeps the password for it.
_MAC_FOLDER = "/Library/Tailscale"

Failure = Literal["missing", "refused", "denied", "silent", "strange"]


@dataclass(frozen=True)
class TailscaleFacts:
    """What tailscaled answered. `failure` None: it answered; otherwise no other field is known.

    `where` is the socket or port that was asked. `state` is Tailscale's BackendState, `name` this node's name without a
    dot at the end, `domains` the names that it can get certificates for, `may_fetch` whether this user can (None: it
    did not say), `has_interface` whether this machine has an interface in the tailnet, which is missing with userspace
    networking.
    """

    where: str
    failure: Failure | None = None
    state: str = ""
    name: str = ""
    domains: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
    may_fetch: bool | None = None
    has_interface: bool = True


@dataclass(frozen=True)
class Daemon:
    """Where tailscaled answers: a Unix socket, or a port of loopback with a password."""

    where: str
    port: int = 0
    password: str = field(default="", repr=False)


def ask_tailscale(environ: Mapping[str, str] = os.environ) -> TailscaleFacts:
    """Ask the tailscaled of this machine. Never raises: a failure is part of the result."""
    daemon = find_daemon(environ)
    if failure := knock(daemon):
        return TailscaleFacts(daemon.where, failure)
    try:
        with connect(daemon) as client:
            answer = client.get("/localapi/v0/status", params={"peers": "false"})
            if answer.status_code in (401, 403):
                return TailscaleFacts(daemon.where, "denied")
            facts = _read_status(daemon.where, answer.raise_for_status().json())
            permission = client.get(f"/localapi/v0/cert/{_NO_DOMAIN}").status_code
            return replace(facts, may_fetch={403: False, 500: True}.get(permission))
    except httpx.TimeoutException:
        return TailscaleFacts(daemon.where, "silent")
    except (httpx.HTTPError, ValueError, LookupError, TypeError, AttributeError):
        return TailscaleFacts(daemon.where, "strange")


def find_daemon(environ: Mapping[str, str], platform: str = sys.platform, mac_folder: str = _MAC_FOLDER) -> Daemon:
    """Where Caddy's tscert would ask too: $TS_SOCKET, or the platform's place."""
    if named := environ.get("TS_SOCKET"):
        return Daemon(named)
    if platform != "darwin":
        return Daemon(_LINUX_SOCKET)
    with contextlib.suppress(OSError, ValueError):
        port = int(os.readlink(f"{mac_folder}/ipnport"))
        password = Path(mac_folder, f"sameuserproof-{port}").read_text().strip()
        return Daemon(f"localhost:{port}", port, password)
    return Daemon(_MAC_SOCKET)


def connect(daemon: Daemon) -> httpx.Client:
    """Plain HTTP, past every proxy (as `lkhub.host.http`, for code that does not wait for anything else)."""
    url = f"http://127.0.0.1:{daemon.port}" if daemon.port else f"http://{_HOST}"
    return httpx.Client(
        transport=httpx.HTTPTransport(uds=None if daemon.port else daemon.where, verify=False),
        base_url=url,
        auth=("", daemon.password) if daemon.port else None,
        timeout=ASK_SECONDS,
        trust_env=False,
        headers={"host": _HOST},
    )


def knock(daemon: Daemon) -> Failure | None:
    """Why no daemon answers there. httpx would say less, and would leave its socket open (httpcore,
    _backends/sync.py)."""
    family = socket.AF_INET if daemon.port else socket.AF_UNIX
    with socket.socket(family) as visitor:
        visitor.settimeout(ASK_SECONDS)
        try:
            visitor.connect(("127.0.0.1", daemon.port) if daemon.port else daemon.where)
        except ConnectionRefusedError:
            return "refused"
        except PermissionError:
            return "denied"
        except (TimeoutError, BlockingIOError):
            return "silent"
        except OSError:
            return "missing"
    return None


def _read_status(where: str, status: Mapping[str, Any]) -> TailscaleFacts:  # Tailscale's own JSON
    """ipnstate.Status; missing values are null in it."""
    return TailscaleFacts(
        where=where,
        state=str(status["BackendState"]),
        name=str((status.get("Self") or {}).get("DNSName") or "").rstrip("."),
        domains=tuple(map(str, status.get("CertDomains") or ())),
        addresses=tuple(map(str, status.get("TailscaleIPs") or ())),
        has_interface=status.get("TUN") is not False,
    )


_NOT_RUNNING = {
    "NeedsLogin": ("is not logged in", "sudo tailscale up"),
    "NeedsMachineAuth": ("waits for an admin of the tailnet", "approve it under Machines in the admin console"),
    "Stopped": ("is switched off", "sudo tailscale up"),
    "InUseOtherUser": ("is used by another user of this machine", "let that user log out of Tailscale"),
    "Starting": ("is still connecting", "see what it waits for: tailscale status"),
    "NoState": ("is still starting", "see what it waits for: tailscale status"),
}


def judge_tailscale(facts: TailscaleFacts, domain: str | None, user: str) -> tuple[Finding, ...]:
    """What prevents a certificate for a hub named `domain` (None: by this node's name) that `user` runs. Pure."""
    if facts.failure:
        return (_explain_failure(facts, user),)
    if facts.state != "Running":
        what, hint = _NOT_RUNNING.get(facts.state, (f"is {facts.state}", "see why: tailscale status"))
        return (_find(tailscale_not_connected(f"Tailscale {what} on this machine"), hint),)
    problems = []
    if not facts.has_interface:
        message = (
            "Tailscale runs without an interface here (userspace networking), so no client can reach media through it"
        )
        hint = "start tailscaled without --tun=userspace-networking; it needs /dev/net/tun"
        problems.append(_find(tailscale_userspace(message), hint))
    if not facts.domains:
        problems.append(_explain_https_off(facts))
    elif domain is None and facts.name not in facts.domains:
        message = f"this node is {facts.name}, and Tailscale gives out certificates only for {', '.join(facts.domains)}"
        hint = "if you have just renamed it, try again; otherwise: sudo tailscale set --hostname=NAME"
        problems.append(_find(tailscale_wrong_name(message), hint))
    elif domain is not None and domain.lower().rstrip(".") not in facts.domains:
        message = f"{domain} is not this node: Tailscale has certificates for {', '.join(facts.domains)}"
        hint = f"write domain: {facts.domains[0]}, or rename the node: tailscale set --hostname=NAME"
        problems.append(_find(tailscale_wrong_name(message), hint))
    if facts.may_fetch is False:
        problems.append(_explain_permission(f"tailscaled gives {user} no certificates", user))
    return tuple(problems)


def _find(statement: Statement, hint: str) -> Finding:
    return statement.about("tls.mode", fix=(Fix(hint),))


def _explain_https_off(facts: TailscaleFacts) -> Finding:
    """Tailscale's own tailnets are below ts.net; other tailnets have a control server of their own."""
    if facts.name.endswith(".ts.net"):
        message = "this tailnet gives out no certificates: HTTPS is not enabled in it"
        hint = "in the admin console, under DNS: enable MagicDNS, then HTTPS Certificates"
    else:
        name = facts.name or "its name"
        message = f"this tailnet gives out no certificates: {name} belongs to another control server, such as headscale"
        hint = "write tls.mode: internal, or tls.mode: files with a certificate of your own; keep media.interfaces"
    return _find(tailscale_https_off(message), hint)


def _explain_failure(facts: TailscaleFacts, user: str) -> Finding:
    match facts.failure:
        case "denied":
            return _explain_permission(f"{user} may not talk to tailscaled at {facts.where}", user)
        case "silent":
            message = f"tailscaled does not answer at {facts.where}"
            return _find(tailscale_silent(message), _start(facts.where, "restart"))
        case "strange":
            message = f"what answers at {facts.where} is not tailscaled"
            return _find(tailscale_silent(message), "unset TS_SOCKET, or update Tailscale")
        case "refused":
            message = f"tailscaled is not running: nothing answers at {facts.where}"
            return _find(tailscale_no_daemon(message), _start(facts.where))
    message = f"there is no tailscaled here: {facts.where} does not exist"
    hint = f"{_start(facts.where)}; or install Tailscale, then: sudo tailscale up"
    return _find(tailscale_no_daemon(message), hint)


def _start(where: str, how: str = "start") -> str:
    on_mac = where == _MAC_SOCKET or where.startswith("localhost:")
    return f"{how} the Tailscale application" if on_mac else f"{how} it: sudo systemctl {how} tailscaled"


def _explain_permission(message: str, user: str) -> Finding:
    hint = (
        f"sudo tailscale set --operator={user}; or, for certificates alone, TS_PERMIT_CERT_UID={user} in "
        "/etc/default/tailscaled and sudo systemctl restart tailscaled; or run lkhub as root"
    )
    return _find(tailscale_no_permission(message), hint)
