"""The record of the router's mappings, and that one at a time changes it."""

import json
import os
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from lkhub.errors import MachineError
from lkhub.plan.paths import StatePaths
from lkhub.state.document import dump_record, parse_record
from lkhub.state.router import (
    Mapping,
    RouterRecord,
    hold_router,
    read_router,
    write_router,
)

MAPPINGS = (Mapping("udp", 7882, "x", 1.0, None),)
RECORD = RouterRecord("192.168.1.1", "192.168.1.5", "pcp", "aa", MAPPINGS, "1.2.3.4")


@pytest.fixture
def paths(tmp_path: Path) -> StatePaths:
    return StatePaths(str(tmp_path / "state"))


def test_a_record_comes_back(paths: StatePaths) -> None:
    assert read_router(paths) is None
    with hold_router(paths, wait=True):
        write_router(paths, RECORD)
    assert read_router(paths) == RECORD
    assert os.stat(paths.router).st_mode & 0o777 == 0o600


def test_malformed_record_is_reported(paths: StatePaths) -> None:
    for wrong in ("", "[]", "{}", '{"mappings": [{}]}', dump_record(RECORD).replace("1.2.3.4", "x")):
        with pytest.raises((ValueError, LookupError, TypeError)):
            parse_record(RouterRecord, wrong)
    Path(paths.root).mkdir()
    Path(paths.router).write_text(dump_record(RECORD)[:20])
    with pytest.raises(MachineError, match="is damaged"):
        read_router(paths)


def test_the_lease_that_ends_first_counts() -> None:
    leases = (Mapping("udp", 7882, "x", 100.0, 300.0), Mapping("tcp", 443, "x", 100.0, 200.0))
    record = replace(RECORD, mappings=(*RECORD.mappings, *leases))
    assert (record.since, record.renew_at, record.ends) == (1.0, 150.0, 200.0)
    assert (RECORD.since, RECORD.renew_at, RECORD.ends) == (1.0, None, None)


@pytest.mark.parametrize(
    ("external", "behind"), [("1.2.3.4", False), ("100.64.3.4", True), ("192.168.178.20", True), ("0.0.0.0", True)]
)
def test_a_router_behind_another_one_is_noticed(external: str, behind: bool) -> None:
    assert replace(RECORD, external_address=external).is_behind_another is behind


def test_record_without_the_external_address_keeps_its_mappings(paths: StatePaths) -> None:
    """An earlier version of lkhub wrote that address under another key."""
    written = json.loads(dump_record(RECORD))
    written["outside"] = written.pop("external_address")
    Path(paths.root).mkdir()
    Path(paths.router).parent.mkdir(exist_ok=True)
    Path(paths.router).write_text(json.dumps(written))
    record = read_router(paths)
    assert record == replace(RECORD, external_address=None)
    assert record.is_behind_another is None


def test_one_at_a_time_asks_the_router(paths: StatePaths) -> None:
    order: list[str] = []

    def wait_for_it() -> None:
        with hold_router(paths, wait=True) as held:
            order.append(f"second {held}")

    waiting = threading.Thread(target=wait_for_it)
    with hold_router(paths, wait=False) as first, hold_router(paths, wait=False) as second:
        assert (first, second) == (True, False)
        waiting.start()
        order.append("first")
    waiting.join()
    assert order == ["first", "second True"]
