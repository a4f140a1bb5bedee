"""Fixtures of tests in network namespaces. A conftest imports by name the fixtures that its tests need."""

from collections.abc import Iterator

import pytest

from lkhub.host.engine import bundled_engine, is_program
from tests.kit.hub import Hub, make_hub
from tests.kit.netns import Namespace, connect, find_obstacle, namespace, remove_left
from tests.namespaces.lan import NAME_SERVER, PORTS, Lan, make_lan

GATEWAY = {"203.0.113.1": "203.0.113.2/24", "2001:db8::1": "2001:db8::2/64"}


@pytest.fixture(scope="session", autouse=True)
def means() -> None:
    """Fail instead of skipping if these tests can't run: untested privacy must not pass."""
    if obstacle := find_obstacle():
        pytest.fail(obstacle, pytrace=False)
    if not is_program(bundled_engine()):
        pytest.fail("namespace tests need the engine: scripts/setup builds it", pytrace=False)
    remove_left()


@pytest.fixture(scope="module")
def lan() -> Iterator[Lan]:
    """A LAN that the module's tests share."""
    with make_lan() as made:
        yield made


@pytest.fixture
def machine() -> Iterator[Namespace]:
    """A machine without network."""
    with namespace("machine", NAME_SERVER) as made:
        yield made


@pytest.fixture
def hub(machine: Namespace) -> Iterator[Hub]:
    """A hub on that machine, not up yet."""
    with make_hub(machine.prefix, PORTS) as made:
        yield made


@pytest.fixture
def outside(machine: Namespace) -> Iterator[Namespace]:
    """The rest of the world: the default routes of both families lead there, and no machine answers."""
    with namespace("outside") as made:
        connect(machine, made, "eth0")
        for gateway, own in GATEWAY.items():
            made.add_address("eth0", f"{gateway}/{own.rpartition('/')[2]}")
            machine.add_address("eth0", own)
            machine.add_default_route(gateway)
        yield made
