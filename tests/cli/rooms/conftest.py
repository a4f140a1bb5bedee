import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lkhub.host.files import write_private
from lkhub.plan.paths import StatePaths
from tests.cli.conftest import SECRET
from tests.kit.room_service import CREATED_MS, Sfu, make_participant, make_room, make_track, run_sfu


@pytest.fixture
def sfu(applied: StatePaths, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sfu]:
    """The SFU of the running hub, three minutes after its first room was opened."""
    monkeypatch.setattr(time, "time", lambda: CREATED_MS / 1000 + 180)
    with run_sfu(SECRET) as made:
        record = json.loads(Path(applied.applied).read_text())
        record["urls"]["local_media"] = made.url
        write_private(applied.applied, json.dumps(record))
        yield made


@pytest.fixture
def team(sfu: Sfu) -> Sfu:
    """A room with two participants."""
    screen = [make_track("TR_3", "SCREEN_SHARE"), make_track("TR_4", "SCREEN_SHARE_AUDIO")]
    ann = make_participant("ann", make_track("TR_1"), make_track("TR_2", "CAMERA"), *screen, name="Ann A.")
    sfu.open(make_room("team", max_participants=16, metadata="é"), ann, make_participant("bob"))
    return sfu
