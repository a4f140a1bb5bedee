"""A hub behind a real proxy, and clients on another machine."""

import contextlib
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.certificates import make
from tests.kit.hub import Hub, make_hub
from tests.kit.proxies import Place, Proxy, proxying
from tests.namespaces.lan import HUB, PORTS, Lan, on_client
from tests.waiting import wait_until

NAME, TURN_NAME = "rtc.example.com", "turn.example.com"

# How TURN over TLS is told from HTTPS: by its name or, with a proxy that forwards only HTTP, by its port.
BY_NAME = f"{{domain: {TURN_NAME}, listen: 5349, port: 443}}"
BY_PORT = "{listen: 5349}"
TURN = {"nginx": BY_NAME, "haproxy": BY_NAME, "traefik": BY_NAME, "caddy": BY_PORT}


@dataclass(frozen=True)
class ProxiedHub:
    """A hub with a proxy in front of it, and the client's machine with the authority that it trusts."""

    lan: Lan
    hub: Hub
    proxy: Proxy
    root: Path

    @property
    def client(self) -> Hub:
        client = on_client(self.hub, self.lan.client)
        client.environ["SSL_CERT_FILE"] = str(self.root)
        return client

    def answers(self) -> bool:
        with contextlib.suppress(AssertionError):
            return bool(self.curl("/api/health"))
        return False

    def curl(self, *arguments: str, url: str = f"https://{NAME}") -> str:
        """What `curl` prints on the client's machine."""
        path = arguments[-1] if arguments[-1].startswith("/") else ""
        options = arguments[:-1] if path else arguments
        argv = ["curl", "-sS", "--max-time", "20", "--cacert", str(self.root), *options, f"{url}{path}"]
        return self.lan.client.run(*argv)


def write_certificates(folder: Path, *names: str) -> None:
    """A root, and a certificate for these names with its key."""
    now = datetime.now(UTC)
    valid = (now - timedelta(hours=1), now + timedelta(days=1))
    root = make("root", ca=True, valid=valid)
    leaf = make("", root, names=names, valid=valid)
    for name, text in (("root.pem", root.pem), ("cert.pem", leaf.pem), ("key.pem", leaf.key_pem)):
        (folder / name).write_text(text)


@contextmanager
def make_proxied(
    lan: Lan, proxy: str, folder: Path, tls: str, start: Callable[[Hub], None] = lambda hub: hub.up("--no-verify")
) -> Iterator[ProxiedHub]:
    """A hub whose spec has `tls`, and a proxy with the certificates of `folder` in front of it."""
    with make_hub(lan.hub.prefix, PORTS) as hub:
        hub.environ["SSL_CERT_FILE"] = str(folder / "root.pem")
        hub.spec.write_text(
            f"reach: lan\ndomain: {NAME}\nmedia: {{advertise: {HUB}}}\nturn: {TURN[proxy]}\n"
            f"tls: {{mode: external, {tls}}}\n"
        )
        done = hub.run("render", "proxy", "--for", proxy, "-o", str(folder / "snippets"))
        assert done.returncode == 0, done.stderr
        (folder / "run").mkdir()
        place = Place(folder / "snippets", folder / "cert.pem", folder / "key.pem", folder / "run")
        with proxying(proxy, lan.hub, place) as running:
            start(hub)
            made = ProxiedHub(lan, hub, running, folder / "root.pem")
            # Traefik listens before it has read what to do there.
            wait_until(made.answers, f"{proxy} leads to the hub")
            yield made


_ASK_STUN = """
import json, os, socket, ssl, sys
name, port, root, header = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4].encode().decode("unicode_escape")
try:
    plain = socket.create_connection((name, port), 10)
    plain.sendall(header.encode())
    stream = ssl.create_default_context(cafile=root).wrap_socket(plain, server_hostname=name)
    stream.sendall(bytes.fromhex("00010000 2112a442") + os.urandom(12))
    head = stream.recv(2048)
    at = head.index(bytes.fromhex("00200008"))
    print(json.dumps({"mapped": ".".join(str(a ^ b) for a, b in zip(head[at + 8 : at + 12], head[4:8]))}))
except (OSError, ValueError):
    print(json.dumps({"refused": True}))
"""


def ask_stun(proxied: ProxiedHub, name: str, port: int, header: str = "") -> dict[str, Any]:
    """The client's address as the relay sees it, over TLS. `header` is sent before the handshake."""
    root, escaped = str(proxied.root), header.encode("unicode_escape").decode()
    answer = proxied.lan.client.run(sys.executable, "-c", _ASK_STUN, name, str(port), root, escaped)
    return json.loads(answer)  # type: ignore[no-any-return]
