from ipaddress import IPv4Address

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lkhub.host import router_pcp
from lkhub.host.router_pcp import (
    Granted,
    NatPmp,
    NoAnswerError,
    Pcp,
    RouterError,
    pack_natpmp,
    pack_pcp,
    unpack_natpmp,
    unpack_natpmp_address,
    unpack_pcp,
)
from lkhub.plan.model import Protocol

NONCE = bytes(range(12))

# What miniupnpd 2.3.1 was asked and answered for 7882/udp, 12 h.
REQUEST = (
    "02010000"
    "0000a8c0" + "00000000000000000000ffffc0a84d02" + "000102030405060708090a0b"
    "11000000"
    "1eca1eca" + "00000000000000000000ffff00000000"
)
ANSWER = (
    "02810000"
    "0000a8c0"
    "00000007" + "00" * 12 + "000102030405060708090a0b"
    "11000000"
    "1eca1eca" + "00000000000000000000ffff0b000001"
)


def test_a_pcp_request_is_the_one_of_the_rfc() -> None:
    made = pack_pcp(IPv4Address("192.168.77.2"), NONCE, "udp", 7882, 43200)
    assert (len(made), made.hex()) == (60, REQUEST)
    assert pack_pcp(IPv4Address("192.168.77.2"), NONCE, "udp", 7882, 0)[42:44] == b"\0\0"


def test_a_pcp_answer_is_read() -> None:
    granted = unpack_pcp(bytes.fromhex(ANSWER), NONCE, "udp", 7882)
    assert granted == Granted(7882, IPv4Address("11.0.0.1"), 43200)


def test_a_pcp_refusal_is_told_in_words() -> None:
    answer = bytearray.fromhex(ANSWER)
    answer[3] = 2
    with pytest.raises(RouterError, match="it does not allow it"):
        unpack_pcp(bytes(answer), NONCE, "udp", 7882)
    answer[3] = 99
    with pytest.raises(RouterError, match="PCP result code 99"):
        unpack_pcp(bytes(answer), NONCE, "udp", 7882)


@pytest.mark.parametrize("ask", [(bytes(12), "udp", 7882), (NONCE, "tcp", 7882), (NONCE, "udp", 7883)])
def test_an_answer_to_something_else_is_none(ask: tuple[bytes, Protocol, int]) -> None:
    with pytest.raises(NoAnswerError, match="another question"):
        unpack_pcp(bytes.fromhex(ANSWER), *ask)


def test_a_server_of_natpmp_alone_is_recognised() -> None:
    with pytest.raises(NoAnswerError, match="does not speak PCP"):
        unpack_pcp(bytes.fromhex("0081000100000007"), NONCE, "udp", 7882)


@given(st.binary(max_size=80))
def test_no_answer_is_too_odd(answer: bytes) -> None:
    for read in (
        lambda: unpack_pcp(answer, NONCE, "udp", 7882),
        lambda: unpack_natpmp(answer, "udp", 7882),
        lambda: unpack_natpmp_address(answer),
    ):
        try:
            read()
        except RouterError:
            continue


def test_natpmp_is_the_one_of_the_rfc() -> None:
    assert pack_natpmp("tcp", 443, 443, 7200).hex() == "0002000001bb01bb00001c20"
    answer = bytes.fromhex("008200000000000701bb01bc00000e10")
    assert unpack_natpmp(answer, "tcp", 443) == (444, 3600)
    assert unpack_natpmp_address(bytes.fromhex("00800000000000070b000001")) == IPv4Address("11.0.0.1")
    with pytest.raises(RouterError, match="does not allow"):
        unpack_natpmp(bytes.fromhex("008200020000000701bb000000000000"), "tcp", 443)
    with pytest.raises(NoAnswerError, match="too short"):
        unpack_natpmp(bytes.fromhex("00820000"), "tcp", 443)


async def serve(udp: anyio.abc.UDPSocket, *answers: bytes | None) -> list[bytes]:
    """A router on loopback that answers each datagram with the next of `answers`, None: not at all."""
    heard = []
    for answer in answers:
        data, sender = await udp.receive()
        heard.append(data)
        if answer is not None:
            await udp.sendto(answer, *sender[:2])
    return heard


@pytest.mark.anyio
async def test_a_lost_datagram_is_sent_again(monkeypatch: pytest.MonkeyPatch) -> None:
    async with await anyio.create_udp_socket(local_host="127.0.0.1") as udp, anyio.create_task_group() as tasks:
        monkeypatch.setattr(router_pcp, "SERVER_PORT", udp.extra(anyio.abc.SocketAttribute.local_port))
        tasks.start_soon(serve, udp, None, bytes.fromhex(ANSWER))
        granted = await Pcp("127.0.0.1", "127.0.0.1", NONCE.hex()).map("udp", 7882, 43200, "")
        assert granted.port == 7882


@pytest.mark.anyio
async def test_natpmp_asks_for_the_address_first_and_once(monkeypatch: pytest.MonkeyPatch) -> None:
    address, mapping = "00800000000000070b000001", "008200000000000701bb01bb00000e10"
    async with await anyio.create_udp_socket(local_host="127.0.0.1") as udp, anyio.create_task_group() as tasks:
        monkeypatch.setattr(router_pcp, "SERVER_PORT", udp.extra(anyio.abc.SocketAttribute.local_port))
        tasks.start_soon(serve, udp, *map(bytes.fromhex, (address, mapping, mapping)))
        router = NatPmp("127.0.0.1", "127.0.0.1")
        for _ in range(2):
            assert await router.map("tcp", 443, 7200, "") == Granted(443, IPv4Address("11.0.0.1"), 3600)


@pytest.mark.anyio
async def test_nobody_there_is_said_at_once_or_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(router_pcp, "_WAITS", (0.01, 0.01))
    async with await anyio.create_udp_socket(local_host="127.0.0.1") as udp:
        monkeypatch.setattr(router_pcp, "SERVER_PORT", udp.extra(anyio.abc.SocketAttribute.local_port))
        with pytest.raises(NoAnswerError, match="does not answer"):
            await Pcp("127.0.0.1", "127.0.0.1").map("udp", 7882, 60, "")
    with pytest.raises(NoAnswerError):
        await Pcp("127.0.0.1", "127.0.0.1").map("udp", 7882, 60, "")
