"""A hub of whose media two processes can run at once."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lkhub.plan.paths import StatePaths
from lkhub.plan.process import Handover, Health, OwnPorts, ProcessPlan
from lkhub.prepare.hub import PreparedHub
from lkhub.supervise.ending import FOREVER_SECONDS
from lkhub.supervise.supervisor import Supervisor
from tests.supervise.conftest import IN_A_CALL, MakeHub, status_of

REDIS = "redis://127.0.0.1:6379/0"
PORTS = (OwnPorts("udp", 7882, 7882), OwnPorts("udp", 7892, 7892))


def with_spare(hub: PreparedHub, through: str = REDIS, ports: Sequence[OwnPorts] = PORTS, **roles: Any) -> PreparedHub:
    """The hub, of whose media two processes can run at once."""
    paths = hub.plan.paths

    def hand_over(process: ProcessPlan, own: OwnPorts) -> ProcessPlan:
        return replace(process, handover=Handover(through, (own,)), **roles)

    [media] = [process for process in hub.plan.processes if process.name == "media"]
    config, control = paths.render("livekit.yaml"), paths.socket("media")
    second, other = paths.render("livekit-2.yaml"), paths.socket("media-2")
    argv = tuple({config: second, control: other}.get(word, word) for word in media.argv)
    spare = replace(hand_over(media, ports[1]), argv=argv, health=Health(socket=other), files=(second,))
    others = [replace(each, engine="relay") if each.name == "relay" else each for each in hub.plan.processes]
    first = tuple(hand_over(each, ports[0]) if each is media else each for each in others)
    return replace(
        hub,
        plan=replace(hub.plan, processes=first, spare=(spare,)),
        files={**hub.files, second: hub.files[config]},
        spare={"media": hub.fingerprints["media"]},
    )


def busy(calls: Path, say: str = "old") -> dict[str, Any]:
    """Media with a call, which ends when its calls are over."""
    return {"say": say, "drains": True, "deaf": True, "rooms": IN_A_CALL, "die_when": str(calls)}


@pytest.fixture
def old(make_hub: MakeHub, calls: Path) -> PreparedHub:
    return with_spare(make_hub(media=busy(calls), relay={}, serve={}))


def hub_saying(make_hub: MakeHub, say: str, **config: Any) -> PreparedHub:
    return with_spare(make_hub(media={"say": say, "drains": True, **config}, relay={}, serve={}))


def retired(supervisor: Supervisor) -> list[int]:
    return [row["pid"] for row in status_of(supervisor)["retired"]]


def drains(paths: StatePaths) -> list[dict[str, Any]]:
    """What media was told, of drains."""
    lines = Path(paths.log("media")).read_text().splitlines()
    return [json.loads(line.removeprefix("drain ")) for line in lines if line.startswith("drain")]


LEAVES_NEW_CLIENTS = {"version": 1, "seconds": FOREVER_SECONDS, "hand_over": True}
