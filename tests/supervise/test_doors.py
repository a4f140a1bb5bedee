import errno
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lkhub.errors import MachineError
from lkhub.supervise.doors import Doors
from tests.kit.ports import free_port


@pytest.fixture
def doors() -> Iterator[Doors]:
    doors = Doors()
    yield doors
    doors.close_except(set())


def test_door_is_opened_once_and_keeps_who_knocks(doors: Doors) -> None:
    door = ("127.0.0.1", free_port())
    assert not doors.is_open(door)
    [number] = doors.open((door,))
    assert doors.open((door,)) == [number]
    assert doors.is_open(door)
    with socket.create_connection(door, timeout=5) as visitor:
        visitor.sendall(b"x")


def test_doors_come_in_their_order(doors: Doors) -> None:
    first, second = ("127.0.0.1", free_port()), ("127.0.0.2", free_port())
    numbers = doors.open((first, second))
    assert doors.open((second, first)) == numbers[::-1]


def test_door_that_is_not_kept_is_closed(doors: Doors) -> None:
    kept, other = ("127.0.0.1", free_port()), ("127.0.0.1", free_port())
    doors.open((kept, other))
    doors.close_except({kept})
    assert doors.is_open(kept)
    assert not doors.is_open(other)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(other, timeout=5)


def test_door_is_for_those_who_are_given_it(doors: Doors) -> None:
    [number] = doors.open((("127.0.0.1", free_port()),))
    assert not os.get_inheritable(number)


def test_door_that_somebody_holds_is_a_machine_error(doors: Doors) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        door = ("127.0.0.1", holder.getsockname()[1])
        with pytest.raises(MachineError, match=f"can't listen on 127.0.0.1 port {door[1]}"):
            doors.open((door,))
    assert not doors.is_open(door)
    assert doors.open((door,))


def test_door_on_every_address_is_open_to_both_families(doors: Doors) -> None:
    door = ("", free_port())
    doors.open((door,))
    for address in ("127.0.0.1", "::1") if socket.has_dualstack_ipv6() else ("127.0.0.1",):
        socket.create_connection((address, door[1]), timeout=5).close()


def test_door_that_only_the_child_may_open_is_left_to_it(doors: Doors, monkeypatch: pytest.MonkeyPatch) -> None:
    privileged, other = ("127.0.0.1", 443), ("127.0.0.1", free_port())
    create = socket.create_server

    def refuse(address: tuple[str, int], **settings: Any) -> socket.socket:
        if address == privileged:
            raise PermissionError(errno.EACCES, "Permission denied")
        return create(address, **settings)

    monkeypatch.setattr(socket, "create_server", refuse)
    assert len(doors.open((privileged, other))) == 1
    assert not doors.is_open(privileged)


@pytest.fixture
def control(short_dir: Path) -> str:
    return str(short_dir / "x.sock")


def knock(path: str) -> None:
    with socket.socket(socket.AF_UNIX) as visitor:
        visitor.connect(path)


def test_control_socket_is_opened_once_and_private(doors: Doors, control: str) -> None:
    number = doors.open_control(control)
    assert number is not None
    assert doors.open_control(control) == number
    assert os.stat(control).st_mode & 0o777 == 0o600
    assert not os.get_inheritable(number)
    knock(control)


def test_control_socket_that_a_dead_process_has_left_is_replaced(doors: Doors, control: str) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(control)
    assert doors.open_control(control) is not None
    knock(control)


def test_control_socket_that_was_removed_is_bound_anew(doors: Doors, control: str) -> None:
    doors.open_control(control)
    os.unlink(control)
    assert doors.open_control(control) is not None
    knock(control)


def test_control_socket_of_another_process_and_what_is_none_are_left_alone(doors: Doors, control: str) -> None:
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(control)
        other.listen()
        assert doors.open_control(control) is None
        knock(control)
    os.unlink(control)
    Path(control).write_text("precious")
    assert doors.open_control(control) is None
    assert Path(control).read_text() == "precious"


def test_control_socket_is_kept_where_it_could_not_be_bound_again(
    doors: Doors, control: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a file system that became read-only."""
    number = doors.open_control(control)

    def refuse(_: str) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(os, "unlink", refuse)
    assert doors.open_control(control) == number
    doors.close_except(set())
    monkeypatch.undo()
    assert os.path.exists(control)


def test_control_socket_that_can_not_be_bound_is_left_to_the_process(doors: Doors, short_dir: Path) -> None:
    assert doors.open_control(str(short_dir / "nowhere" / "x.sock")) is None
    assert doors.open_control(str(short_dir / ("x" * 200))) is None


def test_control_socket_that_is_not_kept_is_closed_and_gone(doors: Doors, short_dir: Path) -> None:
    kept, other, taken = (str(short_dir / name) for name in ("a", "b", "c"))
    for path in (kept, other, taken):
        doors.open_control(path)
    os.unlink(taken)
    with socket.socket(socket.AF_UNIX) as newer:
        newer.bind(taken)
        newer.listen()
        doors.close_except(set(), [kept, None])
        assert not os.path.exists(other)
        knock(kept)
        knock(taken)
