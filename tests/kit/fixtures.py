"""Fixtures of tests in network namespaces. A conftest takes over by name what its tests need."""

from collections.abc import Iterator

import pytest

from lkhub.host.engine import bundled_engine, is_program
from tests.kit.hub import Hub, make_hub
from tests.kit.netns import Namespace, find_obstacle, namespace, remove_left
from tests.namespaces.lan import NAME_SERVER, PORTS, Lan, make_lan


@pytest.fixture(scope="session", autouse=True)
def means() -> None:
    """Fail, and don't skip, where these tests can't be run: privacy that was not looked at is not there."""
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
    """A hub on that machine, not yet up."""
    with make_hub(machine.prefix, PORTS) as made:
        yield made
