"""Which certificate a port serves, and what answers there. The server there learns no name but the hub's, and no
token."""

import contextlib
import hashlib
import socket
import ssl
from collections.abc import Container
from dataclasses import dataclass

from lkhub.host.http import PLAIN, UNTRUSTED, httpx, read_body
from lkhub.plan.model import in_url
from lkhub.spec.address import Address


def serves_certificate(address: Address, port: int, name: str, leaves: Container[str], seconds: float) -> bool:
    """Whether a server answers there in time with one of the certificates `leaves` (SHA-256 of each, in hex)."""
    context = _any_certificate()
    try:
        with (
            socket.create_connection((str(address), port), seconds) as connection,
            context.wrap_socket(connection, server_hostname=name) as secured,
        ):
            served = secured.getpeercert(binary_form=True)
    except (OSError, ValueError):
        return False
    return served is not None and hashlib.sha256(served).hexdigest() in leaves


@dataclass(frozen=True)
class Answered:
    """What a server answered: the SHA-256 of its certificate in hex, and the body of the response, "" unless that was a
    success."""

    leaf: str
    body: str


def ask_over_tls(address: Address, port: int, name: str, path: str, seconds: float) -> Answered | None:
    """GET `https://name:port/path` from `address`; None where nothing there speaks TLS and HTTP in time."""
    host = f"{name}:{port}" if port != 443 else name
    try:
        with (
            httpx.Client(timeout=seconds, trust_env=False, verify=_any_certificate(), event_hooks=UNTRUSTED) as client,
            client.stream(
                "GET",
                f"https://{in_url(address)}:{port}{path}",
                headers={"Host": host, **PLAIN},
                extensions={"sni_hostname": name},
            ) as answer,
        ):
            leaf = answer.extensions["network_stream"].get_extra_info("ssl_object").getpeercert(True)
            start = b""
            if answer.status_code == 200:
                with contextlib.suppress(httpx.ReadError):  # it is no hub's
                    start = read_body(answer, _ANSWER_BYTES, seconds)
    except (httpx.HTTPError, OSError, ValueError):
        return None
    return Answered(hashlib.sha256(leaf or b"").hexdigest(), start.decode(errors="replace"))


_ANSWER_BYTES = 4096


def _any_certificate() -> ssl.SSLContext:
    """Accepts any certificate: the question is which certificate it is, not whether to trust it."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
