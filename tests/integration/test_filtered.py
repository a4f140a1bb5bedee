"""A hub whose programs may not use some system calls of Linux."""

import sys
from pathlib import Path

import pytest

from tests.kit import filtered
from tests.kit.hub import make_hub

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="filters of system calls are Linux's")


def test_a_hub_without_sendmmsg_is_verified() -> None:
    with make_hub(prefix=[sys.executable, str(Path(filtered.__file__)), "sendmmsg", "EPERM"]) as hub:
        done = hub.run("up", "--detach")
        assert done.returncode == 0, done.stdout + done.stderr
        assert "verified udp" in done.stdout
        assert "sendmmsg" in hub.log("media"), "the log says why it costs more"
