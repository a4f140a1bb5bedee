"""TURN servers started by hand: the hub's own, coturn, and the one in livekit-server. All relay on 127.0.0.1."""

import base64
import hashlib
import hmac
import string
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import psutil

from bench.edge import certificate_of, run_edge
from bench.process import run_process, wait_http, wait_listening
from bench.server import Files, run_server, stock_candidate
from tests.kit import coturn

PARTICIPANT = "PA_bench"
LIFE_SECONDS = 3600

# LiveKit's own encoding of its TURN credentials: github.com/jxskiss/base62.
_BASE62 = string.ascii_uppercase + string.ascii_lowercase + string.digits


@dataclass(frozen=True)
class Turn:
    """A running TURN server; `udp` and `tls` are its ports."""

    processes: Sequence[psutil.Process]
    udp: int
    tls: int
    username: str
    password: str


@contextmanager
def run_own(engine: str, files: Files, cpu: int) -> Iterator[Turn]:
    """The hub's relay and its edge, which relays over TLS, with the hub's own files."""
    control = files.folder / "relay.sock"
    command = [engine, "relay", "--config", str(files.rendered("relay.json")), "--control", str(control)]
    with run_process(command, files.folder / "relay.log", cpu) as relay, run_edge(engine, files, cpu) as edge:
        wait_http(control, relay)
        yield Turn([relay, edge], files.ports["turn"], files.ports["https"], *_rest_login(_secret(files)))


@contextmanager
def run_coturn(files: Files, cpu: int) -> Iterator[Turn]:
    """Debian's coturn with the edge's certificate. It checks users as the hub's relay does."""
    ports = files.ports["turn"], files.ports["https"]
    login = f"use-auth-secret\nstatic-auth-secret={_secret(files)}\nallow-loopback-peers"
    command = coturn.command("127.0.0.1", ports, files.folder, login, *certificate_of(files))
    with run_process(command, files.folder / "coturn.log", cpu) as process:
        for port in ports:
            wait_listening(port, process)
        yield Turn([process], *ports, *_rest_login(_secret(files)))


@contextmanager
def run_livekit(program: str, files: Files, cpu: int) -> Iterator[Turn]:
    """The TURN server within stock livekit-server, with the edge's certificate. It must be told that it may relay to
    this machine, and media has to leave its port to the bench's peer."""
    ports = files.ports["turn"], files.ports["https"]
    certificate, key = certificate_of(files)
    turn = {
        "enabled": True,
        "udp_port": ports[0],
        "tls_port": ports[1],
        "domain": "turn.example.com",  # livekit-server requires one
        "cert_file": str(certificate),
        "key_file": str(key),
        "bind_addresses": ["127.0.0.1"],
        "relay_range_start": 40000,
        "relay_range_end": 40999,
        "allow_restricted_peer_cidrs": ["127.0.0.1/32"],
    }
    rtc = {"udp_port": files.ports["web"], "turn_servers": []}
    candidate = stock_candidate(program, config={"rtc": rtc, "turn": turn})
    with run_server(candidate, files, cpu) as process:
        yield Turn([process], *ports, *_livekit_login(files.environ))


def _secret(files: Files) -> str:
    return (files.hub.state / "relay.secret").read_text().strip()


def _rest_login(secret: str) -> tuple[str, str]:
    """User and password of the TURN REST scheme."""
    username = f"{int(time.time()) + LIFE_SECONDS}:{PARTICIPANT}"
    mac = hmac.digest(secret.encode(), username.encode(), "sha1")
    return username, base64.b64encode(mac).decode()


def _livekit_login(environ: Mapping[str, str]) -> tuple[str, str]:
    """User and password as livekit-server makes them for its own TURN server (pkg/service/turn.go)."""
    user = f"{PARTICIPANT}|{int(time.time()) + LIFE_SECONDS}"
    mac = hashlib.sha256(f"{environ['LIVEKIT_API_SECRET']}|{user}".encode())
    return _base62(f"{environ['LIVEKIT_API_KEY']}|{user}".encode()), _base62(mac.digest())


def _base62(data: bytes) -> str:
    """Six bits for each letter, from the last bits on; five bits if no letter stands for the six."""
    value, bits, text = int.from_bytes(data, "big"), 8 * len(data), ""
    while bits > 0:
        digit, taken = value & 63, 6
        if digit & 30 == 30 and (bits > 6 or digit > 31):
            digit, taken = digit & 31, 5
        text += _BASE62[digit]
        value, bits = value >> taken, bits - taken
    return text
