"""Fixtures of the namespace tests: a machine for itself, and a LAN of two."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from lkhub.host.engine import bundled_engine, is_program
from tests.kit.browser import launching
from tests.kit.hub import Hub, make_hub
from tests.kit.links import root_of
from tests.kit.netns import Namespace, find_obstacle, namespace, remove_left
from tests.namespaces.lan import NAME_SERVER, PORTS, Lan, make_lan

# What other people's programs make of a hub: minutes, and of no use to whoever works on something else.
FIELD = (
    "test_account",
    "test_firewall_",
    "test_guide",
    "test_proxy",
    "test_router",
    "test_sends",
    "test_stock",
    "test_turn_of_others",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.namespaces)
            if item.path.stem.startswith(FIELD):
                item.add_marker(pytest.mark.field)


def require_means() -> None:
    """Fail, and don't skip, where these tests can't be run: privacy that was not looked at is not there."""
    if obstacle := find_obstacle():
        pytest.fail(obstacle, pytrace=False)
    if not is_program(bundled_engine()):
        pytest.fail("namespace tests need the engine: scripts/setup builds it", pytrace=False)
    remove_left()


@pytest.fixture(scope="session", autouse=True)
def _means() -> None:
    require_means()


@pytest.fixture(scope="module")
def lan() -> Iterator[Lan]:
    """A LAN that the module's tests share."""
    with make_lan() as made:
        yield made


@pytest.fixture(scope="module")
def browser(lan: Lan, hub: Hub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A browser on the client's machine that trusts the module's own `hub`."""
    with launching(tmp_path_factory.mktemp("browser"), lan.client.prefix, root_of(hub)) as launched:
        yield launched


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
