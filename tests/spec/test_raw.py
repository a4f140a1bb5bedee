from typing import Any

import pytest

from lkhub.source.path import Path
from lkhub.spec.load import load_spec
from lkhub.spec.model import Spec
from lkhub.spec.raw import OWNED_LIVEKIT_KEYS, find_refused


@pytest.mark.parametrize("path", OWNED_LIVEKIT_KEYS, ids=lambda path: ".".join(path))
def test_what_the_spec_decides_cannot_be_set_twice(path: Path) -> None:
    raw: Any = 1
    for step in reversed(path):
        raw = {step: raw}
    [(found, statement, hint)] = find_refused(raw, bundled=True)
    assert found == path
    assert "follows from the spec" in statement.title
    assert OWNED_LIVEKIT_KEYS[path] in hint


@pytest.mark.parametrize("value", ["true", "'yes'", "1"])
def test_what_the_engine_is_built_without_is_refused_at_its_line(value: str) -> None:
    [fault] = load_spec(f"livekit:\n  rtc:\n    enable_warp: {value}\n".encode()).faults
    assert (fault.line, fault.key) == (3, "livekit.rtc.enable_warp")
    assert "built without it" in fault.title


def test_what_another_engine_is_built_with_is_its_own_matter() -> None:
    spec = b"engine: /opt/livekit-server\nlivekit:\n  rtc:\n    enable_warp: true\n"
    assert load_spec(spec).faults == []


@pytest.mark.parametrize(
    "raw",
    [
        {},
        {"rtc": {}},
        {"room": {"port": 1}},
        {"rtc": {"batch_io": {"node_ip": 1}}},
        {"rtc": {"enable_warp": False}},
        None,
        [],
        5,
    ],
)
def test_everything_else_is_left_alone(raw: Any) -> None:
    assert list(find_refused(raw, bundled=True)) == []


@pytest.mark.parametrize("value", ["~", "[]", "5", "x", "''"])
def test_part_that_would_throw_away_what_the_spec_says_is_refused_once(value: str) -> None:
    """`rtc: ~`, merged last, would leave LiveKit its own defaults: Google's and Twilio's STUN servers."""
    [fault] = set(load_spec(f"livekit:\n  rtc: {value}\n".encode()).faults)
    assert (fault.line, fault.key) == (2, "livekit.rtc")


def test_every_owned_key_points_to_a_key_of_the_spec() -> None:
    for target in OWNED_LIVEKIT_KEYS.values():
        model: Any = Spec
        for step in target.split("."):
            assert step in model.model_fields
            model = model.model_fields[step].annotation


@pytest.mark.parametrize(
    ("rest", "host"),
    [
        ("redis.example.com", "redis.example.com"),
        ("redis.example.com:6379/0", "redis.example.com"),
        ("me:CANARY@redis.example.com?x=CANARY#1", "redis.example.com"),
        ("redis.example.com?password=a@CANARY", "HOST"),
        ("me:CANARY?@redis.example.com", "HOST"),
        ("", "HOST"),
    ],
)
def test_hint_for_redis_shows_no_login(rest: str, host: str) -> None:
    [(_, _, hint)] = find_refused({"redis": {"address": f"redis://{rest}"}}, bundled=True)
    assert hint == f"write address: {host}:6379"
