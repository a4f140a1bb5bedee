import errno
import os
import socket
from collections.abc import Iterator
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
