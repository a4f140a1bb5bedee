"""What the hub gives agents that a unit or a container of their own runs."""

from dataclasses import replace
from pathlib import Path

import pytest

from lkhub.plan.paths import StatePaths, is_editable
from lkhub.prepare import hub as prepare
from lkhub.prepare.hub import PreparedHub
from lkhub.prepare.ring import replace_keys
from lkhub.secret import Secret
from lkhub.wire.agent import GivenAgent, parse_given
from tests.machines import make_installation
from tests.prepare.conftest import Run, keys_of

TEXT = """\
agents:
  - name: bmo
    project: bmo
    replicas: 2
    command: node agent.js
    env: {GREETING: hello, MODEL: {file: model.key}, VOICE: {env: VOICE_KEY}}
  - {name: other, project: bmo, command: node agent.js}
"""


@pytest.fixture
def hub(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> PreparedHub:
    made = replace(make_installation(run.state, str(tmp_path)), agents="apart")
    monkeypatch.setattr(prepare, "find_installation", lambda state, folder: made)
    (tmp_path / "bmo").mkdir()
    (tmp_path / "model.key").write_text("from-a-file\n")
    return run(TEXT, VOICE_KEY="from-a-variable")


def test_agent_that_is_an_image_gets_its_variables_alone(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    made = replace(make_installation(run.state, str(tmp_path)), agents="containers")
    monkeypatch.setattr(prepare, "find_installation", lambda state, folder: made)
    hub = run("agents: [{name: bmo, image: a, replicas: 2, env: {A: b, VOICE: {env: VOICE_KEY}}}]", VOICE_KEY="v")
    path = hub.plan.paths.for_image("bmo")
    agent = parse_given(hub.files[path])
    assert (agent.image, agent.project, [*agent.ports]) == ("a", "", ["agent-bmo", "agent-bmo-2"])
    assert {name: agent.variables[name] for name in ("A", "VOICE", "LIVEKIT_URL")} == {
        "A": "b",
        "VOICE": "v",
        "LIVEKIT_URL": "ws://127.0.0.1:7880",
    }
    # Neither a folder that others read, nor what is shown where somebody has edited it.
    assert not hub.plan.paths.is_for_agent(path)
    assert not is_editable(path)
    after = replace_keys(hub, {"APInew": Secret("n" * 32), **keys_of(hub)})
    assert parse_given(after.files[path]).variables["LIVEKIT_API_KEY"] == "APInew"
    assert not [process for process in hub.plan.processes if process.registers]


def given(hub: PreparedHub, name: str = "bmo") -> GivenAgent:
    return parse_given(hub.files[f"{hub.plan.paths.for_agent(name)}/agent.json"])


def test_agent_gets_its_part_with_the_values_of_its_variables(hub: PreparedHub) -> None:
    [(key, secret)] = keys_of(hub).items()
    agent = given(hub)
    assert agent.variables == {
        "LIVEKIT_URL": "ws://127.0.0.1:7880",
        "LIVEKIT_API_KEY": key,
        "LIVEKIT_API_SECRET": secret.reveal(),
        "GREETING": "hello",
        "MODEL": "from-a-file",
        "VOICE": "from-a-variable",
    }
    assert (agent.name, agent.command, agent.ports) == (
        "bmo",
        ("node", "agent.js"),
        {"agent-bmo": 8081, "agent-bmo-2": 8082},
    )
    assert agent.project == agent.inputs[:16]


def test_another_agent_gets_none_of_it(hub: PreparedHub) -> None:
    assert set(given(hub, "other").variables) == {"LIVEKIT_URL", "LIVEKIT_API_KEY", "LIVEKIT_API_SECRET"}


def test_hub_runs_none_of_them(hub: PreparedHub) -> None:
    assert not [process for process in hub.plan.processes if process.registers]
    paths = StatePaths(hub.plan.paths.root)
    assert not [path for path in hub.files if path.startswith(f"{paths.rendered}/agent-")]


def test_new_key_reaches_them(hub: PreparedHub) -> None:
    after = replace_keys(hub, {"APInew": Secret("n" * 32), **keys_of(hub)})
    assert given(after).variables["LIVEKIT_API_KEY"] == "APInew"
    assert given(after).variables["LIVEKIT_API_SECRET"] == "n" * 32
    assert given(after).variables["MODEL"] == "from-a-file"
