"""Processes that tests start as the hub does."""

import subprocess
from collections.abc import Callable

from lkhub.host.processes import ProcessId, identify

Run = Callable[..., subprocess.Popen[bytes]]


def who(child: subprocess.Popen[bytes]) -> ProcessId:
    identity = identify(child.pid)
    assert identity is not None
    return identity
