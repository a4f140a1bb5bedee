"""A hub with a key that is retiring."""

from pathlib import Path
from typing import Any

import pytest

from lkhub.host.files import write_private
from lkhub.plan.paths import StatePaths
from lkhub.secret import Secret
from lkhub.state.ring import KeyNote, write_notes
from tests.cli.conftest import PROCESSES, FakeSupervisor

OLD = Secret("OLD" * 15)


@pytest.fixture
def managed(applied: StatePaths) -> StatePaths:
    """A hub whose keys lkhub generated: APIcurrent, and APIold, which is retiring."""
    write_private(applied.managed_keys, Path(applied.keys).read_text())
    write_notes(applied, [KeyNote("APIcurrent", 1_000_000.0), KeyNote("APIold", None, 1_000_000.0)])
    return applied


def media(*keys: dict[str, Any]) -> dict[str, Any]:
    """The answer of a supervisor to what it knows."""
    processes = [{**each, "roles": ["knows-participants"] if each["name"] == "media" else []} for each in PROCESSES]
    status = {"pid": 1, "state": "running", "rooms": [], "keys": keys}
    return {"pid": 1, "processes": processes, "media": status, "ages": {"media": 0.0}}


USES = [
    {"id": "APIcurrent", "count": 0, "participants": 0, "callers": []},
    {
        "id": "APIold",
        "count": 12,
        "participants": 2,
        "callers": [
            {"kind": "join", "address": "203.0.113.9", "identity": "ann", "count": 11, "at": 1_000_100.5},
            {"kind": "agent", "address": "127.0.0.1", "identity": "", "count": 1, "at": 1_000_050.0},
        ],
    },
]


@pytest.fixture
def runs(managed: StatePaths, supervisor: FakeSupervisor) -> FakeSupervisor:
    """A managed hub that runs, with people and agents who come with the old key."""
    supervisor.answers["status"] = media(*USES)
    changed = {"current": "APInew", "retiring": ["APIcurrent", "APIold"], "pending": False, "people": 0, "cut": 0}
    supervisor.answers["keys/rotate"] = changed
    supervisor.answers["keys/revoke"] = {**changed, "current": "APIcurrent", "retiring": []}
    return supervisor
