"""A hub in which joining opens no room: `access: {create: operator}`."""

import json
import os

import pytest

from tests.kit.hub import Hub

CLOSED = "access: {create: operator}\n"


@pytest.fixture
def closed(hub: Hub) -> Hub:
    hub.write_spec(CLOSED)
    return hub


def test_hub_whose_rooms_are_opened_by_its_operator_is_verified_and_says_how(closed: Hub) -> None:
    done = closed.run("up", "--detach", "--link")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "verified udp" in done.stdout
    assert "lkhub rooms create lobby; lkhub token --room lobby --link" in done.stdout
    assert "/join/" not in done.stdout, "a link into a room that is not there"

    told = closed.run("token", "--room", "team", "--link")
    assert (told.returncode, "/join/team#" in told.stdout) == (0, True)
    assert "`lkhub rooms create team` opens it" in told.stderr

    opened = closed.run("rooms", "create", "team")
    assert (opened.returncode, opened.stdout) == (0, "team\n")
    assert json.loads(closed.run("rooms", "create", "team", "--json").stdout) == {"room": "team", "empty_timeout": 300}
    assert closed.run("token", "--room", "team", "--link").stderr == ""

    # A foreign LiveKit, as far as this command knows.
    url = closed.env()["LIVEKIT_URL"]
    foreign = Hub(closed.folder, closed.ports, environ={**os.environ, **closed.env()})
    verified = foreign.run("verify", "--url", url, "--path", "udp", "--json")
    assert verified.returncode == 0, verified.stdout + verified.stderr


def test_room_is_opened_in_a_running_hub_alone(closed: Hub) -> None:
    done = closed.run("rooms", "create", "team")
    assert (done.returncode, done.stdout) == (3, "")
    assert "this hub has not been up yet" in done.stderr
    closed.up("--no-verify")
    closed.run("down", "--now")
    done = closed.run("rooms", "create", "team")
    assert (done.returncode, done.stdout) == (3, "")
    assert "`lkhub status` shows whether the hub runs" in done.stderr


@pytest.mark.parametrize(("room", "why"), [("", "ROOM is empty"), ("x" * 257, "LiveKit takes 256")])
def test_name_that_livekit_refuses_is_bad_usage(closed: Hub, room: str, why: str) -> None:
    done = closed.run("rooms", "create", room)
    assert done.returncode == 2
    assert why in done.stderr
