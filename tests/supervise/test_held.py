import errno
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lkhub.errors import MachineError
from lkhub.plan.process import HeldSocket
from lkhub.supervise.held import HeldSockets
from tests.kit.ports import free_port


@pytest.fixture
def held() -> Iterator[HeldSockets]:
    held = HeldSockets()
    yield held
    held.close_except(set())


def test_socket_is_opened_once_and_keeps_who_knocks(held: HeldSockets) -> None:
    wanted = HeldSocket("127.0.0.1", free_port())
    assert not held.is_open(wanted)
    [number] = held.open((wanted,))
    assert held.open((wanted,)) == [number]
    assert held.is_open(wanted)
    with socket.create_connection(wanted, timeout=5) as visitor:
        visitor.sendall(b"x")


def test_sockets_come_in_their_order(held: HeldSockets) -> None:
    first, second = HeldSocket("127.0.0.1", free_port()), HeldSocket("127.0.0.2", free_port())
    numbers = held.open((first, second))
    assert held.open((second, first)) == numbers[::-1]


def test_socket_that_is_not_kept_is_closed(held: HeldSockets) -> None:
    kept, other = HeldSocket("127.0.0.1", free_port()), HeldSocket("127.0.0.1", free_port())
    held.open((kept, other))
    held.close_except({kept})
    assert held.is_open(kept)
    assert not held.is_open(other)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(other, timeout=5)


def test_socket_is_for_those_who_are_given_it(held: HeldSockets) -> None:
    [number] = held.open((HeldSocket("127.0.0.1", free_port()),))
    assert not os.get_inheritable(number)


def test_taken_socket_is_a_machine_error(held: HeldSockets) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        wanted = HeldSocket("127.0.0.1", holder.getsockname()[1])
        with pytest.raises(MachineError, match=f"can't listen on 127.0.0.1 port {wanted[1]}"):
            held.open((wanted,))
    assert not held.is_open(wanted)
    assert held.open((wanted,))


def test_socket_on_every_address_is_open_to_both_families(held: HeldSockets) -> None:
    wanted = HeldSocket("", free_port())
    held.open((wanted,))
    for address in ("127.0.0.1", "::1") if socket.has_dualstack_ipv6() else ("127.0.0.1",):
        socket.create_connection((address, wanted[1]), timeout=5).close()


def test_socket_that_only_the_child_may_open_is_left_to_it(held: HeldSockets, monkeypatch: pytest.MonkeyPatch) -> None:
    privileged, other = HeldSocket("127.0.0.1", 443), HeldSocket("127.0.0.1", free_port())
    create = socket.create_server

    def refuse(address: tuple[str, int], **settings: Any) -> socket.socket:
        if address == privileged:
            raise PermissionError(errno.EACCES, "Permission denied")
        return create(address, **settings)

    monkeypatch.setattr(socket, "create_server", refuse)
    assert len(held.open((privileged, other))) == 1
    assert not held.is_open(privileged)


@pytest.fixture
def control(short_dir: Path) -> str:
    return str(short_dir / "x.sock")


def knock(path: str) -> None:
    with socket.socket(socket.AF_UNIX) as visitor:
        visitor.connect(path)


def test_control_socket_is_opened_once_and_private(held: HeldSockets, control: str) -> None:
    number = held.open_control(control)
    assert number is not None
    assert held.open_control(control) == number
    assert os.stat(control).st_mode & 0o777 == 0o600
    assert not os.get_inheritable(number)
    knock(control)


def test_control_socket_that_a_dead_process_has_left_is_replaced(held: HeldSockets, control: str) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(control)
    assert held.open_control(control) is not None
    knock(control)


def test_control_socket_that_was_removed_is_bound_anew(held: HeldSockets, control: str) -> None:
    held.open_control(control)
    os.unlink(control)
    assert held.open_control(control) is not None
    knock(control)


def test_control_socket_of_another_process_and_what_is_none_are_left_alone(held: HeldSockets, control: str) -> None:
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(control)
        other.listen()
        assert held.open_control(control) is None
        knock(control)
    os.unlink(control)
    Path(control).write_text("precious")
    assert held.open_control(control) is None
    assert Path(control).read_text() == "precious"


def test_control_socket_is_kept_where_it_could_not_be_bound_again(
    held: HeldSockets, control: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a file system that became read-only."""
    number = held.open_control(control)

    def refuse(_: str) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(os, "unlink", refuse)
    assert held.open_control(control) == number
    held.close_except(set())
    monkeypatch.undo()
    assert os.path.exists(control)


def test_control_socket_that_can_not_be_bound_is_left_to_the_process(held: HeldSockets, short_dir: Path) -> None:
    assert held.open_control(str(short_dir / "nowhere" / "x.sock")) is None
    assert held.open_control(str(short_dir / ("x" * 200))) is None


def test_control_socket_that_is_not_kept_is_closed_and_gone(held: HeldSockets, short_dir: Path) -> None:
    kept, other, taken = (str(short_dir / name) for name in ("a", "b", "c"))
    for path in (kept, other, taken):
        held.open_control(path)
    os.unlink(taken)
    with socket.socket(socket.AF_UNIX) as newer:
        newer.bind(taken)
        newer.listen()
        held.close_except(set(), [kept, None])
        assert not os.path.exists(other)
        knock(kept)
        knock(taken)
