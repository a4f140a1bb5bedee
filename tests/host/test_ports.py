import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address

import psutil
import pytest

from lkhub.errors import MachineError
from lkhub.host.ports import require_free_ports
from lkhub.plan.model import Listener, Protocol
from lkhub.spec.ports import PortRange
from tests.kit.ports import free_port


def listener(
    port: int, protocol: Protocol = "tcp", address: str | None = "127.0.0.1", end: int | None = None
) -> Listener:
    where = None if address is None else ip_address(address)
    return Listener("media", protocol, where, PortRange(port, end or port), "signalling", ("media", "signal"))


@contextmanager
def held(port: int = 0, protocol: Protocol = "tcp", address: str = "127.0.0.1") -> Iterator[int]:
    """This process holds a port."""
    kind = socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM
    with socket.socket(socket.AF_INET, kind) as holder:
        holder.bind((address, port))
        if protocol == "tcp":
            holder.listen()
        yield holder.getsockname()[1]


def refuse(*listeners: Listener) -> MachineError:
    with pytest.raises(MachineError) as refused:
        require_free_ports(listeners)
    return refused.value


def test_free_ports_are_taken_in_silence_and_given_back() -> None:
    ports = [listener(free_port()), listener(free_port(), "udp"), listener(free_port(), address=None)]
    require_free_ports(ports)
    require_free_ports(ports)


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_port_in_use_names_who_holds_it_and_what_to_do(protocol: Protocol) -> None:
    with held(protocol=protocol) as port:
        error = refuse(listener(port, protocol))
    assert error.exit_code == 3
    me = psutil.Process().name()
    assert error.message.startswith(f"{protocol} port {port} (signalling) is in use by {me} (pid {os.getpid()}")
    assert len(error.hints) == 1
    assert error.hints[0].endswith("or give media.signal another port")


def test_all_ports_in_use_are_reported_at_once() -> None:
    with held() as one, held() as other, held(protocol="udp") as third:
        message = refuse(listener(one), listener(other), listener(third, "udp")).message
    assert [line.split()[2] for line in message.splitlines()] == [str(port) for port in (one, other, third)]


def test_port_that_is_wanted_on_several_addresses_is_reported_once() -> None:
    with held(address="0.0.0.0") as port:
        error = refuse(listener(port), listener(port, address="127.0.0.2"), listener(port, address=None))
    assert len(error.message.splitlines()) == len(error.hints) == 1


def test_port_on_another_address_is_no_obstacle() -> None:
    with held(address="127.0.0.2") as port:
        require_free_ports([listener(port)])


def test_wildcard_needs_the_port_on_every_address() -> None:
    with held() as port:
        assert "is in use" in refuse(listener(port, address=None)).message
    with held(address="0.0.0.0") as port:
        assert f"pid {os.getpid()}" in refuse(listener(port)).message


def test_holder_is_the_one_on_our_address() -> None:
    """Two processes may hold the same port on different addresses; ending the wrong one does not help."""
    script = "import socket,sys; s=socket.create_server(('127.0.0.2', int(sys.argv[1]))); print(flush=True); input()"
    with (
        held() as port,
        subprocess.Popen(
            [sys.executable, "-c", script, str(port)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as other,
    ):
        assert other.stdout is not None
        other.stdout.readline()
        mine = refuse(listener(port)).message
        theirs = refuse(listener(port, address="127.0.0.2")).message
        other.communicate(b"\n")
    assert f"pid {os.getpid()}" in mine
    assert f"pid {other.pid}" in theirs


def test_udp_port_is_not_held_by_who_has_the_tcp_one() -> None:
    with held() as port:
        require_free_ports([listener(port, "udp")])


def test_range_is_not_examined() -> None:
    with held(protocol="udp") as port:
        require_free_ports([listener(port, "udp", end=min(port + 10, 65535))])


def test_connection_of_the_last_run_is_no_obstacle() -> None:
    """A closed connection stays in TIME_WAIT on the server's port for a minute."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)):
            server.accept()[0].close()
    require_free_ports([listener(port)])


def test_address_that_is_gone_is_explained() -> None:
    error = refuse(listener(free_port(), address="192.0.2.77"))
    assert "192.0.2.77 is no longer an address of this machine" in error.message
    assert "auto" in error.hints[0]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may bind every port")
def test_low_port_of_a_user_is_explained() -> None:
    error = refuse(listener(1))
    assert "below 1024" in error.message
    assert "root" in error.hints[0]
