"""A client that joins without media and takes as many TURN allocations as it can: `python -m tests.kit.flood`."""

import asyncio
import hashlib
import hmac
import json
import os
import socket
import struct
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from livekit.protocol.rtc import SignalResponse

# STUN and TURN, RFC 8489 and RFC 8656.
COOKIE = 0x2112A442
ALLOCATE = 0x003
USERNAME, INTEGRITY, ERROR, REALM, NONCE, TRANSPORT = 0x006, 0x008, 0x009, 0x014, 0x015, 0x019
UDP = b"\x11\0\0\0"

ANSWER_SECONDS = 20.0

# The allocations of an ordinary client at one TURN URL: two peer connections, three network interfaces.
USUAL = 6


@dataclass(frozen=True)
class Credential:
    """The TURN credentials that LiveKit gives a participant."""

    username: str
    password: str


@dataclass
class Guest:
    """One join, with signalling only."""

    session: aiohttp.ClientSession
    connection: aiohttp.ClientWebSocketResponse
    credential: Credential

    async def leave(self) -> None:
        await self.connection.close()
        await self.session.close()


async def join(url: str, token: str) -> Guest:
    """Join with a token. The connection is kept until the guest leaves, or the server ends it."""
    session = aiohttp.ClientSession()
    query = {"access_token": token, "protocol": "15", "auto_subscribe": "0", "sdk": "python"}
    connection = await session.ws_connect(f"{url.replace('ws', 'http', 1)}/rtc", params=query)
    first = SignalResponse.FromString(await connection.receive_bytes(timeout=ANSWER_SECONDS))
    server = next(server for server in first.join.ice_servers if server.username)
    return Guest(session, connection, Credential(server.username, server.credential))


@dataclass
class TurnClient:
    """Allocations at one TURN server over UDP, all from one address of this machine."""

    server: tuple[str, int]
    address: str
    sockets: list[socket.socket] = field(default_factory=list)
    """The sockets of its allocations. They close when the process ends, without a message to the server."""

    def allocate(self, credential: Credential) -> int:
        """Take one more allocation; 0, or the error that the server answered."""
        conn = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        conn.bind((self.address, 0))
        conn.connect(self.server)
        conn.settimeout(ANSWER_SECONDS)
        code = _allocate(conn, credential)
        if code:
            conn.close()
        else:
            self.sockets.append(conn)
        return code


Attributes = dict[int, bytes]


def _allocate(conn: socket.socket, who: Credential) -> int:
    told = _exchange(conn, [(TRANSPORT, UDP)], b"")
    key = hashlib.md5(b":".join((who.username.encode(), told[REALM], who.password.encode()))).digest()
    name = [(USERNAME, who.username.encode()), (REALM, told[REALM]), (NONCE, told[NONCE])]
    return _code(_exchange(conn, [(TRANSPORT, UDP), *name], key))


def _code(answer: Attributes) -> int:
    return answer[ERROR][2] * 100 + answer[ERROR][3] if ERROR in answer else 0


def _exchange(conn: socket.socket, attributes: list[tuple[int, bytes]], key: bytes) -> Attributes:
    transaction = os.urandom(12)
    body = b"".join(_pack(kind, value) for kind, value in attributes)
    if key:
        head = struct.pack("!HHI", ALLOCATE, len(body) + 24, COOKIE) + transaction
        body += _pack(INTEGRITY, hmac.digest(key, head + body, "sha1"))
    conn.send(struct.pack("!HHI", ALLOCATE, len(body), COOKIE) + transaction + body)
    while True:
        answer = conn.recv(1500)
        if answer[8:20] == transaction:
            return _unpack(answer[20:])


def _pack(kind: int, value: bytes) -> bytes:
    return struct.pack("!HH", kind, len(value)) + value + bytes(-len(value) % 4)


def _unpack(body: bytes) -> Attributes:
    found: Attributes = {}
    while len(body) >= 4:
        kind, length = struct.unpack("!HH", body[:4])
        found[kind] = body[4 : 4 + length]
        body = body[4 + (length + 3) // 4 * 4 :]
    return found


async def _run() -> None:
    given = json.loads(sys.stdin.readline())
    url, server, each = given["url"], tuple(given["server"]), given["each"]
    flood, other = TurnClient(server, given["address"]), TurnClient(server, given["other_address"])
    guests, codes, others = [], Counter[int](), Counter[int]()
    turn = len(given["tokens"]) // len(given["others"])
    for number, token in enumerate(given["tokens"]):
        guests.append(await join(url, token))
        codes.update(flood.allocate(guests[-1].credential) for _ in range(each))
        if number % turn == turn - 1:
            guests.append(await join(url, given["others"][number // turn]))
            others.update(other.allocate(guests[-1].credential) for _ in range(USUAL))
    print(json.dumps({"codes": codes, "others": others}), flush=True)
    # The parent process closes stdin to end the flood. The allocations are not released.
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
    for guest in guests:
        await guest.leave()


@contextmanager
def flooding(prefix: Sequence[str], **given: Any) -> Iterator[dict[str, dict[str, int]]]:
    """A flood from another process. `given` has `url`; `tokens`, to join with one after another, with `each`
    allocations for each join; `others`, tokens of ordinary clients that come meanwhile; `server` of TURN; and the
    addresses of both groups, `address` and `other_address`. Returns for each group how often the server answered each
    error, 0 for none. All clients stay connected for as long as the server allows it."""
    argv = [*prefix, sys.executable, "-m", "tests.kit.flood"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(json.dumps(given) + "\n")
            process.stdin.flush()
            yield json.loads(process.stdout.readline())
        finally:
            process.stdin.close()


if __name__ == "__main__":
    asyncio.run(_run())
