"""Which paths clients on other machines have used: what is recorded, and when it is forgotten."""

import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lkhub.plan.build import build_plan
from lkhub.plan.model import Plan, Sighting, find_proven
from lkhub.plan.paths import StatePaths
from lkhub.prepare.hub import PreparedHub
from lkhub.spec.load import load_spec
from lkhub.state.outside import PathUse, read_sightings, read_uses
from lkhub.supervise.watch.outside import describe_paths, follow, merge
from tests.machines import INSTALLATION, MACHINES
from tests.supervise.conftest import MakeHub, supervising, watch, watchers_of
from tests.waiting import until

LAN = "reach: lan\n"
ALL = {"udp", "tcp", "turn-udp", "turn-tls"}
SEEN = Sighting(200.0, "203.0.113.7")
DOUBTED = Sighting(200.0, "203.0.113.7", proven=False)


def plan(text: str, machine: str = "laptop") -> Plan:
    built = build_plan(load_spec(text.encode()), MACHINES[machine], INSTALLATION)
    assert built is not None
    return built


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("", set()),
        (LAN, ALL),
        (LAN + "media: {tcp: off}\n", ALL - {"tcp"}),
        (LAN + "tls: {mode: off}\n", ALL - {"turn-tls"}),
        (LAN + "turn: {udp: off}\n", ALL - {"turn-udp"}),
        (LAN + "turn: {enabled: false}\n", {"udp", "tcp"}),
        (LAN + "engine: ./livekit-server\n", {"turn-udp", "turn-tls"}),
    ],
)
def test_paths_that_can_be_seen_are_those_that_others_take_by_the_bundled_engine(text: str, seen: set[str]) -> None:
    assert set(describe_paths(plan(text))) == seen


@pytest.mark.parametrize(
    ("text", "machine", "changed"),
    [
        (LAN, "laptop", set()),
        (LAN + "name: other\nlivekit: {logging: {level: debug}}\n", "laptop", set()),
        (LAN + "media: {udp: 7000}\n", "laptop", {"udp"}),
        (LAN + "media: {udp: 50000-50100}\n", "laptop", {"udp"}),
        (LAN + "media: {tcp: 7001}\n", "laptop", {"tcp"}),
        (LAN + "turn: {udp: 3479}\n", "laptop", {"turn-udp"}),
        (LAN + "tls: {mode: internal, listen: 8443}\n", "laptop", {"turn-tls"}),
        (LAN, "two-lans", ALL),
        ("reach: public\ndomain: rtc.example.com\ntls: {email: a@example.com}\n", "vps", ALL),
    ],
)
def test_another_port_or_address_starts_a_new_record(text: str, machine: str, changed: set[str]) -> None:
    before, after = describe_paths(plan(LAN)), describe_paths(plan(text, machine))
    assert {path for path in after if after[path] != before[path]} == changed


def test_use_of_a_changed_path_is_forgotten() -> None:
    ways = {
        "udp": PathUse("7882", 100.0, SEEN),
        "tcp": PathUse("7881", 100.0, SEEN),
        "turn-udp": PathUse("3478", 100.0, SEEN),
    }
    told = {"udp": "7882", "tcp": "7000", "turn-tls": "443"}
    assert follow(ways, told, 300.0) == {
        "udp": PathUse("7882", 100.0, SEEN),
        "tcp": PathUse("7000", 300.0),
        "turn-tls": PathUse("443", 300.0),
    }


@pytest.mark.parametrize(
    ("told", "kept"),
    [
        ({}, SEEN),
        ({"udp": Sighting(250.0, "198.51.100.1")}, Sighting(250.0, "198.51.100.1")),
        # A process that was started anew may remember less than the record does.
        ({"udp": Sighting(150.0, "198.51.100.1")}, SEEN),
        ({"tcp": Sighting(250.0, "198.51.100.1")}, SEEN),
    ],
)
def test_the_last_use_is_kept(told: dict[str, Sighting], kept: Sighting) -> None:
    assert merge({"udp": PathUse("7882", 100.0, SEEN)}, told.items()) == {"udp": PathUse("7882", 100.0, kept)}


@pytest.mark.parametrize("first", [0, 1])
def test_use_that_proves_nothing_hides_none_that_does(first: int) -> None:
    """A proven path stays proven, whichever clients come later, in any order of the reports."""
    later = Sighting(300.0, "198.51.100.1", proven=False)
    told = [("udp", SEEN), ("udp", later)]
    ways = merge(merge({"udp": PathUse("7882", 100.0)}, told[first:] + told[:first]), [("udp", DOUBTED)])
    assert ways == {"udp": PathUse("7882", 100.0, SEEN, later)}
    assert ways["udp"].best == SEEN
    assert PathUse("7882", 100.0, None, later).best == later


def test_use_from_before_a_change_is_none() -> None:
    """The relay goes on where another process has another port now, and remembers."""
    ways = {"turn-tls": PathUse("443", 300.0)}
    assert merge(ways, [("turn-tls", SEEN), ("turn-tls", DOUBTED)]) == ways


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", '{"udp": {}}', '{"udp": {"told": "", "since": "soon"}}', "\xff"]
)
def test_record_that_is_not_ours_is_none(paths: StatePaths, text: str) -> None:
    Path(paths.outside).write_bytes(text.encode("latin-1"))
    assert read_uses(paths) == {}


def on_lan(hub: PreparedHub, text: str = LAN) -> PreparedHub:
    """The hub's actors, with what a plan for a LAN says of its paths."""
    planned = plan(text)
    return replace(
        hub, plan=replace(hub.plan, reach="lan", media=planned.media, relay=planned.relay, edge=planned.edge)
    )


def used(path: str, address: str = "203.0.113.7", after: float = 0.0) -> dict[str, Any]:
    """What an actor says that it has seen, a while after now."""
    return {"seen": {path: {"at": time.time() + 60 + after, "address": address}}}


def addresses(paths: StatePaths) -> dict[str, str]:
    return {path: seen.address for path, seen in find_proven(read_sightings(paths)).items()}


@pytest.mark.anyio
async def test_use_that_media_may_have_opened_itself_is_kept_as_such(
    paths: StatePaths, said: list[str], make_hub: MakeHub
) -> None:
    doubted = used("udp")["seen"]
    async with supervising(paths, said) as supervisor:
        await supervisor.apply(on_lan(make_hub(media={"unproven": doubted, "seen": {}}, relay={})))
        watch(supervisor, watchers_of(supervisor).look_outside)
        await until(lambda: read_sightings(paths)["udp"] is not None, "its use")
        kept = read_sightings(paths)["udp"]
        assert kept == Sighting(doubted["udp"]["at"], "203.0.113.7", proven=False)
        await supervisor.apply(on_lan(make_hub(media={"seen": doubted, "unproven": doubted}, relay={})))
        await until(lambda: addresses(paths) == {"udp": "203.0.113.7"}, "the proof")


@pytest.mark.anyio
async def test_who_was_seen_is_kept_whatever_is_restarted(
    paths: StatePaths, said: list[str], make_hub: MakeHub
) -> None:
    seen = on_lan(make_hub(media=used("udp"), relay=used("turn-tls", "2001:db8::7")))
    async with supervising(paths, said) as supervisor:
        await supervisor.apply(on_lan(make_hub(media={}, relay={})))
        await watchers_of(supervisor).look_outside()
        assert read_sightings(paths) == dict.fromkeys(ALL)
        assert os.stat(paths.outside).st_mode & 0o777 == 0o600
        await supervisor.apply(seen)
        watch(supervisor, watchers_of(supervisor).look_outside)
        await until(lambda: len(addresses(paths)) == 2, "both sightings")
        await supervisor.apply(on_lan(make_hub(media={}, relay={})))
        await supervisor.restart(["media", "relay"])
    async with supervising(paths, said) as supervisor:
        await supervisor.apply(on_lan(make_hub(media={"say": "anew"}, relay={})))
        await watchers_of(supervisor).look_outside()
        assert addresses(paths) == {"udp": "203.0.113.7", "turn-tls": "2001:db8::7"}
        await supervisor.apply(on_lan(make_hub(media={}, relay={}), LAN + "media: {udp: 7000}\n"))
        assert addresses(paths) == {"turn-tls": "2001:db8::7"}


@pytest.mark.anyio
@pytest.mark.parametrize("seen", ["nobody", [], {"udp": {"at": "soon"}}, None], ids=str)
async def test_malformed_answer_does_no_harm(
    paths: StatePaths, said: list[str], make_hub: MakeHub, seen: object
) -> None:
    async with supervising(paths, said) as supervisor:
        await supervisor.apply(on_lan(make_hub(media={"seen": seen}, relay=used("turn-udp"), serve={})))
        await watchers_of(supervisor).look_outside()
        assert addresses(paths) == {"turn-udp": "203.0.113.7"}


@pytest.mark.anyio
async def test_hub_for_this_machine_alone_keeps_no_record(
    paths: StatePaths, said: list[str], make_hub: MakeHub
) -> None:
    async with supervising(paths, said) as supervisor:
        await supervisor.apply(make_hub(media=used("udp"), relay={}))
        await watchers_of(supervisor).look_outside()
        assert not Path(paths.outside).exists()
