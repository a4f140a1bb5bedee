"""The record of what is in force."""

import json
from pathlib import Path
from typing import Any

import pytest

from lkhub.plan.build import build_plan
from lkhub.plan.paths import StatePaths
from lkhub.spec.load import load_spec
from lkhub.state.applied import list_certified, load_applied
from tests.machines import INSTALLATION, MACHINES
from tests.supervise.conftest import MakeHub, supervising

pytestmark = pytest.mark.anyio


async def test_what_is_in_force_is_on_record_without_a_secret(
    paths: StatePaths, said: list[str], make_hub: MakeHub
) -> None:
    assert load_applied(paths) is None
    async with supervising(paths, said) as supervisor:
        await supervisor.apply(make_hub())
    record = load_applied(paths)
    assert record is not None
    wanted = {
        "spec",
        "name",
        "reach",
        "tls",
        "at",
        "urls",
        "probes",
        "at_home",
        "ca",
        "certified",
        "auto_create",
        "drain",
    }
    assert set(record) == {*wanted, "drain", "ports", "front", "names", "told", "firewall", "turn_of_others"}
    assert record["probes"] == ["udp", "turn-udp"]
    assert record["urls"]["livekit"] == "ws://127.0.0.1:7880"


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", '"x"', "\0" * 64, "[" * 100_000, '{"version": 9}'], ids=range(8)
)
async def test_record_that_is_damaged_is_none(paths: StatePaths, text: str) -> None:
    Path(paths.applied).write_text(text)
    assert load_applied(paths) is None


@pytest.mark.parametrize("damaged", [b"\xff\xfe", b'{"name": "\xe9"}'], ids=range(2))
async def test_record_that_is_no_text_is_none(paths: StatePaths, damaged: bytes) -> None:
    """Else no `up` would take over what runs."""
    Path(paths.applied).write_bytes(damaged)
    assert load_applied(paths) is None


@pytest.mark.parametrize("wrong", [7, "x", ["x"], {"x": 1}, None, True], ids=repr)
async def test_record_with_something_else_in_a_place_is_none_or_means_the_same_type(
    paths: StatePaths, said: list[str], make_hub: MakeHub, wrong: Any
) -> None:
    """The record of another version, or an edited one. Commands look keys up without asking what they are."""
    async with supervising(paths, said) as supervisor:
        await supervisor.apply(make_hub())
    whole = load_applied(paths)
    assert whole is not None
    for key, value in whole.items():
        Path(paths.applied).write_text(json.dumps({**whole, key: wrong}))
        record = load_applied(paths)
        same = type(value) is type(wrong) or (key == "spec" and isinstance(wrong, str))
        assert record is None or same or wrong is None or {type(value), type(wrong)} <= {int, float, bool}, key
        if key == "urls":
            assert record is None


@pytest.mark.parametrize("key", ["spec", "name", "at", "urls", "probes"])
async def test_record_without_what_every_version_writes_is_none(
    paths: StatePaths, said: list[str], make_hub: MakeHub, key: str
) -> None:
    async with supervising(paths, said) as supervisor:
        await supervisor.apply(make_hub())
    record = json.loads(Path(paths.applied).read_text())
    Path(paths.applied).write_text(json.dumps({**record, "of a later version": [1]}))
    assert load_applied(paths) is not None
    del record[key]
    Path(paths.applied).write_text(json.dumps(record))
    assert (load_applied(paths) is None) == (key != "spec"), "no spec is what defaults are"


async def test_record_of_the_first_version_is_read(paths: StatePaths) -> None:
    """`lkhub up` of a new version finds a supervisor of the old one running."""
    urls = dict.fromkeys(("livekit", "web", "api", "local_media", "local_serve"), "ws://127.0.0.1:7880")
    first = {"spec": None, "name": "hub", "at": 1.0, "urls": urls, "probes": ["udp"]}
    Path(paths.applied).write_text(json.dumps(first))
    record = load_applied(paths)
    assert record is not None
    assert (record["at_home"], record["ca"], record["probes"]) == ({}, "", ["udp"])
    assert record["ports"] == record["front"] == {}


@pytest.mark.parametrize(
    ("text", "certified"),
    [
        ("reach: local", []),
        ("reach: lan", ["192.168.1.5", "127.0.0.1"]),
        ("reach: lan\ntls: {mode: tailscale}", ["laptop.tail1234.ts.net"]),
        ("reach: public\ndomain: rtc.example.com", ["rtc.example.com"]),
    ],
)
def test_names_whose_certificate_takes_a_while_are_waited_for(text: str, certified: list[str]) -> None:
    """Tailscale's comes from an authority, too, and the hub's own takes a while where the machine is busy."""
    facts = MACHINES["vps" if "public" in text else "tailnet"]
    plan = build_plan(load_spec(text.encode()), facts, INSTALLATION)
    assert plan
    assert list_certified(plan) == certified
