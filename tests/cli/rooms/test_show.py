"""`lkhub rooms show`."""

import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.cli.conftest import Run
from tests.cli.rooms.kit import UNSEEN
from tests.kit.room_service import CREATED_MS, Sfu


def test_room_is_shown(run: Run, team: Sfu) -> None:
    team.rooms["team"][1][1] |= {"identity": UNSEEN, "state": "JOINED", "kind": "AGENT", "permission": None}
    team.rooms["team"][1][0]["permission"] |= {"can_publish_sources": ["CAMERA", "MICROPHONE"], "hidden": True}
    team.rooms["team"][1][0]["tracks"][1]["muted"] = True
    done = run("rooms", "show", "team")
    assert (done.code, done.err) == (0, "")
    created = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(CREATED_MS / 1000))
    layers = "VP8, simulcast: low 320×180 160 kbit/s, high 1280×720 3000 kbit/s"
    assert done.out.splitlines() == [
        "team  RM_team",
        f"  created {created}, 3 min ago; metadata: 2 bytes",
        "  closes if nobody joins within 300 s, or 20 s after the last one left",
        "  participants: 2 of 16",
        "",
        "  ann ('Ann A.')  active, joined 2 min ago  PA_ann",
        "    may publish camera, microphone, subscribe, send data; hidden",
        "    microphone  live  red  TR_1",
        f"    camera  muted  1280×720  {layers}  TR_2",
        f"    screen_share  live  1280×720  {layers}  TR_3",
        "    screen_share_audio  live  red  TR_4",
        "",
        "  '\\x1b[2J\\u202ex\\n'  joined, agent, joined 2 min ago  PA_bob",
        "    its permission is not known",
    ]


def test_room_is_shown_as_json(run: Run, team: Sfu) -> None:
    done = run("rooms", "show", "RM_team", "--json")
    assert done.json["room"]["metadata"] == "é"
    ann, bob = done.json["participants"]
    assert {key: value for key, value in ann.items() if key != "tracks"} == {
        "identity": "ann",
        "name": "Ann A.",
        "sid": "PA_ann",
        "state": "active",
        "kind": "standard",
        "joined_at": CREATED_MS / 1000 + 1.5,
        "metadata": "",
        "attributes": {},
        "permission": {
            "subscribe": True,
            "publish": True,
            "publish_sources": None,
            "data": True,
            "own_metadata": False,
            "hidden": False,
            "recorder": False,
        },
    }
    assert ann["tracks"][0] == {
        "sid": "TR_1",
        "name": "tone",
        "type": "audio",
        "source": "microphone",
        "muted": False,
        "encrypted": False,
        "width": None,
        "height": None,
        "codecs": [{"codec": "red", "layers": []}],
    }
    assert ann["tracks"][1]["codecs"] == [
        {
            "codec": "VP8",
            "layers": [
                {"quality": "low", "width": 320, "height": 180, "bitrate": 160_000, "rid": "q"},
                {"quality": "high", "width": 1280, "height": 720, "bitrate": 3_000_000, "rid": "f"},
            ],
        }
    ]
    assert bob["tracks"] == []


def svc(track: dict[str, Any]) -> None:
    track["codecs"][0] |= {"mime_type": "video/AV1", "video_layer_mode": "MULTIPLE_SPATIAL_LAYERS_PER_STREAM"}


def older(track: dict[str, Any]) -> None:
    track["codecs"] = []


def encrypted(track: dict[str, Any]) -> None:
    track |= {"encryption": "GCM", "codecs": []}


def unnamed(track: dict[str, Any]) -> None:
    track |= {"source": "UNKNOWN", "codecs": []}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            svc,
            "camera  live  1280×720  AV1, layers of one stream: low 320×180 160 kbit/s, high 1280×720 3000 kbit/s  "
            "TR_2",
        ),
        (older, "camera  live  1280×720  VP8  TR_2"),
        (encrypted, "camera  live  1280×720  VP8  end-to-end encrypted  TR_2"),
        (unnamed, "video of unknown source  live  1280×720  VP8  TR_2"),
    ],
)
def test_every_kind_of_track_is_described(
    run: Run, team: Sfu, change: Callable[[dict[str, Any]], None], said: str
) -> None:
    change(team.rooms["team"][1][0]["tracks"][1])
    assert f"    {said}" in run("rooms", "show", "team").out.splitlines()


@pytest.mark.parametrize(
    ("permission", "said"),
    [
        ({"can_publish": False, "can_subscribe": False, "can_publish_data": False}, "may do nothing"),
        ({"can_publish": False}, "may subscribe, send data"),
        ({"can_update_metadata": True}, "may publish, subscribe, send data, change its own metadata"),
        ({"hidden": True, "recorder": True}, "may publish, subscribe, send data; hidden; recorder"),
    ],
)
def test_permission_is_told(run: Run, team: Sfu, permission: dict[str, bool], said: str) -> None:
    team.rooms["team"][1][0]["permission"] |= permission
    assert f"    {said}" in run("rooms", "show", "team").out.splitlines()
