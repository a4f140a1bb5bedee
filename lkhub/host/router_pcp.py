"""Port mappings by PCP (RFC 6887) and by its forerunner NAT-PMP (RFC 6886): one datagram there, one back.

Code of our own, because no Python package for PCP is kept, and both are one fixed message.
"""

import secrets
import struct
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Final

import anyio
from anyio.abc import ConnectedUDPSocket

from lkhub.plan.model import Protocol

SERVER_PORT = 5351

# RFC 6886, section 3.1, asks for 250 ms, doubled each time, nine times. A router on the same wire that has not
# answered after two seconds speaks another language, and that is tried next.
_WAITS = (0.25, 0.5, 1.0)

_PROTOCOLS: dict[Protocol, int] = {"udp": 17, "tcp": 6}
_PCP_VERSION, _PCP_MAP, _RESPONSE = 2, 1, 0x80
_NATPMP_OPCODES: dict[Protocol, int] = {"udp": 1, "tcp": 2}

_PCP_RESULTS = {
    1: "it speaks another version",
    2: "it does not allow it",
    4: "it does not know how to map",
    5: "it does not know an option",
    7: "its own network is down",
    8: "it has no room for another one",
    9: "it does not do this protocol",
    10: "this machine has too many already",
    11: "the port is taken",
    12: "another NAT is between this machine and it",
}
_NATPMP_RESULTS = {
    1: "it speaks another version",
    2: "it does not allow it",
    3: "its own network is down",
    4: "it has no room for another one",
    5: "it does not know how to map",
}


class RouterError(Exception):
    """The router said no. The text says why, in words that go on after "the router refused: "."""


class NoAnswerError(RouterError):
    """The router does not speak this protocol."""


@dataclass(frozen=True)
class Granted:
    """What the router gave: its outside port and address, and for how many seconds (None: for ever). Not `own`: it had
    the mapping from somebody else."""

    port: int
    address: IPv4Address
    seconds: int | None
    own: bool = True


class Pcp:
    """A router that speaks PCP. A mapping belongs to who knows its nonce."""

    means: Final = "pcp"

    def __init__(self, gateway: str, local: str, nonce: str = "") -> None:
        self._gateway, self._local = gateway, local
        self.nonce = nonce or secrets.token_hex(12)

    async def map(self, protocol: Protocol, port: int, seconds: int, name: str) -> Granted:
        """Ask for a mapping of `port` to the same port outside; `seconds` 0 ends it. Raises RouterError."""
        request = pack_pcp(IPv4Address(self._local), bytes.fromhex(self.nonce), protocol, port, seconds)
        answer = await _ask(self._gateway, self._local, request)
        return unpack_pcp(answer, bytes.fromhex(self.nonce), protocol, port)

    async def unmap(self, protocol: Protocol, port: int) -> None:
        await self.map(protocol, port, 0, "")


class NatPmp:
    """A router that speaks NAT-PMP. A mapping belongs to the machine that asked for it."""

    means: Final = "nat-pmp"
    nonce: Final = ""

    def __init__(self, gateway: str, local: str) -> None:
        self._gateway, self._local = gateway, local
        self._address: IPv4Address | None = None

    async def map(self, protocol: Protocol, port: int, seconds: int, name: str) -> Granted:
        """Ask for a mapping of `port` to the same port outside. Raises RouterError."""
        if self._address is None:
            self._address = unpack_natpmp_address(await _ask(self._gateway, self._local, bytes(2)))
        answer = await _ask(self._gateway, self._local, pack_natpmp(protocol, port, port, seconds))
        given, lifetime = unpack_natpmp(answer, protocol, port)
        return Granted(given, self._address, lifetime)

    async def unmap(self, protocol: Protocol, port: int) -> None:
        # RFC 6886, section 3.4: an end of a mapping names no outside port.
        answer = await _ask(self._gateway, self._local, pack_natpmp(protocol, port, 0, 0))
        unpack_natpmp(answer, protocol, port)


def pack_pcp(client: IPv4Address, nonce: bytes, protocol: Protocol, port: int, seconds: int) -> bytes:
    """A MAP request (RFC 6887, sections 7.1 and 11.1)."""
    head = struct.pack("!BBHI16s", _PCP_VERSION, _PCP_MAP, 0, seconds, _mapped(client))
    return head + struct.pack(
        "!12sB3xHH16s", nonce, _PROTOCOLS[protocol], port, port if seconds else 0, _mapped(IPv4Address(0))
    )


def unpack_pcp(answer: bytes, nonce: bytes, protocol: Protocol, port: int) -> Granted:
    """The mapping in an answer. Raises RouterError where it says no, NoAnswerError where it is none."""
    if len(answer) < 4 or answer[0] != _PCP_VERSION:
        # A server of NAT-PMP alone answers in its own version 0 (RFC 6887, section 9).
        raise NoAnswerError("it does not speak PCP")
    if answer[3] != 0:
        raise RouterError(_PCP_RESULTS.get(answer[3], f"PCP result code {answer[3]}"))
    if len(answer) < 60 or answer[1] != _RESPONSE | _PCP_MAP:
        raise NoAnswerError("its answer is not that of PCP")
    lifetime = struct.unpack_from("!I", answer, 4)[0]
    echoed, number, inside, given, address = struct.unpack_from("!12sB3xHH16s", answer, 24)
    if (echoed, number, inside) != (nonce, _PROTOCOLS[protocol], port):
        raise NoAnswerError("its answer is to another question")
    outside = IPv6Address(address).ipv4_mapped
    return Granted(given, outside or IPv4Address(0), lifetime)


def pack_natpmp(protocol: Protocol, port: int, outside: int, seconds: int) -> bytes:
    """A request for a mapping (RFC 6886, section 3.3)."""
    return struct.pack("!BBHHHI", 0, _NATPMP_OPCODES[protocol], 0, port, outside, seconds)


def unpack_natpmp(answer: bytes, protocol: Protocol, port: int) -> tuple[int, int]:
    """Outside port and lifetime in an answer."""
    _check_natpmp(answer, _NATPMP_OPCODES[protocol], 16)
    inside, given, lifetime = struct.unpack_from("!HHI", answer, 8)
    if inside != port:
        raise NoAnswerError("its answer is to another question")
    return given, lifetime


def unpack_natpmp_address(answer: bytes) -> IPv4Address:
    """The router's outside address (RFC 6886, section 3.2)."""
    _check_natpmp(answer, 0, 12)
    return IPv4Address(answer[8:12])


def _check_natpmp(answer: bytes, opcode: int, length: int) -> None:
    if len(answer) < 4 or answer[0] != 0 or answer[1] != _RESPONSE | opcode:
        raise NoAnswerError("it does not speak NAT-PMP")
    result = struct.unpack_from("!H", answer, 2)[0]
    if result != 0:
        raise RouterError(_NATPMP_RESULTS.get(result, f"NAT-PMP result code {result}"))
    if len(answer) < length:
        raise NoAnswerError("its answer is too short")


def _mapped(address: IPv4Address) -> bytes:
    return IPv6Address(f"::ffff:{address}").packed


async def _ask(gateway: str, local: str, request: bytes) -> bytes:
    """The answer to a datagram, sent again a few times. A connected socket hears the gateway alone."""
    try:
        async with await anyio.create_connected_udp_socket(gateway, SERVER_PORT, local_host=local) as udp:
            return await _exchange(udp, request)
    except (OSError, anyio.BrokenResourceError, anyio.ClosedResourceError) as error:
        raise NoAnswerError("nothing listens there") from error


async def _exchange(udp: ConnectedUDPSocket, request: bytes) -> bytes:
    for seconds in _WAITS:
        await udp.send(request)
        with anyio.move_on_after(seconds):
            return await udp.receive()
    raise NoAnswerError("it does not answer")
