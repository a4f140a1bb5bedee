"""Takes over a listening socket of another process, which keeps it too."""

import contextlib
import ctypes
import os
import socket

import psutil

# pidfd_getfd(2), Linux 5.6; the number is the same on all architectures. Python has no function for it.
_PIDFD_GETFD = 438


def take_listener(pid: int, address: str, port: int) -> socket.socket | None:
    """The socket with which the process listens at this address and port. None where it has none, or where this machine
    does not allow it: the processes must be of one user, and the kernel may restrict that further (Yama)."""
    try:
        found = [
            each.fd
            for each in psutil.Process(pid).net_connections("tcp")
            if each.status == psutil.CONN_LISTEN and each.laddr and tuple(each.laddr[:2]) == (address, port)
        ]
        pidfd = os.pidfd_open(pid)
    except (psutil.Error, OSError, AttributeError):
        return None
    try:
        for number in found:
            taken = ctypes.CDLL(None, use_errno=True).syscall(_PIDFD_GETFD, pidfd, number, 0)
            if taken >= 0:
                with contextlib.suppress(OSError):
                    return socket.socket(fileno=taken)
    finally:
        os.close(pidfd)
    return None
