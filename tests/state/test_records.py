"""What all records have in common, and the short ones."""

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from lkhub.checks.paths import PathResult, WebResult
from lkhub.errors import MachineError
from lkhub.plan.model import Sighting
from lkhub.plan.paths import StatePaths
from lkhub.state.asker import AskerRecord, read_asker, write_asker
from lkhub.state.document import VERSION
from lkhub.state.outside import PathUse, read_sightings, read_uses, write_uses
from lkhub.state.root_change import RootChange, dump_root_change, read_root_change
from lkhub.state.verified import VerifiedRecord, read_verified, write_verified

ASKER = AskerRecord(1.5, "www-data", True, 7, "nginx", ("0.0.0.0:80",))
SEEN = Sighting(2.5, "203.0.113.9")
USES = {"udp": PathUse("7882", 1.0, SEEN), "tcp": PathUse("7881", 1.0, None, Sighting(3.5, "2001:db8::7", False))}
RESULT = PathResult("turn-tls", None, "gather", "…", rtt_ms=0.25, native=False, evidence={"relay": "turns:x"})
VERIFIED = VerifiedRecord(1.5, (RESULT,), "a note", (WebResult("page", False, "https://a", "login"),), True)
CHANGE = RootChange(1.5, "192.168.1.6 is new")


def write_change(paths: StatePaths, change: RootChange) -> None:
    Path(paths.root_change).parent.mkdir(exist_ok=True)
    Path(paths.root_change).write_text(dump_root_change(change))


RECORDS: dict[str, tuple[str, Any, Any, Any, Any]] = {
    "asker": ("asker", ASKER, lambda p, r: write_asker(p.asker, r), lambda p: read_asker(p.asker), None),
    "outside": ("outside", USES, write_uses, read_uses, {}),
    "verified": ("verified", VERIFIED, write_verified, read_verified, None),
    "root-change": ("root_change", CHANGE, write_change, read_root_change, None),
}


@pytest.fixture
def paths(tmp_path: Path) -> StatePaths:
    return StatePaths(str(tmp_path))


@pytest.mark.parametrize("name", RECORDS)
def test_record_is_read_as_it_was_written(paths: StatePaths, name: str) -> None:
    where, record, write, read, nothing = RECORDS[name]
    assert read(paths) == nothing
    write(paths, record)
    assert read(paths) == record
    assert json.loads(Path(getattr(paths, where)).read_text())["version"] == VERSION


@pytest.mark.parametrize("damage", ["", "null", "[]", "1", "{}", '{"at": "x"}', "nonsense", "[" * 100_000], ids=len)
@pytest.mark.parametrize("name", RECORDS)
def test_damaged_record_is_none(paths: StatePaths, name: str, damage: str) -> None:
    where, record, write, read, nothing = RECORDS[name]
    write(paths, record)
    Path(getattr(paths, where)).write_text(damage)
    assert read(paths) == nothing
    Path(getattr(paths, where)).write_bytes(b"\xff\xfe")
    assert read(paths) == nothing


@pytest.mark.parametrize("name", RECORDS)
def test_record_of_a_newer_version_is_read(paths: StatePaths, name: str) -> None:
    where, record, write, read, _ = RECORDS[name]
    write(paths, record)
    path = Path(getattr(paths, where))
    path.write_text(json.dumps({**json.loads(path.read_text()), "version": 99, "more": {"x": 1}}))
    assert read(paths) == record


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
@pytest.mark.parametrize("name", RECORDS)
def test_record_that_can_not_be_read_is_none(paths: StatePaths, name: str) -> None:
    where, record, write, read, nothing = RECORDS[name]
    write(paths, record)
    os.chmod(getattr(paths, where), 0)
    assert read(paths) == nothing


def test_record_is_private(paths: StatePaths) -> None:
    write_asker(paths.asker, ASKER)
    assert os.stat(paths.asker).st_mode & 0o777 == 0o600


def test_best_use_of_a_path_is_one_that_proves_the_way_in(paths: StatePaths) -> None:
    write_uses(paths, USES)
    assert read_sightings(paths) == {"udp": SEEN, "tcp": Sighting(3.5, "2001:db8::7", False)}


def test_record_that_can_not_be_written_is_an_error(paths: StatePaths) -> None:
    os.rmdir(paths.root)
    with pytest.raises(MachineError):
        write_asker(paths.asker, ASKER)


@pytest.mark.parametrize("name", RECORDS)
@pytest.mark.parametrize("at", [-1.0, 1e308])
def test_time_that_no_clock_shows_makes_no_record(paths: StatePaths, name: str, at: float) -> None:
    where, record, write, read, nothing = RECORDS[name]
    write(paths, record)
    path = Path(getattr(paths, where))
    text = re.sub(r'"(at|since)": [0-9.]+', rf'"\1": {at!r}', path.read_text())
    path.write_text(text)
    assert (read(paths) == nothing) is (str(at) in text)
