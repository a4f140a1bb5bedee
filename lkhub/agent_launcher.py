"""Starts an agent of livekit-agents with its health check on 127.0.0.1 and at a given port.

`start` has no option for either, and by default the check is on port 8081 of every interface, so that one machine can't
run two workers (livekit-agents 1.8, worker.py). This file runs in the agent's own environment, with the port in
LKHUB_HEALTH_PORT: `python agent_launcher.py FILE start`. It imports nothing of lkhub.
"""

import contextlib
import importlib
import os
import runpy
import socket
import sys
from typing import Any


def place_health_check(server: Any, port: int) -> None:
    """Make every server of this class that is made from now on listen there, whatever its own arguments say."""
    make = server.__init__

    def make_here(self: Any, *args: Any, **options: Any) -> None:
        make(self, *args, **{**options, "host": "127.0.0.1", "port": port})

    server.__init__ = make_here


def find_free(port: int) -> int:
    """The port, or 0 where another program has it: 0 is any free port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if hasattr(socket, "SO_REUSEPORT"):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return 0
    return port


def share_port(site: Any, port: int) -> None:
    """Let a worker listen at this port beside the one that it takes the place of: both run until this one has
    registered, and only processes of the same user can share a port. `site` is aiohttp's TCPSite."""
    make = site.__init__

    def make_here(self: Any, runner: Any, host: Any = None, its: Any = None, *args: Any, **options: Any) -> None:
        shares = {"reuse_port": True} if its == port and port and hasattr(socket, "SO_REUSEPORT") else {}
        make(self, runner, host, its, *args, **{**shares, **options})

    site.__init__ = make_here


def main() -> None:
    """Run FILE as a program."""
    port = find_free(int(os.environ.pop("LKHUB_HEALTH_PORT", "0")))
    file = sys.argv[1]
    del sys.argv[0]
    sys.path[0] = os.path.dirname(os.path.abspath(file))
    with contextlib.suppress(ImportError):  # another kind of program
        agents = importlib.import_module("livekit.agents")
        # Before 1.3 the class was Worker.
        place_health_check(getattr(agents, "AgentServer", None) or agents.Worker, port)
        share_port(importlib.import_module("aiohttp.web").TCPSite, port)
    runpy.run_path(file, run_name="__main__")


if __name__ == "__main__":
    main()
