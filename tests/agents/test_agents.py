"""A worker of livekit-agents that the hub runs, and a person who hears it."""

import json
import os
import re
import signal
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.agents.conftest import hub_with_agent
from tests.kit.hub import Hub
from tests.kit.person import TakingPart, taking_part
from tests.kit.ports import free_port
from tests.waiting import wait_until

# Its dependencies are unpacked, and Python compiles them.
INSTALL_SECONDS = 180


def list_agents(hub: Hub) -> list[dict[str, Any]]:
    return json.loads(hub.run("agents", "list", "--json").stdout)["agents"]  # type: ignore[no-any-return]


def list_workers(hub: Hub) -> list[dict[str, Any]]:
    return [row["worker"] for row in list_agents(hub) if row["worker"]]


def wait_registered(hub: Hub, number: int) -> None:
    wait_until(lambda: len(list_workers(hub)) == number, f"{number} workers", INSTALL_SECONDS)


def count_heard(person: TakingPart) -> int:
    """How many frames the person has heard of any agent."""
    return sum(number for track, number in person.last.items() if track.startswith("agent-") and "audio" in track)


def hear_again(person: TakingPart) -> None:
    """Return when the person has heard another second of an agent."""
    before = count_heard(person)
    wait_until(lambda: count_heard(person) > before + 100, "an agent is heard")


def list_agents_in(hub: Hub, room: str) -> list[str]:
    shown = json.loads(hub.run("rooms", "show", room, "--json").stdout)
    return [each["identity"] for each in shown["participants"] if each["identity"].startswith("agent-")]


def find_job(hub: Hub, room: str) -> tuple[int, str]:
    """The pid of the process whose worker has the room, and the identity of the agent in it."""
    for row in list_agents(hub):
        for job in row["worker"]["jobs"] if row["worker"] else ():
            if job["room"] == room:
                return row["process"]["pid"], job["identity"]
    raise AssertionError(f"no worker has {room}")


def test_person_hears_agent(hub: Hub) -> None:
    wait_registered(hub, 2)
    with taking_part((), hub.env()["LIVEKIT_URL"], hub.token("greeted", "ann")) as ann:
        hear_again(ann)
        assert len(list_agents_in(hub, "greeted")) == 1
        assert not hub.findings()


@pytest.mark.parametrize("whole", [True, False], ids=["worker", "job"])
def test_room_gets_another_agent_when_one_is_killed(hub: Hub, whole: bool) -> None:
    wait_registered(hub, 2)
    room = f"killed-{whole}"
    with taking_part((), hub.env()["LIVEKIT_URL"], hub.token(room, "ann")) as ann:
        hear_again(ann)
        pid, identity = find_job(hub, room)
        if whole:
            os.kill(pid, signal.SIGKILL)
        else:
            job = identity.removeprefix("agent-")
            logs = hub.log("agent-tone") + hub.log("agent-tone-2")
            [process] = [line.split()[2] for line in logs.splitlines() if line.startswith(f"JOB {job} ")]
            os.kill(int(process), signal.SIGKILL)
        wait_until(lambda: identity not in list_agents_in(hub, room), "the dead agent is gone")
        hear_again(ann)
        assert len(list_agents_in(hub, room)) == 1
    wait_registered(hub, 2)


def test_agent_finishes_its_call_when_its_worker_is_replaced(hub: Hub) -> None:
    """By a restart, and by a rotation of the keys: each worker has the current key in its environment."""
    wait_registered(hub, 2)
    with taking_part((), hub.env()["LIVEKIT_URL"], hub.token("kept", "ann")) as ann:
        hear_again(ann)
        _, identity = find_job(hub, "kept")
        for command in (("agents", "restart", "tone"), ("keys", "rotate")):
            before = {worker["id"] for worker in list_workers(hub)}
            assert hub.run(*command).returncode == 0
            # The earlier worker is there with its one room, and two new ones.
            wait_until(lambda old=before: len({w["id"] for w in list_workers(hub)} - old) == 2, "new workers")  # type: ignore[misc]
            hear_again(ann)
            assert list_agents_in(hub, "kept") == [identity]
        used = json.loads(hub.run("keys", "list", "--json").stdout)
        assert used
        room_of_new = hub.token("after-rotation", "ben")
        with taking_part((), hub.env()["LIVEKIT_URL"], room_of_new) as ben:
            hear_again(ben)
    wait_registered(hub, 2)


# The hub's keys, the authority, the store, and where it takes orders.
SECRETS = (
    "keys.yaml",
    "managed-keys.yaml",
    "rendered/agent.secret",
    "ca/root.key",
    "run/control.sock",
    "run/media.sock",
    "store.db",
)


def test_agent_sees_nothing_of_the_hub(wheels: Path) -> None:
    """An agent is other people's code: it has a user of its own, no capability, and no variable but its own."""
    with hub_with_agent(wheels) as hub:
        tried = [str(hub.state / name) for name in SECRETS]
        agent = f"name: tone, project: tone, health: {free_port()}, env: {{TRIES: '{':'.join(tried)}'}}"
        hub.write_spec(f"{hub.tls_lines}access: {{modes: [api-keys]}}\nagents: [{{{agent}}}]\n", reach="lan")
        hub.spec.write_text(hub.spec.read_text().replace("media: {", f"media: {{tcp: {free_port()}, "))
        hub.environ["A_SECRET_OF_THE_OPERATOR"] = "hunter2"
        hub.up("--no-verify")
        wait_registered(hub, 1)
        assert [path for path in tried if not os.path.exists(path)] == [], "it would try what is not there"
        [before] = list_workers(hub)
        begun = len(hub.log("agent-tone"))
        assert hub.run("agents", "restart", "tone").returncode == 0
        wait_until(lambda: [w for w in list_workers(hub) if w["id"] != before["id"]], "another worker", INSTALL_SECONDS)
        log = hub.log("agent-tone")[begun:]
        refused = {word: re.findall(rf"^{word} (\S+) (\w+)$", log, re.MULTILINE) for word in ("REFUSED", "UNREACHED")}
        assert refused == {word: [(path, "EACCES") for path in tried] for word in refused}
        assert not re.findall(r"^(?:READ|REACHED) ", log, re.MULTILINE)
        [variables] = [line for line in log.splitlines() if line.startswith("VARIABLES")]
        assert "A_SECRET_OF_THE_OPERATOR" not in variables
        process = psutil.Process(hub.pids()["agent-tone"])
        assert process.uids().real >= 2_000_000_000
        status = Path(f"/proc/{process.pid}/status").read_text()
        assert "CapBnd:\t0000000000000000" in status
        assert "NoNewPrivs:\t1" in status
        listening = [each for each in process.net_connections("tcp") if each.status == psutil.CONN_LISTEN]
        assert {each.laddr.ip for each in listening} == {"127.0.0.1"}


def test_changed_code_runs_after_up(wheels: Path) -> None:
    with hub_with_agent(wheels) as hub:
        hub.up("--no-verify")
        wait_registered(hub, 1)
        [before] = list_workers(hub)
        hub.up("--no-verify")
        assert list_workers(hub) == [before | {"load": list_workers(hub)[0]["load"]}]
        code = hub.folder / "tone/agent.py"
        code.write_text(code.read_text().replace('os.environ.get("NAME", "")', '"renamed"'))
        hub.up("--no-verify")
        names: list[list[str]] = []
        wait_until(
            lambda: names.append([w["agent"] for w in list_workers(hub)]) or names[-1] == ["renamed"],  # type: ignore[func-returns-value]
            "the new code",
            INSTALL_SECONDS,
        )
        # Its health check is where that of the earlier worker was.
        port = hub.ports["https"]
        pid = next(row["process"]["pid"] for row in list_agents(hub) if row["process"] and row["worker"])
        found = (each for each in psutil.Process(pid).net_connections("tcp") if each.status == psutil.CONN_LISTEN)
        assert port in {each.laddr.port for each in found}
        assert [] not in names, "the earlier worker takes rooms until the new version has registered"


def test_project_that_can_not_be_installed_is_told(wheels: Path) -> None:
    with hub_with_agent(wheels) as hub:
        break_project(hub)
        hub.up("--no-verify")
        wait_until(lambda: "can't install its dependencies" in hub.log("agent-tone"), "the error")
        wait_until(lambda: "agent-install-failed" in {each["code"] for each in hub.findings()}, "the finding")
        assert "agent-not-registered" not in {each["code"] for each in hub.findings()}


def break_project(hub: Hub) -> None:
    project = hub.folder / "tone/pyproject.toml"
    project.write_text(project.read_text().replace("livekit-agents==1.8.9", "no-such-package==1"))


def test_worker_takes_rooms_while_a_new_version_can_not_be_installed(wheels: Path) -> None:
    with hub_with_agent(wheels) as hub:
        hub.up("--no-verify")
        wait_registered(hub, 1)
        [before] = list_workers(hub)
        break_project(hub)
        hub.up("--no-verify")
        [finding] = wait_until(
            lambda: [f for f in hub.findings() if f["code"] == "agent-install-failed"], "the finding"
        )
        assert "new version" in finding["title"]
        assert "no-such-package" in finding["detail"]
        assert "the new version of agent-tone could not be installed" in hub.run("up", "--detach", "--no-verify").stderr
        assert [worker["id"] for worker in list_workers(hub)] == [before["id"]]
        with taking_part((), hub.env()["LIVEKIT_URL"], hub.token("still", "ann")) as ann:
            hear_again(ann)
