"""Ports that a test can name before a process listens on them."""

import fcntl
import os
import random
import socket
import tempfile
from functools import cache
from pathlib import Path

# Linux gives 32768 to 60999 to every socket that asks for no port in particular. A port from that range that is free
# now may be taken before it is bound. Relays of tests use 20000 and above.
RANGE = range(10_000, 20_000)


def free_port() -> int:
    """A port that is free over TCP and UDP on 127.0.0.1, and that no other test gets while this process lives."""
    for port in random.sample(RANGE, len(RANGE)):
        if _reserve(port) and _is_free(port):
            return port
    raise RuntimeError("no port is free")


_mine: set[int] = set()


@cache
def _reservations() -> int:
    """A file whose byte N is locked by the process that was given port N; Go's tests lock the same one

    (`engine/internal/enginetest/ports.go`)."""
    path = Path(tempfile.gettempdir()) / f"lkhub-test-ports-{os.getuid()}"
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _reserve(port: int) -> bool:
    if port in _mine:  # a lock does not keep its own process out
        return False
    try:
        fcntl.lockf(_reservations(), fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
    except OSError:
        return False
    _mine.add(port)
    return True


def _is_free(port: int) -> bool:
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        with socket.socket(socket.AF_INET, kind) as probe:
            if kind == socket.SOCK_STREAM:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                return False
    return True
