"""The kernel's table of listening sockets."""

import os
import socket
import sys
from pathlib import Path

import pytest

from lkhub.host.tcp_table import Listening, list_connected, list_listening

HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
ROW = "   0: {} 00000000:0000 {} 00000000:00000000 00:00000000 00000000 20007        0 655 1 0 100 0 0 10 0\n"


@pytest.mark.skipif(sys.platform != "linux", reason="/proc")
@pytest.mark.parametrize(
    ("family", "address", "loopback", "everywhere"),
    [
        (socket.AF_INET, "0.0.0.0", False, True),
        (socket.AF_INET, "127.0.0.1", True, False),
        (socket.AF_INET6, "::", False, True),
        (socket.AF_INET6, "::1", True, False),
        (socket.AF_INET6, "::ffff:127.0.0.1", True, False),
    ],
)
def test_listening_socket_is_seen_with_its_address_and_user(
    family: socket.AddressFamily, address: str, loopback: bool, everywhere: bool
) -> None:
    with socket.socket(family) as held:
        try:
            held.bind((address, 0))
        except OSError:
            pytest.skip("no IPv6 here")
        port = held.getsockname()[1]
        assert not [each for each in list_listening() if each.port == port], "it does not listen yet"
        held.listen()
        [found] = [each for each in list_listening() if each.port == port]
    assert found == Listening(port, os.geteuid(), loopback, everywhere)


@pytest.mark.skipif(sys.platform != "linux", reason="/proc")
@pytest.mark.parametrize("mapped", [False, True])
def test_connection_is_seen_with_the_user_that_it_comes_from(mapped: bool) -> None:
    family, prefix = (socket.AF_INET6, "::ffff:") if mapped else (socket.AF_INET, "")
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket(family) as client:
        try:
            client.connect((f"{prefix}127.0.0.1", server.getsockname()[1]))
        except OSError:
            pytest.skip("no IPv6 here")
        place = f"127.0.0.1:{client.getsockname()[1]}"
        assert list_connected()[place] == os.geteuid()
    assert list_connected().get(place) is None


def test_connection_is_none(tmp_path: Path) -> None:
    (tmp_path / "tcp").write_text(HEAD + ROW.format("00000000:1F91", "01") + ROW.format("00000000:1F92", "0A"))
    assert list_listening(tmp_path) == (Listening(0x1F92, 20007, everywhere=True),)
    assert list_connected(tmp_path) == {"0.0.0.0:8081": 20007}


def test_nothing_is_known_where_there_is_no_table(tmp_path: Path) -> None:
    assert (list_listening(tmp_path), list_connected(tmp_path)) == ((), {})
