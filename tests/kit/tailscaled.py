"""A stand-in for tailscaled: the part of its local API on a Unix socket that certificates need. Its answers are those
that tailscaled 1.83 gave to the same requests, on a tailnet of headscale and on one with certificates. It checks in the
same order: which user sends the request, what this user may do, then whether the name can have a certificate. Issuing
takes `issuing` seconds, and ends with the request that started it. While an authority temporarily refuses (429, 5xx),
1.83 does not answer and keeps trying while the request is open, which is a long `issuing`; 1.104 answers 429.
"""

import hashlib
import json
import os
import select
import socket
import socketserver
import struct
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
    """Its state and permissions. `asked` are the paths of all requests, `pairs` the certificate chains that it issues,
    by name. `operators` are the uids that get certificates besides root; None: every user does. `tun`: it has an
    interface; without one it has userspace networking. `refusal` is its answer for a name that could have a
    certificate. `serves` is its ipn.ServeConfig."""

    state: str = "Running"
    name: str = "hub.tail1234.ts.net"
    domains: tuple[str, ...] | None = ("hub.tail1234.ts.net",)
    addresses: tuple[str, ...] = ("100.64.0.7", "fd7a:115c:a1e0::7")
    permit_read: bool = True
    permit_cert: bool = True
    operators: set[int] | None = None
    tun: bool = True
    refusal: tuple[int, str] | None = None
    issuing: float = 0.0
    serves: dict[str, Any] | None = None
    pairs: dict[str, tuple[Made, ...]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    issued: list[str] = field(default_factory=list)

    def status(self) -> dict[str, Any]:
        """ipnstate.Status without peers."""
        logged_in = self.state not in ("NeedsLogin", "NoState")
        addresses = list(self.addresses) if logged_in else None
        suffix = self.name.partition(".")[2] if logged_in else ""
        tailnet = {"Name": "ann@example.com", "MagicDNSSuffix": suffix, "MagicDNSEnabled": True}
        return {
            "Version": VERSION,
            "TUN": self.tun,
            "BackendState": self.state,
            **({"HaveNodeKey": True} if logged_in else {}),
            "AuthURL": "",
            "TailscaleIPs": addresses,
            "Self": {
                "ID": "n1234CNTRL" if logged_in else "",
                "PublicKey": "nodekey:0000000000000000000000000000000000000000000000000000000000000000",
                "HostName": self.name.partition(".")[0],
                "DNSName": f"{self.name}." if logged_in else "",
                "OS": "linux",
                "UserID": 1,
                "TailscaleIPs": addresses,
                "AllowedIPs": [f"{address}/{128 if ':' in address else 32}" for address in addresses or ()],
                "Relay": "",
                "Online": self.state == "Running",
            },
            "Health": [] if self.state == "Running" else ["Tailscale is stopped."],
            "MagicDNSSuffix": suffix,
            "CurrentTailnet": tailnet if logged_in else None,
            "CertDomains": list(self.domains) if self.domains and logged_in else None,
            "Peer": None,
            "User": None,
            "ClientVersion": None,
        }


VERSION = "1.83.0-t1234567-g89abcde"

_NO_SNIFFING = {"X-Content-Type-Options": "nosniff"}

# The headers of every answer of the local API, except those to requests that are refused first.
_HEADERS = {
    **_NO_SNIFFING,
    "Tailscale-Version": VERSION,
    "Tailscale-Cap": "113",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; script-src 'none'; "
    "script-src-elem 'none'; script-src-attr 'none'",
    "X-Frame-Options": "DENY",
}

_PLAIN = "text/plain; charset=utf-8"

SERVE_CONFIG = "/localapi/v0/serve-config"


@contextmanager
def run_tailscaled(path: str, daemon: Tailscaled) -> Iterator[None]:
    """Answer on the Unix socket `path` until the context ends."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def address_string(self) -> str:
            return "unix"

        def log_message(self, format: str, *arguments: object) -> None:
            """Log nothing: requests are in `daemon.asked`."""

        def do_GET(self) -> None:
            daemon.asked.append(self.path)
            where = urlsplit(self.path).path
            is_page = where in ("/", "/server-status")
            foreign = self._is_foreign() and not is_page
            answer = (403, _PLAIN, "invalid localapi request\n") if foreign else self._answer(where)
            if answer is None:
                return  # the client has gone
            status, kind, text = answer
            body = text.encode()
            self.send_response_only(status)
            headers = {} if is_page else _NO_SNIFFING if foreign else _HEADERS
            if where == SERVE_CONFIG and status == 200:
                headers = {**headers, "Etag": hashlib.sha256(body).hexdigest()}
            for name, value in {**headers, "Content-Type": kind}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET  # noqa: N815

        def _is_foreign(self) -> bool:
            elsewhere = self.headers.get("Origin") or self.headers.get("Referer")
            return bool(elsewhere) or self.headers.get("Host") not in ("", "local-tailscaled.sock")

        def _answer(self, where: str) -> tuple[int, str, str] | None:
            if where in ("/", "/server-status"):
                return 200, "text/html; charset=utf-8", "<html><title>Tailscale</title></html>\n"
            if where == "/localapi/v0/status":
                if not daemon.permit_read:
                    return 403, _PLAIN, "status access denied\n"
                return 200, "application/json", json.dumps(daemon.status(), indent="\t")
            if where == SERVE_CONFIG:
                if not daemon.permit_read:
                    return 403, _PLAIN, "serve config denied\n"
                return 200, "application/json", json.dumps(daemon.serves, separators=(",", ":"))
            if where.startswith("/localapi/v0/cert/"):
                return self._certify(where.removeprefix("/localapi/v0/cert/"))
            return 404, _PLAIN, "404 page not found\n"

        def _is_operator(self) -> bool:
            if daemon.operators is None:
                return True
            _, uid, _ = struct.unpack("3i", self.connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
            return uid == 0 or uid in daemon.operators

        def _certify(self, name: str) -> tuple[int, str, str] | None:
            if not daemon.permit_cert or not self._is_operator():
                return 403, _PLAIN, "cert access denied\n"
            kind = parse_qs(urlsplit(self.path).query).get("type", ["cert"])[0]
            if kind not in ("cert", "crt", "key", "pair"):
                return 400, _PLAIN, 'invalid type; want "cert" (default), "key", or "pair"\n'
            if "." not in name or ".." in name or any(c in name for c in ":/\\\0"):
                return 500, _PLAIN, "invalid domain\n"
            if daemon.refusal:
                code, words = daemon.refusal
                return code, _PLAIN, f"{words}\n"
            if not daemon.domains:
                return 500, _PLAIN, "your Tailscale account does not support getting TLS certs\n"
            if name not in daemon.domains:
                names = " ".join(f'"{domain}"' for domain in daemon.domains)
                return 500, _PLAIN, f'invalid domain "{name}"; must be one of [{names}]\n'
            if not self._issue(name):
                return None
            chain = daemon.pairs[name]
            certificates, key = "".join(made.pem for made in chain), chain[0].key_pem
            texts = {"cert": certificates, "crt": certificates, "key": key, "pair": key + certificates}
            return 200, "text/plain", texts[kind]

        def _issue(self, name: str) -> bool:
            """Wait as for an authority, once for each name; False if the client went away meanwhile."""
            if name not in daemon.issued:
                gone, _, _ = select.select([self.connection], [], [], daemon.issuing)
                if gone:
                    return False
                daemon.issued.append(name)
            return True

    class Server(socketserver.ThreadingUnixStreamServer):
        daemon_threads = True

    with Server(path, Handler) as server:
        os.chmod(path, 0o666)  # every user may ask
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()
