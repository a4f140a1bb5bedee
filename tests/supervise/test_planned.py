"""Processes with names that are unknown to lkhub: the supervisor acts only on their plans."""

import json
import os
import pwd
import shutil
import signal
import socket
import sys
import urllib.request
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio.to_thread
import pytest

from lkhub.errors import MachineError
from lkhub.plan.paths import StatePaths
from lkhub.plan.process import Health, HeldSocket, ProcessPlan, Variable
from lkhub.prepare.hub import PreparedHub, fingerprint
from lkhub.supervise.adopt import adopt
from lkhub.supervise.left import find_running
from lkhub.wire.control import Outcome, PendingChange
from tests.kit.ports import free_port
from tests.supervise.conftest import IN_A_CALL, MakeHub, pids, states, status_of, supervising, watchers_of
from tests.waiting import until

pytestmark = pytest.mark.anyio

CANARY, FROM_FILE = "canary-7f3e9a-of-the-environment", "canary-51bd02-of-a-file"

# At its URL it reports its folder, its user and its environment.
SERVER = """
import http.server, json, os, signal, sys

class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        told = {"folder": os.getcwd(), "user": os.getuid(), "lengths": [len(os.environ[n]) for n in ("TOKEN", "KEY")],
                "others": [n for n in os.environ if n.startswith("PRIVATE_")]}
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(told).encode())

    def log_message(self, *_):
        pass

def end(*_):
    print("asked to end", flush=True)
    os._exit(0)

signal.signal(signal.SIGTERM, end)
print("starts", flush=True)
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Answer).serve_forever()
"""

SYSTEM_PYTHON = shutil.which("python3", path="/usr/bin:/bin") or ""
CAN_CHANGE_USER = os.geteuid() == 0 and bool(SYSTEM_PYTHON)


@pytest.fixture
def folder(short_dir: Path) -> Path:
    """A working folder that every user may enter."""
    short_dir.chmod(0o755)
    (short_dir / "site").mkdir()
    (short_dir / "site").chmod(0o755)
    (short_dir / "key").write_text(FROM_FILE + "\n")
    (short_dir / "key").chmod(0o600)
    return short_dir / "site"


def plan_site(folder: Path, **roles: Any) -> ProcessPlan:
    port = free_port()
    user = {"user": "nobody"} if CAN_CHANGE_USER else {}
    return ProcessPlan(
        name="jwt-service",
        argv=(SYSTEM_PYTHON if CAN_CHANGE_USER else sys.executable, "-ISs", "-c", SERVER, str(port)),
        health=Health(url=f"http://127.0.0.1:{port}/"),
        variables=(
            Variable("TOKEN", env="OPERATORS_TOKEN"),
            Variable("KEY", file=str(folder.parent / "key")),
        ),
        folder=str(folder),
        **(user | {"stop_order": 2, "drain": 20} | roles),
    )


def with_process(hub: PreparedHub, process: ProcessPlan) -> PreparedHub:
    environ = {"OPERATORS_TOKEN": CANARY}
    return replace(
        hub,
        plan=replace(hub.plan, processes=(*hub.plan.processes, process)),
        fingerprints={**hub.fingerprints, process.name: fingerprint(process, hub.files, environ)},
        environ=environ,
    )


async def ask(process: ProcessPlan) -> dict[str, Any]:
    def read() -> dict[str, Any]:
        with urllib.request.urlopen(process.health.url or "", timeout=30) as answer:
            told: dict[str, Any] = json.load(answer)
        return told

    return await anyio.to_thread.run_sync(read)


def find_canaries(paths: StatePaths, said: list[str], running: dict[str, int | None]) -> list[str]:
    """Where a secret can be read that only the process itself may have."""
    texts = {"what is said": "\n".join(said).encode()}
    for file in Path(paths.root).rglob("*"):
        if file.is_file():
            texts[str(file)] = file.read_bytes()
    for name, pid in running.items():
        texts[f"the command line of {name}"] = Path(f"/proc/{pid}/cmdline").read_bytes()
        variables = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        texts[f"the environment of {name}"] = b"\0".join(v for v in variables if not v.startswith((b"TOKEN=", b"KEY=")))
    canaries = (CANARY.encode(), FROM_FILE.encode())
    return [where for where, text in texts.items() if any(canary in text for canary in canaries)]


async def test_process_of_any_name_is_started_watched_taken_over_and_ended(
    paths: StatePaths, said: list[str], make_hub: MakeHub, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PRIVATE_TO_THE_SUPERVISOR", "x")
    site = plan_site(folder)
    hub = with_process(make_hub(media={}, serve={}), site)
    told = {
        "folder": str(folder),
        "user": pwd.getpwnam("nobody").pw_uid if CAN_CHANGE_USER else os.getuid(),
        "lengths": [len(CANARY), len(FROM_FILE)],
        "others": [] if CAN_CHANGE_USER else ["PRIVATE_TO_THE_SUPERVISOR"],
    }
    async with supervising(paths, said, leave=True) as first:
        started = ("media", "serve", "jwt-service")
        assert await first.apply(hub) == Outcome(started, new=started)
        assert await ask(site) == told
        assert [row["name"] for row in status_of(first)["processes"]] == ["media", "serve", "jwt-service"]
        before = pids(first)["jwt-service"]
        assert before is not None
        os.kill(before, signal.SIGKILL)
        await until(lambda: first.children["jwt-service"].restarts == 1, "its end")
        await until(lambda: states(first)["jwt-service"] == "running", "the restart")
        assert await ask(site) == told
        running = pids(first)
        assert find_canaries(paths, said, running) == []
    async with supervising(paths, said) as second:
        await adopt(second, hub.plan.processes)
        assert pids(second) == running
        assert await second.apply(hub) == Outcome(())
        assert await ask(site) == told
        ended: list[str] = []
        for name, child in second.children.items():

            async def stop(how: Any, name: str = name, stop_child: Any = child.stop) -> None:
                await stop_child(how)
                ended.append(f"{name}: {how}")

            child.stop = stop  # type: ignore[method-assign]
        await second.stop("drain")
        assert ended == ["media: drain", "serve: now", "jwt-service: drain"]
        assert find_canaries(paths, said, {}) == []
    assert Path(paths.log("jwt-service")).read_text().split("\n") == ["starts", "starts", "asked to end", ""]
    assert not os.path.exists(paths.record("jwt-service"))


async def test_one_whose_record_is_lost_is_known_by_its_mark_wherever_it_is_asked(
    paths: StatePaths, said: list[str], make_hub: MakeHub, folder: Path
) -> None:
    hub = with_process(make_hub(media={}), plan_site(folder, user=""))
    async with supervising(paths, said, leave=True) as first:
        await first.apply(hub)
        before = pids(first)
    os.unlink(paths.record("jwt-service"))
    async with supervising(paths, said) as second:
        await adopt(second, hub.plan.processes)
        assert pids(second) == before
        assert second.children["jwt-service"].plan == hub.plan.processes[-1]
        assert await second.apply(hub) == Outcome(())


@pytest.mark.skipif(not CAN_CHANGE_USER, reason="only root can start a process as another user")
async def test_mark_of_another_users_process_is_not_believed(
    paths: StatePaths, said: list[str], make_hub: MakeHub, folder: Path
) -> None:
    """Every user can give a process of theirs a mark of this hub."""
    async with supervising(paths, said) as supervisor:
        await supervisor.apply(with_process(make_hub(media={}), plan_site(folder)))
        os.unlink(paths.record("jwt-service"))
        assert [left.name for left in find_running(paths)] == ["media"]
        await supervisor.write_missing()
        assert [left.name for left in find_running(paths)] == ["jwt-service", "media"]


async def test_what_died_with_its_supervisor_is_started_again_with_its_environment(
    paths: StatePaths, said: list[str], make_hub: MakeHub, folder: Path
) -> None:
    site = plan_site(folder)
    hub = with_process(make_hub(media={"rooms": IN_A_CALL}), site)
    async with supervising(paths, said, leave=True) as first:
        await first.apply(hub)
        before = pids(first)["jwt-service"]
        assert before is not None
    os.kill(before, signal.SIGKILL)
    async with supervising(paths, said) as second:
        second.shared.use_environ(hub.environ)
        await adopt(second, hub.plan.processes)
        assert (await ask(site))["lengths"] == [len(CANARY), len(FROM_FILE)]


async def test_variable_that_can_not_be_resolved_is_told_without_what_is_known_and_nothing_is_interrupted(
    paths: StatePaths, said: list[str], make_hub: MakeHub, folder: Path
) -> None:
    hub, site = make_hub(media={}), plan_site(folder)
    wanted = replace(with_process(hub, site), environ={})
    async with supervising(paths, said) as supervisor:
        await supervisor.apply(hub)
        before = pids(supervisor)
        (folder.parent / "key").unlink()
        both = r"can't start jwt-service: .*TOKEN: .*OPERATORS_TOKEN is not set; KEY: "
        with pytest.raises(MachineError, match=both) as refused:
            await supervisor.apply(wanted)
        assert "the change was not made" in refused.value.message
        assert pids(supervisor) == before
        assert CANARY not in "\n".join([*said, refused.value.message])


@pytest.mark.parametrize("name", ["", "hub", "control", "lock", "Media", "../media", "a b", "a" * 33, "ünï"])
def test_name_that_is_no_file_of_its_own_is_none_of_a_process(name: str) -> None:
    with pytest.raises(ValueError, match="can't be the name"):
        ProcessPlan(name, ("/bin/true",))


@pytest.mark.parametrize(("user", "why"), [("no-such-user", "there is no user no-such-user")])
async def test_user_that_is_not_there_is_told(
    paths: StatePaths, said: list[str], make_hub: MakeHub, folder: Path, user: str, why: str
) -> None:
    async with supervising(paths, said) as supervisor:
        with pytest.raises(MachineError, match=why):
            await supervisor.apply(with_process(make_hub(media={}), plan_site(folder, user=user)))


async def test_folder_that_is_not_there_is_told(
    paths: StatePaths, said: list[str], make_hub: MakeHub, folder: Path
) -> None:
    site = replace(plan_site(folder), folder=f"{folder}/nowhere")
    async with supervising(paths, said) as supervisor:
        with pytest.raises(MachineError, match=f"can't start {folder}/nowhere: no such file"):
            await supervisor.apply(with_process(make_hub(media={}), site))


def plan_build(folder: Path, command: str, **roles: Any) -> ProcessPlan:
    return ProcessPlan("site-build", ("sh", "-c", command), folder=str(folder), restart="on-failure", **roles)


async def test_process_that_is_to_end_well_is_done_then_and_is_not_started_again(
    paths: StatePaths, said: list[str], make_hub: MakeHub, folder: Path
) -> None:
    """As the build of a site."""
    hub = with_process(make_hub(media={}), plan_build(folder, "echo built; exit 0"))
    async with supervising(paths, said) as supervisor:
        await supervisor.apply(hub)
        await until(lambda: supervisor.children["site-build"].done, "its end")
        assert await supervisor.apply(hub) == Outcome(())
        [_, row] = status_of(supervisor)["processes"]
        assert (row["state"], row["done"], row["pid"], row["restarts"]) == ("stopped", True, None, 0)
        assert Path(paths.log("site-build")).read_text() == "built\n"
        assert not os.path.exists(paths.record("site-build"))
        await supervisor.restart(["site-build"])
        await until(lambda: Path(paths.log("site-build")).read_text() == "built\n" * 2, "the second build")


async def test_process_that_is_to_end_well_is_tried_again_where_it_fails(
    paths: StatePaths, said: list[str], make_hub: MakeHub, folder: Path
) -> None:
    ready = folder.parent / "ready"
    command = f"sleep 0.05; test -e {ready} || exit 3"
    async with supervising(paths, said) as supervisor:
        await supervisor.apply(with_process(make_hub(media={}), plan_build(folder, command)))
        await until(lambda: supervisor.children["site-build"].restarts >= 2, "two tries")
        assert any("site-build ended with exit code 3" in line for line in said)
        ready.touch()
        await until(lambda: supervisor.children["site-build"].done, "its end")


async def test_sockets_that_are_held_for_it_stay_open_while_it_restarts(
    paths: StatePaths, said: list[str], make_hub: MakeHub, folder: Path
) -> None:
    held = HeldSocket("127.0.0.1", free_port())
    agent = ProcessPlan("agent", ("/bin/sh", "-c", "exec sleep 60"), listens=(held,))
    async with supervising(paths, said) as supervisor:
        await supervisor.apply(with_process(make_hub(media={}), agent))
        await supervisor.restart(["agent"])
        with socket.create_connection(held, timeout=5):
            pass


async def test_one_that_can_be_asked_nothing_hangs_only_where_it_is_stopped(
    paths: StatePaths, said: list[str], make_hub: MakeHub, folder: Path
) -> None:
    agent = ProcessPlan("agent", ("/bin/sh", "-c", "exec sleep 60"))
    async with supervising(paths, said) as supervisor:
        supervisor.shared.timings = replace(supervisor.shared.timings, hanging_patience=0.0)
        await supervisor.apply(with_process(make_hub(media={}), agent))
        looks = watchers_of(supervisor).hanging
        await looks.look()
        assert looks.find(supervisor.children["agent"]) is None
        pid = pids(supervisor)["agent"]
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        await looks.look()
        await until(lambda: Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T", "the stop")
        await looks.look()
        assert looks.find(supervisor.children["agent"]) is not None
        os.kill(pid, signal.SIGCONT)


async def test_change_of_one_that_carries_calls_waits_and_says_who_comes_through_it(
    paths: StatePaths, said: list[str], make_hub: MakeHub
) -> None:
    agent = ProcessPlan("agent", ("/bin/sh", "-c", "exec sleep 60"), carries_calls=True)
    hub = make_hub(media={"rooms": IN_A_CALL})
    async with supervising(paths, said) as supervisor:
        await supervisor.apply(with_process(hub, agent))
        wanted = with_process(hub, replace(agent, argv=("/bin/sh", "-c", "exec sleep 61")))
        assert await supervisor.apply(wanted) == Outcome(("agent",), pending=True, people=2, only_through=("agent",))
        assert supervisor.pending
        assert supervisor.pending.change == PendingChange(("agent",), 2, ("agent",))
        assert await supervisor.apply(wanted, now=True) == Outcome(("agent",), cut=2, only_through=("agent",))


@pytest.mark.parametrize(("before", "after"), [("127.0.0.1", ""), ("", "127.0.0.1")])
async def test_sockets_of_a_change_that_was_refused_are_closed(
    paths: StatePaths, said: list[str], make_hub: MakeHub, before: str, after: str
) -> None:
    """They keep what ran before from its own port, and every other program from a port that the hub does not use."""
    port, other = free_port(), free_port()
    agent = ProcessPlan("agent", ("/bin/sh", "-c", "exec sleep 60"), listens=(HeldSocket(before, port),))
    refused = replace(
        agent,
        argv=("/bin/sh", "-c", "exit 1"),
        health=Health(url=f"http://127.0.0.1:{free_port()}/"),
        listens=(HeldSocket(after, port), HeldSocket("127.0.0.1", other)),
    )
    hub = make_hub(media={})
    async with supervising(paths, said) as supervisor:
        await supervisor.apply(with_process(hub, agent))
        with pytest.raises(MachineError, match="what ran before is running again"):
            await supervisor.apply(with_process(hub, refused))
        assert states(supervisor)["agent"] == "running"
        with socket.create_connection(("127.0.0.1", port), timeout=5):
            pass
        socket.create_server(("127.0.0.1", other)).close()
