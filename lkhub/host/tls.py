"""Whose certificate a port serves. Nothing else is said to it: no name but the hub's, no request, no token."""

import hashlib
import socket
import ssl
from collections.abc import Container

from lkhub.spec.types import Address


def serves_certificate(address: Address, port: int, name: str, leaves: Container[str], seconds: float) -> bool:
    """Whether what answers there in time serves one of the certificates `leaves` (SHA-256 of each, in hex)."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # whose it is is asked, and not whether to trust it
    try:
        with (
            socket.create_connection((str(address), port), seconds) as connection,
            context.wrap_socket(connection, server_hostname=name) as secured,
        ):
            served = secured.getpeercert(binary_form=True)
    except (OSError, ValueError):
        return False
    return served is not None and hashlib.sha256(served).hexdigest() in leaves
