"""An HTTP proxy as offices use it: it opens connections for CONNECT, but only to the names on its list, and logs every
request.

The process is `python -m tests.kit.http_proxy ADDRESS PORT NAME…`; each line of its output is a request's first line.
"""

import http.server
import select
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.kit.netns import Namespace
from tests.waiting import wait_until


@contextmanager
def http_proxy(machine: Namespace, address: str, port: int, log: Path, *names: str) -> Iterator[None]:
    """The proxy on a machine; its requests are in `log`, after a line `ready`."""
    argv = [*machine.prefix, sys.executable, "-m", "tests.kit.http_proxy", address, str(port), *names]
    with log.open("w") as output, subprocess.Popen(argv, stdout=output, stderr=subprocess.STDOUT) as process:
        try:
            wait_until(lambda: "ready\n" in log.read_text() or process.poll() is not None, "the proxy listens")
            assert process.poll() is None, log.read_text()
            yield
        finally:
            process.terminate()


class _Proxy(http.server.BaseHTTPRequestHandler):
    names: frozenset[str] = frozenset()

    def do_CONNECT(self) -> None:
        name, _, port = self.path.rpartition(":")
        if name not in self.names:
            self.send_error(403)
            return
        with socket.create_connection((name, int(port)), 10) as far:
            self.send_response(200)
            self.end_headers()
            _carry(self.connection, far)

    def do_GET(self) -> None:
        self.send_error(403)

    do_POST = do_HEAD = do_GET  # noqa: N815

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        print(self.requestline, code, flush=True)


def _carry(near: socket.socket, far: socket.socket) -> None:
    """Forward in both directions, until one of them ends."""
    while True:
        ready, _, _ = select.select([near, far], [], [])
        for end in ready:
            data = end.recv(65536)
            if not data:
                return
            (far if end is near else near).sendall(data)


if __name__ == "__main__":
    _Proxy.names = frozenset(sys.argv[3:])
    with http.server.ThreadingHTTPServer((sys.argv[1], int(sys.argv[2])), _Proxy) as server:
        print("ready", flush=True)
        server.serve_forever()
