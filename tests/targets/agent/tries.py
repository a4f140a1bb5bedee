"""What a hostile agent tries from inside: a program of the standard library alone, run as an agent of a hub.

It prints one line of JSON: what it has got, what it was refused and how, and which variables it has. Its arguments are
the files of the hub that it tries to read or to enter.
"""

import ctypes
import errno
import glob
import json
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path


def read(path: str) -> str:
    """How it went: the name of the errno; "" where something was read."""
    try:
        # A folder is entered, and a socket can't be opened.
        handle = os.open(path, os.O_RDONLY)
        os.close(handle)
        if os.path.isdir(path):
            os.listdir(path)
    except OSError as error:
        return errno.errorcode[error.errno or 0]
    return ""


def connect(path: str) -> str:
    """As `read`."""
    with socket.socket(socket.AF_UNIX) as tried:
        try:
            tried.connect(path)
        except OSError as error:
            return errno.errorcode[error.errno or 0]
    return ""


def list_others() -> list[str]:
    """The environments of processes of other users that can be read, or that can be traced."""
    libc = ctypes.CDLL(None, use_errno=True)
    got = []
    for folder in glob.glob("/proc/[0-9]*"):
        try:
            if os.stat(folder).st_uid == os.geteuid():
                continue
            if libc.ptrace(16, int(folder[6:]), 0, 0) == 0:  # PTRACE_ATTACH
                got.append(f"{folder} traced")
            if Path(f"{folder}/environ").read_bytes():
                got.append(f"{folder}/environ")
        except OSError:
            continue
    return got


def gains_rights() -> bool:
    attempts: list[Callable[[], object]] = [lambda: os.setuid(0), lambda: os.chown("/etc/passwd", 0, 0)]
    # In a container of its own it is the agent's own, which takes this as a request for another worker.
    if not os.path.exists("/proc/1") or os.stat("/proc/1").st_uid != os.geteuid():
        attempts.append(lambda: os.kill(1, signal.SIGHUP))
    for attempt in attempts:
        try:
            attempt()
        except OSError:
            continue
        return True
    return False


def list_written(folders: list[str]) -> list[str]:
    got = []
    for folder in folders:
        try:
            Path(f"{folder}/written-by-an-agent").touch()
        except OSError:
            continue
        got.append(folder)
    return got


told = {
    "read": {path: read(path) for path in sys.argv[1:]},
    "reached": {path: connect(path) for path in sys.argv[1:] if path.endswith(".sock")},
    "others": list_others(),
    "rights": gains_rights(),
    "written": list_written(["/", "/etc", "/usr", "/var/lib", "/run", "/run/lkhub-agent", "/opt/lkhub"]),
    "home": list_written([os.environ["HOME"]]),
    "uid": os.geteuid(),
    "variables": dict(os.environ),
}
print("TRIED", json.dumps(told), flush=True)

# A worker that is told to end finishes its calls first.
ends: list[float] = []
signal.signal(signal.SIGTERM, lambda *_: ends.append(time.monotonic() + float(os.environ.get("CALL_SECONDS", "0"))))
while not ends or time.monotonic() < ends[0]:
    time.sleep(0.1)
print("ENDED", os.environ["LIVEKIT_API_KEY"], flush=True)
