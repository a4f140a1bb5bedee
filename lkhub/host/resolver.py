"""The addresses of names, as this machine's resolver tells them."""

import socket
from ipaddress import ip_address
from queue import Empty, Queue
from threading import Thread
from typing import Any

from lkhub.spec.address import Address

# A name server that has not answered by then will not answer.
RESOLVE_SECONDS = 5.0

# These errors mean that a name server has said that there is no address (getaddrinfo(3)); other errors say nothing
# about the name.
_NO_ADDRESS = (socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME))


def ask_resolver(name: str, seconds: float) -> tuple[Address, ...] | None:
    """The addresses of a DNS name, () where it has none; None where this machine's resolver did not answer in time."""
    answers: Queue[list[Any] | None] = Queue()

    def ask() -> None:
        try:
            answers.put(socket.getaddrinfo(name, None, type=socket.SOCK_DGRAM))
        except socket.gaierror as error:
            answers.put([] if error.errno in _NO_ADDRESS else None)
        except (OSError, UnicodeError):
            answers.put(None)

    # The resolver has no deadline that could be set. A hanging call is left behind, and does not delay the end of the
    # program.
    Thread(target=ask, daemon=True).start()
    try:
        found = answers.get(timeout=seconds)
    except Empty:
        return None
    if found is None:
        return None
    return tuple(dict.fromkeys(ip_address(str(entry[4][0]).partition("%")[0]) for entry in found))
