"""Fixtures and settings that all tests share."""

import ctypes
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from lkhub.plan.paths import StatePaths

# A deadline that even a loaded machine meets; only an endless loop misses it.
settings.register_profile(
    "lkhub", deadline=timedelta(seconds=3), suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.load_profile("lkhub")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files whose tests take minutes come first. Otherwise the last of them would run while other workers have nothing
    left to do."""
    items.sort(key=lambda item: item.get_closest_marker("long") is None)


@pytest.fixture(scope="session", autouse=True)
def _own_environment() -> Iterator[None]:
    """Variables of the developer's shell about their own hub must not reach a test."""
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith(("LKHUB_", "LIVEKIT_")):
                patch.delenv(name)
        yield


@pytest.fixture(scope="session", autouse=True)
def _own_signals() -> None:
    """A shell that starts the tests with `&` makes them and their child processes ignore Ctrl-C."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


_LIBC = ctypes.CDLL(None)
_SET_CHILD_SUBREAPER = 36  # prctl(2)


@pytest.fixture(autouse=True)
def _adopts_nothing() -> Iterator[None]:
    """What runs builds and agents becomes the parent of all that they leave. If a process of tests stayed that, what a
    later test kills would be a zombie for good, and look alive: nothing waits for it here."""
    yield
    if sys.platform == "linux":
        _LIBC.prctl(_SET_CHILD_SUBREAPER, 0, 0, 0, 0)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def short_dir() -> Iterator[Path]:
    """A private folder whose path is short enough for a Unix socket; `tmp_path` may be too long."""
    folder = Path(tempfile.mkdtemp(prefix="lk-", dir="/tmp"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def paths(short_dir: Path) -> StatePaths:
    """An empty state directory."""
    paths = StatePaths(str(short_dir / "s"))
    for folder in (paths.root, paths.rendered, paths.run, paths.logs):
        Path(folder).mkdir(mode=0o700)
    return paths
