"""Agents of a spec: their processes, ports, variables and users."""

from dataclasses import replace

import pytest

from lkhub.plan.build import build_plan
from lkhub.plan.model import Plan
from lkhub.plan.process import Variable
from lkhub.secret import FromEnv, FromFile, Secret
from lkhub.spec.load import load_spec
from tests.machines import INSTALLATION, make_facts

ROOTS = replace(INSTALLATION, user="root")


def build(text: str, *, root: bool = False) -> Plan:
    loaded = load_spec(text.encode())
    plan = build_plan(loaded, make_facts(), ROOTS if root else INSTALLATION)
    assert loaded.faults == []
    assert plan is not None
    return plan


def list_added(plan: Plan) -> list[str]:
    return [process.name for process in plan.processes if process.registers]


def test_hub_without_agents_has_nothing_of_them() -> None:
    plan = build("")
    assert (plan.agents, list_added(plan), plan.warnings) == ((), [], ())


def test_each_replica_is_a_process_with_a_port_of_its_own() -> None:
    plan = build("agents: [{name: bmo, project: a, replicas: 3}]")
    names = ["agent-bmo", "agent-bmo-2", "agent-bmo-3"]
    assert list_added(plan) == names
    assert plan.agents[0].processes == tuple(zip(names, (8081, 8082, 8083), strict=True))
    listeners = [each for each in plan.listeners if each.process in names]
    assert [(str(each.address), each.ports.start, each.protocol) for each in listeners] == [
        ("127.0.0.1", port, "tcp") for port in (8081, 8082, 8083)
    ]


def test_agent_with_a_command_listens_where_its_code_says() -> None:
    plan = build("agents: [{name: bmo, project: a, command: node agent.js}, {name: b, project: b}]")
    assert [each.process for each in plan.listeners if each.process.startswith("agent")] == ["agent-b"]
    assert plan.agents[0].command == ("node", "agent.js")


def test_process_of_an_agent_retires_for_as_long_as_its_worker_waits_for_calls() -> None:
    plan = build("drain: 10m\nagents: [{name: bmo, project: a}]")
    [process] = [process for process in plan.processes if process.registers]
    assert (process.retires, process.drain, process.carries_calls, process.stop_order) == (3600, None, False, 2)
    assert process.roles == ("registers",)
    assert process.argv == (
        *("/usr/bin/python3", "-P", "-m", "lkhub", "run-agent", "--config"),
        "/var/lib/lkhub/rendered/agent-bmo.json",
    )
    assert process.files == ("/var/lib/lkhub/rendered/agent-bmo.json",)
    last = max(other.stop_order for other in plan.processes if not other.registers)
    assert process.stop_order > last, "the calls that an agent is in end first"


def test_variables_have_the_values_of_the_spec_and_none_stands_in_the_plan() -> None:
    env = "{A: XYZXYZ, B: {file: b.key}, C: {env: SOURCE}, PATH: /x, LD_PRELOAD: x.so}"
    plan = build(f"agents: [{{name: x, project: x, health: 9000}}, {{name: bmo, project: a, env: {env}}}]")
    agent = plan.agents[1]
    secret = plan.paths.secret
    assert [(variable.name, variable.source) for variable in agent.variables] == [
        ("LIVEKIT_URL", Secret("ws://127.0.0.1:7880")),
        ("LIVEKIT_API_KEY", FromFile("/var/lib/lkhub/rendered/agent.key")),
        ("LIVEKIT_API_SECRET", FromFile("/var/lib/lkhub/rendered/agent.secret")),
        ("A", FromFile(secret(("agents", "bmo", "env", "A")))),
        ("B", FromFile(secret(("agents", "bmo", "env", "B")))),
        ("C", FromEnv("SOURCE")),
        ("PATH", FromFile(secret(("agents", "bmo", "env", "PATH")))),
        ("LD_PRELOAD", FromFile(secret(("agents", "bmo", "env", "LD_PRELOAD")))),
    ]
    [process] = [process for process in plan.processes if process.name == "agent-bmo"]
    assert [(variable.name, variable.source) for variable in process.variables] == [
        (f"LKHUB_AGENT_{variable.name}", variable.source) for variable in agent.variables
    ]
    assert "XYZXYZ" not in repr(plan)


@pytest.mark.parametrize("given", [{}, {"file": "/a", "env": "A"}, {"env": "A", "value": "a"}])
def test_variable_has_one_value(given: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="in one place"):
        Variable("A", **given)


def test_media_is_called_on_this_machine_also_behind_an_edge() -> None:
    plan = build("reach: lan\nagents: [{name: bmo, project: a}]")
    assert plan.urls.livekit.startswith("wss://")
    assert plan.agents[0].variables[0].value == "ws://127.0.0.1:7880"


def test_agents_of_root_have_users_and_folders_of_their_own() -> None:
    text = "agents: [{name: bmo, project: a, replicas: 2}, {name: other, project: a, health: 9000}]"
    first, second = build(text, root=True).agents
    assert first.uid is not None
    assert second.uid is not None
    assert first.uid != second.uid
    assert 2_000_000_000 <= min(first.uid, second.uid) <= max(first.uid, second.uid) < 2_100_000_000
    assert first.home == "/var/lib/lkhub-agents/bmo", "the state directory is root's alone"
    assert build(text, root=True).agents[0].uid == first.uid, "the same at every start"
    assert build(text, root=True).warnings == ()


def test_agents_of_an_ordinary_user_are_not_kept_apart_and_that_is_told() -> None:
    plan = build("agents: [{name: bmo, project: a}, {name: other, project: a, health: 9000}]")
    assert [(agent.uid, agent.home) for agent in plan.agents] == [
        (None, "/var/lib/lkhub/agents/bmo"),
        (None, "/var/lib/lkhub/agents/other"),
    ]
    [warning] = plan.warnings
    assert (warning.code, warning.subject) == ("agents-not-apart", "agents")
    assert "bmo, other" in warning.title


def test_agents_of_a_service_are_run_by_others_and_kept_apart() -> None:
    loaded = load_spec(b"agents: [{name: bmo, project: a, replicas: 2}]")
    plan = build_plan(loaded, make_facts(), replace(INSTALLATION, agents="apart"))
    assert plan
    [agent] = plan.agents
    assert (agent.given, agent.uid) == ("/var/lib/lkhub/for-agents/bmo", None)
    assert [name for name, _ in agent.processes] == ["agent-bmo", "agent-bmo-2"]
    assert (list_added(plan), plan.warnings) == ([], ())
    assert [each.ports.start for each in plan.listeners if each.process.startswith("agent")] == [8081, 8082]


@pytest.mark.parametrize("path", ["bmo", "./bmo", "/etc/lkhub/bmo"])
def test_project_is_beside_the_spec(path: str) -> None:
    assert build(f"agents: [{{name: bmo, project: {path}}}]").agents[0].project == "/etc/lkhub/bmo"
