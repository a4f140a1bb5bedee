"""The record of what is in force."""

from pathlib import Path

import pytest

from lkhub.plan.build import build_plan
from lkhub.plan.paths import StatePaths
from lkhub.spec.load import load_spec
from lkhub.supervise.applied import list_certified, load_applied
from tests.machines import MACHINES
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


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '"x"'])
async def test_record_that_is_damaged_is_none(paths: StatePaths, text: str) -> None:
    Path(paths.applied).write_text(text)
    assert load_applied(paths) is None


async def test_record_of_the_first_version_is_read(paths: StatePaths) -> None:
    """`lkhub up` of a new version finds a supervisor of the old one running."""
    Path(paths.applied).write_text('{"spec": null, "name": "hub", "at": 1.0, "urls": {}, "probes": ["udp"]}')
    record = load_applied(paths)
    assert record is not None
    assert (record["at_home"], record["ca"], record["probes"]) == ({}, "", ["udp"])
    assert record["ports"] == record["front"] == {}


@pytest.mark.parametrize(
    ("text", "certified"),
    [
        ("reach: local", []),
        ("reach: lan", []),
        ("reach: lan\ntls: {mode: tailscale}", ["laptop.tail1234.ts.net"]),
        ("reach: public\ndomain: rtc.example.com", ["rtc.example.com"]),
    ],
)
def test_names_whose_certificate_takes_a_while_are_waited_for(text: str, certified: list[str]) -> None:
    """Tailscale's comes from an authority, too."""
    facts = MACHINES["vps" if "public" in text else "tailnet"]
    plan = build_plan(load_spec(text.encode()), facts)
    assert plan
    assert list_certified(plan) == certified
