"""Two nodes of a tailnet, and requests to the local API of their tailscaled, or of its stand-in."""

import os
import subprocess
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from socket import AF_UNIX, socket
from typing import NamedTuple

NAME = "hub.tail1234.ts.net"
"""The node a."""

ADDRESS = "100.64.0.1"

# Far longer than an order of Pebble's takes.
ASK_SECONDS = 60.0


class Answer(NamedTuple):
    """`headers` has their names in lower case."""

    status: int
    headers: dict[str, str]
    body: str


@dataclass(frozen=True)
class Tailnet:
    """`run` is the script that made it, in the folder `folder`."""

    run: Path
    folder: Path

    def script(self, *arguments: str) -> str:
        """What the script prints. Its daemons keep a pipe open for as long as they live, so it writes to a file."""
        said = self.folder.with_suffix(".said")
        with said.open("wb") as file:
            done = subprocess.run([self.run, *arguments], env=self._environ, stdout=file, stderr=file)
        assert done.returncode == 0, said.read_text()
        return said.read_text()

    def switch_on(self, node: str) -> None:
        """As after `tailscale down`. With any option, such as `--reset`, it would forget its control server."""
        self.script("in", node, "timeout", "60", "tailscale", "up")

    def prefix(self, node: str) -> list[str]:
        """What runs a command line on a node."""
        return ["env", f"W={self.folder}", str(self.run), "in", node]

    def socket(self, node: str) -> str:
        """Where tailscaled answers, as it is seen from outside of the node."""
        pid = (self.folder / f"{node}.pid").read_text().strip()
        return f"/proc/{pid}/root/run/tailscale/tailscaled.sock"

    @property
    def _environ(self) -> dict[str, str]:
        return {**os.environ, "W": str(self.folder)}


class _UnixConnection(HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("local-tailscaled.sock", timeout=ASK_SECONDS)
        self._path = path

    def connect(self) -> None:
        self.sock = socket(AF_UNIX)
        self.sock.settimeout(ASK_SECONDS)
        self.sock.connect(self._path)


def ask(path: str, where: str, method: str = "GET", **headers: str) -> Answer:
    """One request on the Unix socket `path`."""
    connection = _UnixConnection(path)
    try:
        connection.request(method, where, headers=headers)
        answer: HTTPResponse = connection.getresponse()
        found = {name.lower(): value for name, value in answer.getheaders()}
        return Answer(answer.status, found, answer.read().decode())
    finally:
        connection.close()
