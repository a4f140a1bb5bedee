"""What all records have in common, and the short ones."""

import json
import os
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from lkhub.checks.paths import PathResult, WebResult
from lkhub.errors import MachineError
from lkhub.plan.model import Sighting
from lkhub.plan.paths import StatePaths
from lkhub.state.asker import AskerRecord, read_asker, write_asker
from lkhub.state.document import VERSION, dump_record, parse_record
from lkhub.state.openid import OpenIdRecord, read_openid, write_openid
from lkhub.state.outside import PathUse, _Record, read_sightings, read_uses, write_uses
from lkhub.state.restore import RestoreRecord, read_restore, write_restore
from lkhub.state.ring import KeyNote, follow_ring, read_notes, write_notes
from lkhub.state.root_change import RootChange, dump_root_change, read_root_change
from lkhub.state.router import Mapping, RouterRecord
from lkhub.state.store import StoreRecord, read_store, write_store
from lkhub.state.verified import VerifiedRecord, read_verified, write_verified
from lkhub.state.webhooks import ReceiverRecord, WebhooksRecord, read_webhooks, write_webhooks
from tests.reports import applied_record

ASKER = AskerRecord(1.5, "www-data", True, 7, "nginx", ("0.0.0.0:80",))
SEEN = Sighting(2.5, "203.0.113.9")
USES = {"udp": PathUse("7882", 1.0, SEEN), "tcp": PathUse("7881", 1.0, None, Sighting(3.5, "2001:db8::7", False))}
RESULT = PathResult("turn-tls", None, "gather", "…", rtt_ms=0.25, native=False, evidence={"relay": "turns:x"})
VERIFIED = VerifiedRecord(1.5, (RESULT,), "a note", (WebResult("page", False, "https://a", "login"),), True)
NOTES = {"APIa": KeyNote("APIa", 2.5), "APIb": KeyNote("APIb", None, 1.5)}
CHANGE = RootChange(1.5, "192.168.1.6 is new")

# The first second that datetime can't show.
FIRST_OF_10000 = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC).timestamp() + 1


def write_change(paths: StatePaths, change: RootChange) -> None:
    Path(paths.root_change).parent.mkdir(exist_ok=True)
    Path(paths.root_change).write_text(dump_root_change(change))


RECEIVERS = (ReceiverRecord("https://a.example/hook", 7, 3, 1.5, "answered 500"), ReceiverRecord("https://b.example/"))


def _write_receivers(paths: StatePaths, receivers: tuple[ReceiverRecord, ...]) -> None:
    write_webhooks(paths.webhooks, WebhooksRecord(receivers))


DOWN = OpenIdRecord(1.5, "the OpenID provider can't be reached")
FULL = StoreRecord("/store.db", 1.5, "full", "the store has no space left: /store.db")

RESTORE = RestoreRecord(("ca", "store.db"), "/state/before-restore/20261129T190000Z", ("/etc/lkhub/hub.yaml",))

RECORDS: dict[str, tuple[str, Any, Any, Any, Any]] = {
    "asker": ("asker", ASKER, lambda p, r: write_asker(p.asker, r), lambda p: read_asker(p.asker), None),
    "outside": ("outside", USES, write_uses, read_uses, {}),
    "verified": ("verified", VERIFIED, write_verified, read_verified, None),
    "ring": ("ring", NOTES, lambda p, r: write_notes(p, r.values()), read_notes, {}),
    "webhooks": ("webhooks", RECEIVERS, _write_receivers, lambda p: read_webhooks(p.webhooks), ()),
    "openid": ("openid", DOWN, lambda p, r: write_openid(p.openid, r), lambda p: read_openid(p.openid), None),
    "store": (
        "store_state",
        FULL,
        lambda p, r: write_store(p.store_state, r),
        lambda p: read_store(p.store_state),
        None,
    ),
    "restore": ("restore_record", RESTORE, write_restore, read_restore, None),
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


@pytest.mark.skipif(os.geteuid() != 0, reason="only root writes for others")
@pytest.mark.parametrize("name", RECORDS)
def test_root_leaves_a_record_to_the_hubs_user(paths: StatePaths, name: str) -> None:
    where, record, write, _, _ = RECORDS[name]
    os.makedirs(paths.root, exist_ok=True)
    os.chown(paths.root, 65534, 65534)
    write(paths, record)
    made, folder = os.stat(getattr(paths, where)), os.stat(os.path.dirname(getattr(paths, where)))
    assert (made.st_uid, made.st_gid) == (folder.st_uid, folder.st_gid)


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


ROUTER = RouterRecord("192.168.1.1", "192.168.1.5", "pcp", "aa", (Mapping("udp", 7882, "x", 1.5, 2.5),))


@pytest.mark.parametrize("at", [-1.0, FIRST_OF_10000, 1e308])
@pytest.mark.parametrize(
    ("record", "times"),
    [(ASKER, 1), (_Record(USES), 4), (VERIFIED, 1), (CHANGE, 1), (ROUTER, 2), (applied_record(), 1)],
    ids=["asker", "outside", "verified", "root-change", "router", "applied"],
)
def test_time_that_no_clock_shows_makes_no_record(record: object, times: int, at: float) -> None:
    text = dump_record(record)
    assert parse_record(type(record), text) == record
    found = list(re.finditer(r'"(?:at|since|until)": ([0-9.]+)', text))
    assert len(found) == times
    for time in found:
        with pytest.raises(ValueError, match="wrong value"):
            parse_record(type(record), f"{text[: time.start(1)]}{at!r}{text[time.end(1) :]}")


def test_notes_follow_the_ring() -> None:
    notes = follow_ring({}, (), ["a"], 1.0)
    assert notes == (KeyNote("a", made=1.0),)
    notes = follow_ring({note.id: note for note in notes}, ["a"], ["b", "a"], 2.0)
    assert notes == (KeyNote("b", made=2.0), KeyNote("a", made=1.0, retired=2.0))
    notes = follow_ring({note.id: note for note in notes}, ["b", "a"], ["c", "b", "a"], 3.0)
    assert notes[1:] == (KeyNote("b", 2.0, 3.0), KeyNote("a", 1.0, 2.0))
    assert follow_ring({note.id: note for note in notes}, ["c", "b", "a"], ["c", "b"], 4.0) == notes[:2]
    # A rotation that failed is taken back.
    assert follow_ring({note.id: note for note in notes}, ["c", "b", "a"], ["b", "a"], 5.0)[0] == KeyNote("b", 2.0)


def test_notes_of_a_ring_whose_record_was_lost_say_what_is_known() -> None:
    assert follow_ring({}, ["a"], ["b", "a"], 2.0) == (KeyNote("b", 2.0), KeyNote("a", None, 2.0))
