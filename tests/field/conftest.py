"""Problems that self-hosters reported in public (cases.yaml), rebuilt with real parts, one file for each subject."""

from pathlib import Path

import pytest

from tests.kit.fixtures import hub, lan, machine, means

__all__ = ["hub", "lan", "machine", "means"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.namespaces)
            item.add_marker(pytest.mark.field)
