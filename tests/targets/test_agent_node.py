"""An agent in Node in a unit of its own, on a machine that systemd has booted."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lkhub.host.programs import copy_programs
from tests.kit.booted import Booted, make_root
from tests.targets.conftest import ADDRESS, SETUP
from tests.targets.test_agent_units import SECONDS, has_no_worker, install, read_key, read_log
from tests.waiting import wait_until

AGENT = Path(__file__).parents[1] / "kit/node_agent"

UNIT = "lkhub-agent-node"

SPEC = f"""\
reach: lan
media: {{advertise: {ADDRESS}}}
agents: [{{name: node, project: /srv/node, command: node agent.mjs, env: {{WORD: a-word}}}}]
"""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A Debian with lkhub and Node."""
    made = make_root(tmp_path_factory.mktemp("node"), "nodejs")
    copy_programs(f"{made}{SETUP}")
    shutil.copytree(AGENT, made / "srv/node")
    (made / "root/hub.yaml").write_text(SPEC)
    yield made
    shutil.rmtree(made)


@pytest.fixture(scope="module")
def service(booted: Booted) -> Booted:
    """The machine, with a hub by SPEC."""
    booted.must("chmod -R go+rX /srv/node")
    install(booted, f"{SETUP}/bin/lkhub")
    wait_until(lambda: tell(booted), "the agent has started", SECONDS)
    return booted


def tell(booted: Booted) -> list[dict[str, Any]]:
    """What each process of the agent has told, the newest last."""
    return [json.loads(line) for line in re.findall(r"^TOLD (.*)$", read_log(booted, UNIT), re.MULTILINE)]


def test_node_compiles_in_the_sandbox_and_gets_its_own_variables_alone(service: Booted) -> None:
    told = tell(service)[-1]
    assert told["compiled"]
    assert told["uid"] not in (0, int(service.must("id -u lkhub")))
    variables = told["variables"]
    assert (variables["WORD"], variables["LIVEKIT_API_KEY"]) == ("a-word", read_key(service))
    assert not [name for name in variables if name.startswith(("LKHUB", "CREDENTIALS", "NOTIFY"))]
    # It is what Node needs, and the hub's own unit doesn't have it.
    shown = {unit: service.show(unit, "MemoryDenyWriteExecute") for unit in (UNIT, "lkhub")}
    assert shown == {UNIT: "no", "lkhub": "yes"}


def test_killed_agent_is_started_again(service: Booted) -> None:
    before, main = len(tell(service)), service.show(UNIT, "MainPID")
    service.must(f"pkill -9 -P {main}")
    wait_until(lambda: len(tell(service)) > before, "it has started again", SECONDS)
    assert service.show(UNIT, "MainPID") == main


def test_agent_ends_with_the_hub_and_starts_with_it(service: Booted) -> None:
    before, ended = len(tell(service)), read_log(service, UNIT).count("ENDED")
    main = service.show(UNIT, "MainPID")
    service.must("systemctl stop lkhub")
    wait_until(lambda: has_no_worker(service, main), "the agent has ended", SECONDS)
    assert read_log(service, UNIT).count("ENDED") == ended + 1, "it was told to end"
    service.must("systemctl start lkhub")
    wait_until(lambda: len(tell(service)) > before, "it has started again", SECONDS)
