"""What self-hosters reported in public (cases.yaml), rebuilt with real parts, one file a subject."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kit.hub import Hub, make_hub
from tests.kit.netns import Namespace, namespace
from tests.namespaces.conftest import require_means
from tests.namespaces.lan import NAME_SERVER, PORTS, Lan, make_lan


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.namespaces)
            item.add_marker(pytest.mark.field)


@pytest.fixture(scope="session", autouse=True)
def _means() -> None:
    require_means()


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
