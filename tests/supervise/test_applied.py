"""The record of what is in force."""

import json
from pathlib import Path
from typing import Any

import pytest

from lkhub.plan.build import build_plan
from lkhub.plan.paths import StatePaths
from lkhub.source.typed import pack
from lkhub.spec.load import load_spec
from lkhub.state.applied import load_applied
from lkhub.state.contents import find_table
from lkhub.state.describe import describe_applied, list_certified
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
    assert record.probes == ("udp", "turn-udp")
    assert record.urls.livekit == "ws://127.0.0.1:7880"
    table = find_table(record)
    assert table is not None
    assert table.reach == "local"


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
    whole = json.loads(Path(paths.applied).read_text())
    for key in set(whole) - {"version"}:
        Path(paths.applied).write_text(json.dumps({**whole, key: wrong}))
        record = load_applied(paths)
        if record is not None:
            assert type(json.loads(json.dumps(pack(record)))[key]) in (type(whole[key]), type(wrong), float), key
            assert find_table(record) is None or key != "firewall"
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


async def test_record_of_another_version_is_read(paths: StatePaths) -> None:
    """`lkhub up` finds a supervisor of another version running, an older or a newer one."""
    urls = dict.fromkeys(("livekit", "web", "local_media", "new"), "ws://127.0.0.1:7880")
    least = {"version": 99, "name": "hub", "at": 1, "urls": urls, "probes": ["udp", "new"], "reach": "mars", "new": {}}
    Path(paths.applied).write_text(json.dumps(least))
    record = load_applied(paths)
    assert record is not None
    assert (record.resolve, record.ca, record.probes, record.reach) == ({}, "", ("udp", "new"), "mars")
    assert find_table(record) is None


@pytest.mark.parametrize(
    ("text", "certified"),
    [
        ("reach: local", ()),
        ("reach: lan", ("192.168.1.5", "127.0.0.1")),
        ("reach: lan\ntls: {mode: tailscale}", ("laptop.tail1234.ts.net",)),
        ("reach: public\ndomain: rtc.example.com", ("rtc.example.com",)),
        ("reach: lan\ndomain: rtc.example.com\ntls: {mode: external}", ()),
        (
            "reach: lan\ndomain: rtc.example.com\ntls: {mode: external, email: ops@example.com}\n"
            "turn: {domain: turn.example.com, listen: 5349, port: 443}",
            ("turn.example.com",),
        ),
    ],
)
def test_names_whose_certificate_takes_a_while_are_waited_for(text: str, certified: tuple[str, ...]) -> None:
    """Tailscale's comes from an authority, too, and the hub's own takes a while where the machine is busy."""
    facts = MACHINES["vps" if "public" in text else "tailnet"]
    plan = build_plan(load_spec(text.encode()), facts, INSTALLATION)
    assert plan
    assert list_certified(plan) == certified


def test_record_has_the_addresses_of_web_sites() -> None:
    text = "reach: public\ndomain: rtc.example.com\nsites: [{name: page, root: dist, port: 3001}]"
    plan = build_plan(load_spec(text.encode()), MACHINES["vps"], INSTALLATION)
    assert plan
    assert describe_applied(plan, None, (), 1.0).sites == {"page": ("https://rtc.example.com:3001",)}
