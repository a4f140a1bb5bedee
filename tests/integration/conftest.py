"""Fixtures of the integration tests: a real hub, up or not."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kit.hub import Hub, make_hub


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.integration)


@pytest.fixture
def hub() -> Iterator[Hub]:
    """A hub with a spec, not yet up."""
    with make_hub() as made:
        yield made


@pytest.fixture
def running(hub: Hub) -> Hub:
    """A hub that is up, not verified."""
    hub.up("--no-verify")
    return hub


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
