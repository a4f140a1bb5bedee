"""Fixtures of tests in network namespaces. A conftest imports by name the fixtures that its tests need."""

from collections.abc import Iterator

import pytest

from lkhub.host.engine import bundled_engine, is_program
from tests.kit.hub import Hub, make_hub
from tests.kit.netns import Namespace, find_obstacle, namespace, remove_left
from tests.namespaces.lan import NAME_SERVER, PORTS, Lan, make_lan


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
