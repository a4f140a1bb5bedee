"""A stand-in for tailscaled: its local API on a Unix socket, as far as a certificate needs it.

It behaves as ipn/localapi/localapi.go (ServeHTTP), ipn/localapi/cert.go (serveCert) and ipn/ipnlocal/cert.go do, in
their order: whose request it is, what this user may do, then whether the name can have a certificate.
"""

import json
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.certificates import Made


@dataclass
class Tailscaled:
    """What it says, and whom it allows what. `asked` are the paths of all requests, `pairs` the certificate chains
    that it gives out, by name."""

    state: str = "Running"
    name: str = "hub.tail1234.ts.net"
    domains: tuple[str, ...] | None = ("hub.tail1234.ts.net",)
    addresses: tuple[str, ...] = ("100.64.0.7", "fd7a:115c:a1e0::7")
    permit_read: bool = True
    permit_cert: bool = True
    pairs: dict[str, tuple[Made, ...]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def status(self) -> dict[str, Any]:
        """ipnstate.Status without peers."""
        logged_in = self.state not in ("NeedsLogin", "NoState")
        return {
            "Version": "1.90.6-t1234567-g89abcde",
            "TUN": True,
            "BackendState": self.state,
            "HaveNodeKey": logged_in,
            "AuthURL": "" if logged_in else "https://login.tailscale.test/a/1234",
            "TailscaleIPs": list(self.addresses) if logged_in else None,
            "Self": {
                "ID": "n1234CNTRL",
                "HostName": self.name.partition(".")[0],
                "DNSName": f"{self.name}." if logged_in else "",
                "OS": "linux",
                "TailscaleIPs": list(self.addresses) if logged_in else None,
                "Online": self.state == "Running",
            },
            "Health": [],
            "MagicDNSSuffix": self.name.partition(".")[2] if logged_in else "",
            "CurrentTailnet": {"Name": "ann@example.com", "MagicDNSEnabled": True} if logged_in else None,
            "CertDomains": None if self.domains is None else list(self.domains),
            "Peer": None,
            "User": None,
            "ClientVersion": None,
        }


@contextmanager
def run_tailscaled(path: str, daemon: Tailscaled) -> Iterator[None]:
    """Answer on the Unix socket `path` until the context ends."""

    class Handler(BaseHTTPRequestHandler):
        def address_string(self) -> str:
            return "unix"

        def log_message(self, format: str, *arguments: object) -> None:
            """Nothing: requests are in `daemon.asked`."""

        def do_GET(self) -> None:
            daemon.asked.append(self.path)
            status, kind, text = self._answer(urlsplit(self.path).path)
            body = text.encode()
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Tailscale-Version", "1.90.6-t1234567-g89abcde")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def _answer(self, where: str) -> tuple[int, str, str]:
            plain = "text/plain; charset=utf-8"
            foreign = self.headers.get("Origin") or self.headers.get("Referer")
            if foreign or self.headers.get("Host") not in ("", "local-tailscaled.sock"):
                return 403, plain, "invalid localapi request\n"
            if where == "/localapi/v0/status":
                if not daemon.permit_read:
                    return 403, plain, "status access denied\n"
                return 200, "application/json", json.dumps(daemon.status(), indent="\t")
            if where.startswith("/localapi/v0/cert/"):
                return self._certify(where.removeprefix("/localapi/v0/cert/"))
            return 404, plain, "404 page not found\n"

        def _certify(self, name: str) -> tuple[int, str, str]:
            plain = "text/plain; charset=utf-8"
            if not daemon.permit_cert:
                return 403, plain, "cert access denied\n"
            if "." not in name or ".." in name or any(c in name for c in ":/\\\0"):
                return 500, plain, "invalid domain\n"
            if not daemon.domains:
                return 500, plain, "your Tailscale account does not support getting TLS certs\n"
            if name not in daemon.domains:
                return 500, plain, f'invalid domain "{name}"; must be one of {list(daemon.domains)}\n'
            chain = daemon.pairs[name]
            certificates, key = "".join(made.pem for made in chain), chain[0].key_pem
            kind = parse_qs(urlsplit(self.path).query).get("type", ["cert"])[0]
            return 200, "text/plain", {"cert": certificates, "key": key, "pair": key + certificates}[kind]

    class Server(socketserver.ThreadingUnixStreamServer):
        daemon_threads = True

    with Server(path, Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()
