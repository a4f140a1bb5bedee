"""`lkhub agents` against a stand-in for the supervisor, and for the SFU where one is called."""

import json
import os
import time
from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from lkhub.host.agent_home import AgentHome
from lkhub.host.files import ensure_private_dir, write_private
from lkhub.plan.paths import StatePaths
from lkhub.wire.agent import AgentConfig, GivenAgent, KeptWorker, dump_agent, dump_given
from lkhub.wire.control import ProcessReport
from tests.cli.conftest import PROCESSES, SECRET, FakeSupervisor, Run
from tests.kit.room_service import Sfu, make_room, run_sfu

NOW = 1_795_980_000.0


@pytest.fixture(autouse=True)
def _now(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: NOW)


def agent(name: str, **said: Any) -> dict[str, Any]:
    return {"name": name, "pid": os.getpid(), "state": "running", "since": 1.0, "roles": ["registers"], **said}


def worker(name: str = "", **said: Any) -> dict[str, Any]:
    made = {"id": f"AW_{name}", "agent": name, "kind": "room", "free": True, "draining": False, "load": 0.25}
    return {**made, "address": f"192.0.2.1:{len(name)}", "since": NOW - 90, **said}


def job(room: str) -> dict[str, Any]:
    return {"id": "AJ_1", "room": room, "identity": "agent-x", "since": NOW}


def tell(supervisor: FakeSupervisor, *processes: Any, workers: Any = (), waiting: Any = (), retired: Any = ()) -> None:
    known = {"workers": list(workers), "waiting": list(waiting), "again": 0}
    supervisor.answers["status"] |= {
        "processes": [*PROCESSES, *processes],
        "retired": list(retired),
        "media": {"state": "running", "pid": 1, "agents": known},
    }


def test_workers_are_listed_with_their_rooms_and_the_rooms_that_wait(run: Run, supervisor: FakeSupervisor) -> None:
    tell(
        supervisor,
        agent("agent-bmo"),
        agent("agent-down", state="backoff", pid=None),
        workers=[
            worker("far", jobs=[job("team"), job("a b")]),
            worker("busy", free=False),
            worker("ending", draining=True, free=False),
        ],
        waiting=[
            {"room": "lobby", "agent": "", "reason": "no-worker", "since": NOW},
            {"room": "team", "agent": "bmo", "reason": "unheard-of", "since": NOW},
            {"room": "team", "agent": "bmo", "reason": "unheard-of", "since": NOW - 1},
        ],
        retired=[agent("agent-bmo", state="stopping", pid=None)],
    )
    done = run("agents", "list")
    assert done.code == 0
    assert [line.split() for line in done.out.splitlines()] == [
        ["PROCESS", "AGENT", "STATE", "SINCE", "LOAD", "ROOMS"],
        ["agent-bmo", "not", "registered"],
        ["agent-down", "backoff"],
        ["agent-bmo", "stopping"],
        ["192.0.2.1:3", "far", "free", "90s", "25%", "'a", "b',", "team"],
        ["192.0.2.1:4", "busy", "full", "90s", "25%"],
        ["192.0.2.1:6", "ending", "ends", "90s", "25%"],
        "room lobby waits for an agent without a name: no worker of that name is connected".split(),  # noqa: SIM905
        ["room", "team", "waits", "for", "agent", "bmo:", "unheard-of"],
    ]


def test_names_of_others_command_no_terminal(run: Run, supervisor: FakeSupervisor) -> None:
    wild = "\x1b[2J"
    waiting = {"room": wild, "agent": wild, "reason": "full", "since": NOW}
    tell(supervisor, workers=[worker(wild, jobs=[job(wild)])], waiting=[waiting])
    done = run("agents", "list")
    assert done.code == 0
    assert "\x1b" not in done.out + done.err


@pytest.mark.parametrize("name", ["bmo\nagent-eve  eve  free  1h", "bmo\n", "\n", "bmo  free  1h"], ids=repr)
def test_name_of_a_worker_makes_no_row_and_no_column(run: Run, supervisor: FakeSupervisor, name: str) -> None:
    tell(supervisor, workers=[worker(name, jobs=[job(name)])])
    lines = run("agents", "list").out.splitlines()
    assert len(lines) == 2
    assert repr(name) in lines[1]


def test_list_as_json(run: Run, supervisor: FakeSupervisor) -> None:
    waiting = {"room": "lobby", "agent": "", "reason": "full", "since": NOW}
    tell(supervisor, agent("agent-bmo"), workers=[worker("far", jobs=[job("team")])], waiting=[waiting])
    told = run("agents", "list", "--json").json
    assert told["waiting"] == [waiting]
    first, second = told["agents"]
    process = {"name": "agent-bmo", "pid": os.getpid(), "state": "running"}
    assert first == {"process": process, "worker": None, "installing": False, "failure": None}
    assert second["process"] is None
    assert (second["worker"]["id"], second["worker"]["jobs"][0]["room"]) == ("AW_far", "team")


def test_installation_is_listed_with_its_time(
    run: Run, supervisor: FakeSupervisor, applied: StatePaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    ensure_private_dir(applied.rendered)
    home = AgentHome(f"{applied.root}/agents/bmo", None)
    config = AgentConfig("bmo", "/src", (), home.path, None, 8081, {}, "d" * 64, "", "agent.py")
    write_private(applied.render("agent-bmo.json"), dump_agent(config))
    monkeypatch.setattr("lkhub.hub.agents.is_installing", bool)
    tell(supervisor, agent("agent-bmo", since=NOW - 5))
    assert run("agents", "list").out.splitlines()[1].split() == ["agent-bmo", "installing", "5s"]
    with home.hold():
        home.note_failure(config.inputs, "uv ended with exit code 1")
    tell(supervisor, agent("agent-bmo", state="backoff", pid=None))
    assert run("agents", "list").out.splitlines()[1].split() == ["agent-bmo", "failed", "to", "install", "0s"]
    [told] = run("agents", "list", "--json").json["agents"]
    assert told["failure"] == {"at": NOW, "why": "uv ended with exit code 1"}


def test_media_that_does_not_answer_leaves_unknown_what_is_registered(run: Run, supervisor: FakeSupervisor) -> None:
    tell(supervisor, agent("agent-bmo"))
    supervisor.answers["status"]["media"] = None
    done = run("agents", "list")
    assert done.code == 0
    assert [line.split() for line in done.out.splitlines()][1:] == [["agent-bmo", "running"]]
    assert "media does not say which workers are connected" in done.err
    told = run("agents", "list", "--json").json
    assert (told["waiting"], told["agents"][0]["worker"]) == (None, None)


def test_hub_without_agents_says_so(run: Run, supervisor: FakeSupervisor) -> None:
    tell(supervisor)
    done = run("agents", "list")
    assert done.code == 0
    assert "no agent is in the spec, and no worker is connected" in done.err


@pytest.mark.parametrize("command", ["list", "restart", "dispatch"])
def test_hub_that_does_not_run_is_told(run: Run, applied: StatePaths, command: str) -> None:
    arguments = {"list": (), "dispatch": ("lobby",)}.get(command, ("bmo",))
    done = run("agents", command, *arguments)
    assert (done.code, done.out) == (1, "")
    assert "not running" in done.err


def test_restart_starts_every_replica_and_no_other_agent(run: Run, supervisor: FakeSupervisor) -> None:
    names = ("agent-bmo", "agent-bmo-2", "agent-bmo-two", "agent-other")
    tell(supervisor, *map(agent, names))
    done = run("agents", "restart", "bmo")
    assert done.code == 0
    assert [request["name"] for request in supervisor.requests("restart")] == ["agent-bmo", "agent-bmo-2"]


def test_restart_says_of_the_earlier_worker_what_is_known(run: Run, supervisor: FakeSupervisor) -> None:
    address = "192.0.2.1:4000"
    known = agent("agent-bmo", worker={"pid": 7, "since": NOW, "address": address, "ends": False})
    tell(supervisor, known, workers=[worker("", address=address)])
    said = run("agents", "restart", "bmo").err
    assert said == "restarted agent-bmo; the earlier worker takes rooms until the new one has registered\n"
    tell(supervisor, known)
    said = run("agents", "restart", "bmo").err
    assert said == "restarted agent-bmo; no worker of it was registered: `lkhub agents logs bmo`\n"
    supervisor.answers["status"]["media"] = None
    assert run("agents", "restart", "bmo").err == "restarted agent-bmo\n"


def test_worker_of_a_process_that_this_user_can_not_see_is_not_said_to_be_none(
    run: Run, supervisor: FakeSupervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lkhub.hub.agents.can_see", lambda _: False)
    tell(supervisor, agent("agent-bmo"), workers=[worker("")])
    assert run("agents", "restart", "bmo").err == "restarted agent-bmo\n"


def test_unknown_agent_is_refused_with_those_that_are_known(run: Run, supervisor: FakeSupervisor) -> None:
    tell(supervisor, agent("agent-bmo"), agent("agent-other"))
    done = run("agents", "restart", "nobody")
    assert (done.code, done.out) == (2, "")
    assert "there is no agent nobody" in done.err
    assert "one of: bmo, other" in done.err
    tell(supervisor)
    assert "the spec has none" in run("agents", "restart", "media").err
    assert supervisor.requests("restart") == []


def test_log_of_an_agent_is_shown_with_those_of_its_replicas_and_without_a_hub(run: Run, applied: StatePaths) -> None:
    Path(applied.logs).mkdir(exist_ok=True)
    for name in ("agent-bmo", "agent-bmo-2", "agent-bmo-two"):
        Path(applied.log(name)).write_text(f"worker of {name}\n\x1b[2Jwild\n")
    done = run("agents", "logs", "bmo")
    assert done.code == 0
    assert [line.split()[0] for line in done.out.splitlines()] == ["agent-bmo"] * 2 + ["agent-bmo-2"] * 2
    assert "worker of agent-bmo-2" in done.out
    assert "\x1b" not in done.out
    assert "worker of" not in run("agents", "logs", "bmo", "-n", "1").out


def test_agent_without_a_log_is_told(run: Run, applied: StatePaths) -> None:
    done = run("agents", "logs", "bmo")
    assert (done.code, done.out) == (2, "")
    assert "there is no agent bmo" in done.err
    assert "no agent has written anything yet" in done.err


VARIABLES = {"LIVEKIT_API_SECRET": "x" * 40, "A": "a b"}


@pytest.fixture
def images(applied: StatePaths) -> StatePaths:
    """Of the agents two are images."""
    ensure_private_dir(applied.rendered)
    for name, variables in (("bmo", VARIABLES), ("other", {"A": "it's"})):
        ports = {f"agent-{name}": 8081, f"agent-{name}-2": 8082}
        agent = GivenAgent(name, "", (), "", "", "", ports, variables, image="registry.example/a")
        write_private(applied.for_image(name), dump_given(agent))
    return applied


def test_variables_of_an_image_are_printed_in_three_forms(run: Run, images: StatePaths) -> None:
    assert run("agents", "env", "bmo").out == f"LIVEKIT_API_SECRET={'x' * 40}\nA='a b'\n"
    assert run("agents", "env", "bmo", "--json").json == VARIABLES
    secret = json.loads(run("agents", "env", "bmo", "--format", "secret").out)
    assert secret["metadata"]["name"] == "lkhub-agent-bmo"
    assert {name: b64decode(value).decode() for name, value in secret["data"].items()} == VARIABLES


def test_value_that_programs_read_differently_is_refused_with_another_form(run: Run, images: StatePaths) -> None:
    done = run("agents", "env", "other")
    assert (done.code, done.out) == (2, "")
    assert "--format secret" in done.err
    assert run("agents", "env", "other", "--json").json == {"A": "it's"}


def test_agent_that_is_no_image_has_no_variables_to_print(run: Run, images: StatePaths) -> None:
    done = run("agents", "env", "nobody")
    assert (done.code, done.out) == (2, "")
    assert "one of: bmo, other" in done.err
    for name in ("bmo", "other"):
        os.unlink(images.for_image(name))
    assert "no agent of this hub has an `image`" in run("agents", "env", "bmo").err


def test_damaged_file_of_an_image_is_told(run: Run, images: StatePaths) -> None:
    Path(images.for_image("bmo")).write_text("{")
    done = run("agents", "env", "bmo")
    assert (done.code, done.out) == (3, "")
    assert "is damaged" in done.err
    assert "`lkhub up` writes it again" in done.err


@pytest.mark.parametrize(
    ("how", "logs", "restart"),
    [
        ("containers", "docker compose logs agent-bmo-2", "docker compose restart agent-bmo-2"),
        (
            "pods",
            "kubectl -n lkhub logs deployment/lkhub-agent-bmo",
            "kubectl -n lkhub rollout restart deployment/lkhub-agent-bmo",
        ),
    ],
)
def test_what_others_do_with_the_container_of_an_image_is_named(
    run: Run,
    images: StatePaths,
    supervisor: FakeSupervisor,
    monkeypatch: pytest.MonkeyPatch,
    how: str,
    logs: str,
    restart: str,
) -> None:
    monkeypatch.setenv("LKHUB_AGENTS", how)
    done = run("agents", "logs", "bmo-2")
    assert (done.code, logs in done.err) == (2, True)
    for command in (("agents", "restart", "bmo-2"), ("restart", "agent-bmo-2")):
        done = run(*command)
        assert (done.code, restart in done.err) == (2, True)
    assert supervisor.requests("restart") == []


def test_images_are_listed_as_what_other_containers_run(
    run: Run, images: StatePaths, supervisor: FakeSupervisor
) -> None:
    tell(supervisor, workers=[worker("bmo")])
    done = run("agents", "list")
    assert done.code == 0
    assert "agent-bmo, agent-bmo-2, agent-other, agent-other-2: in a container of its own" in done.err


@pytest.fixture
def sfu(applied: StatePaths) -> Iterator[Sfu]:
    with run_sfu(SECRET) as made:
        record = json.loads(Path(applied.applied).read_text())
        record["urls"]["local_media"] = made.url
        write_private(applied.applied, json.dumps(record))
        made.open(make_room("team"))
        yield made


def test_room_that_is_not_open_gets_no_agent(run: Run, sfu: Sfu, supervisor: FakeSupervisor) -> None:
    done = run("agents", "dispatch", "taem")
    assert (done.code, done.out) == (1, "")
    assert "did you mean team?" in done.err
    assert "`lkhub rooms create taem` opens a room of that name" in done.err


@pytest.mark.parametrize("code", ["not_found", "unavailable"])
def test_room_that_closes_meanwhile_is_said_to_be_closed(
    run: Run, sfu: Sfu, supervisor: FakeSupervisor, code: str
) -> None:
    sfu.wrong["CreateDispatch"] = (404, {"code": code, "msg": "no response from servers"})
    done = run("agents", "dispatch", "team")
    assert (done.code, "room team has closed meanwhile" in done.err) == (1, True)
    assert "`lkhub rooms create team` opens a room of that name" in done.err


def test_agent_whose_workers_are_all_full_is_called_with_a_warning(
    run: Run, sfu: Sfu, supervisor: FakeSupervisor
) -> None:
    tell(supervisor, workers=[worker("bmo", free=False), worker("eve")])
    done = run("agents", "dispatch", "team", "--agent", "bmo")
    assert done.code == 0
    assert "every worker of agent bmo is full; it joins once one has room" in done.err
    assert "`lkhub agents list`" in done.err


def test_agent_is_called_into_a_room(run: Run, sfu: Sfu, supervisor: FakeSupervisor) -> None:
    tell(supervisor, workers=[worker("bmo")])
    done = run("agents", "dispatch", "team", "--agent", "bmo", "--metadata", "m")
    assert (done.code, done.out, done.err) == (0, "", "asked for agent bmo in room team\n")
    [asked] = sfu.calls("CreateDispatch")
    assert (asked["room"], asked["agent_name"], asked["metadata"]) == ("team", "bmo", "m")


def test_agent_without_a_worker_is_called_with_a_warning(run: Run, sfu: Sfu, supervisor: FakeSupervisor) -> None:
    tell(supervisor, workers=[worker("bmo")])
    done = run("agents", "dispatch", "team")
    assert done.code == 0
    assert "no worker of an agent without a name is connected; it joins once one is" in done.err


@pytest.mark.parametrize(
    ("named", "told"),
    [
        ("", "the code of agent bmo has no agent_name"),
        ("eve", "the code of agent bmo has another agent_name"),
    ],
)
def test_name_in_the_spec_of_an_agent_whose_code_has_another_is_refused(
    run: Run, sfu: Sfu, supervisor: FakeSupervisor, named: str, told: str
) -> None:
    """The room would wait for ever, and the hub would report an error."""
    known = worker(named)
    kept = {"pid": 7, "since": 1.0, "address": known["address"], "ends": False}
    tell(supervisor, agent("agent-bmo", worker=kept), workers=[known])
    done = run("agents", "dispatch", "team", "--agent", "bmo")
    assert (done.code, done.out, told in done.err) == (2, "", True), done.err
    assert ("`--agent eve`" if named else "without --agent") in done.err
    assert not sfu.calls("CreateDispatch")
    tell(supervisor, agent("agent-bmo", worker=kept), workers=[known, worker("bmo", address="192.0.2.9:1")])
    assert run("agents", "dispatch", "team", "--agent", "bmo").code == 0
    with pytest.MonkeyPatch.context() as patch:  # of a service, whose agents are units
        given = ProcessReport("agent-bmo", 7, "running", 1.0, 0, ("registers",), worker=KeptWorker(**kept))
        patch.setattr(
            "lkhub.cli.agents.add_given", lambda report, _: replace(report, processes=(*report.processes, given))
        )
        tell(supervisor, workers=[known])
        assert (run("agents", "dispatch", "team", "--agent", "bmo").code, told in done.err) == (2, True)
    tell(supervisor, agent("agent-bmo", worker={**kept, "address": ""}), workers=[known])
    assert "no worker of agent bmo is connected" in run("agents", "dispatch", "team", "--agent", "bmo").err
