"""What this process tells the service manager that has started it: systemd's protocol, sd_notify(3).

Twenty lines of our own: the libraries for it on PyPI are without releases since 2017, or need a C compiler.
"""

import contextlib
import os
import socket

# A status is one line of `systemctl status`.
_MAX_STATUS = 500


def tell_manager(**fields: str | int) -> None:
    """Send fields, as `tell_manager(READY=1, STATUS="up")`, if a service manager listens. Never raises: a hub does not
    end because its service manager hears nothing."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return
    lines = (f"{name}={' '.join(str(value).split())[:_MAX_STATUS]}" for name, value in fields.items())
    target = f"\0{address[1:]}" if address.startswith("@") else address
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
        # A service manager that does not read its socket must not stop the supervisor.
        sender.setblocking(False)
        sender.sendto("\n".join(lines).encode(), target)


def is_managed() -> bool:
    """Whether a service manager has started this process, and waits to be told that it is ready."""
    return "NOTIFY_SOCKET" in os.environ


def find_watchdog() -> float | None:
    """After how many seconds of silence the service manager ends this process (sd_watchdog_enabled(3)); None: never."""
    if os.environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    try:
        seconds = int(os.environ.get("WATCHDOG_USEC", "")) / 1_000_000
    except ValueError:
        return None
    return seconds if seconds > 0 else None
