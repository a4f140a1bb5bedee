"""A hub in a container: the rendered image and compose file, on a Docker daemon."""

import json
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from lkhub.plan.container import UID, choose_agent_uid
from tests.documents import ROOT
from tests.kit.call import LISTENER, SPEAKER, Call, calling
from tests.kit.docker import BASE, Docker
from tests.kit.guide import Desk, follow
from tests.kit.netns import Namespace
from tests.targets.conftest import ADDRESS
from tests.targets.deployed import build_arguments, render_compose
from tests.targets.planned import BIND, describe_plan, read_rights
from tests.waiting import wait_until

# What an agent tries to read or to reach.
STATE = "/var/lib/lkhub"
FILES = (
    *("/etc/lkhub/hub.yaml", "/etc/shadow", "/root", "/run/secrets"),
    *(f"{STATE}/keys.yaml", f"{STATE}/ca/root.key", f"{STATE}/store.db", f"{STATE}/run/control.sock", STATE),
)

SPEC = f"""\
reach: lan
media: {{advertise: {ADDRESS}}}
drain: 20s
turn:
  external:
    - {{url: "turn:{ADDRESS}:3479", secret: {{file: SECRET_FILE}}}}
    - {{url: "turn:{ADDRESS}:3480", secret: {{env: TURN_SECRET}}}}
    - {{url: "turn:{ADDRESS}:3481", secret: {{file: third.secret}}}}
store: sqlite
access: {{modes: [api-keys]}}
agents: [{{name: bmo, project: bmo, command: "python3 tries.py {" ".join(FILES)}", env: {{WORD: a-word}}}}]
"""

IN_ENVIRONMENT = "a-secret-that-stands-in-no-file"
SECRETS = ("a-secret-of-another-folder", IN_ENVIRONMENT, "a-secret-beside-the-spec")

# Nothing of a call is interrupted while a stop waits; the rest is what a busy machine does to audio.
NO_GAP_SECONDS = 1.0

# The health check runs every 30 s, and three failures in a row make it unhealthy.
HEALTH_SECONDS = 150


@dataclass(frozen=True)
class Deployed:
    """A hub that runs by the compose file in `folder`."""

    docker: Docker
    folder: Path
    machine: Namespace
    container: str

    def compose(self, *argv: str) -> str:
        return self.docker.must("docker-compose", *argv, cwd=self.folder)

    def exec(self, command: str) -> str:
        """Run a shell's command line in the container."""
        return self.docker.must("docker", "exec", self.container, "sh", "-c", command)

    @property
    def logs(self) -> str:
        done = self.docker.run("docker", "logs", self.container)
        return done.stdout + done.stderr

    @property
    def state(self) -> Path:
        """The hub's state directory, as this machine sees it."""
        mounts = self.inspect()["Mounts"]
        return next(Path(mount["Source"]) for mount in mounts if mount["Destination"] == "/var/lib/lkhub")

    def inspect(self) -> dict[str, Any]:
        return json.loads(self.docker.must("docker", "inspect", self.container))[0]  # type: ignore[no-any-return]

    def wait_verified(self, times: int) -> None:
        """Return when the hub has been verified after so many starts of this container."""
        wait_until(lambda: self.logs.count("hub is up") == times, f"verified after {times} starts: {self.logs}")

    def list_pids(self) -> dict[str, int]:
        status = json.loads(self.docker.run("docker", "exec", self.container, "lkhub", "status", "--json").stdout)
        return {process["name"]: process["pid"] for process in status["processes"]}


@pytest.fixture(scope="module")
def folder(docker: Docker, network: tuple[Namespace, Namespace]) -> Path:
    """The folder of the spec, with the rendered files and the wheels beside it."""
    folder, elsewhere = docker.folder / "hub", docker.folder / "elsewhere"
    folder.mkdir()
    elsewhere.mkdir()
    (folder / "hub.yaml").write_text(SPEC.replace("SECRET_FILE", str(elsewhere / "turn.secret")))
    for path, secret in ((elsewhere / "turn.secret", SECRETS[0]), (folder / "third.secret", SECRETS[2])):
        path.write_text(f"{secret}\n")
        path.chmod(0o400)
        subprocess.run(["chown", str(UID), path], check=True)
    (folder / "bmo").mkdir()
    shutil.copy(Path(__file__).parent / "agent/tries.py", folder / "bmo")
    render_compose(network[0], folder)
    docker.must("docker-compose", "build", *build_arguments(), "hub", cwd=folder)
    return folder


@pytest.fixture(scope="module")
def deployed(docker: Docker, folder: Path, network: tuple[Namespace, Namespace]) -> Deployed:
    docker.must("env", f"TURN_SECRET={IN_ENVIRONMENT}", "docker-compose", "up", "--detach", cwd=folder)
    container = docker.must("docker-compose", "ps", "--quiet", "hub", cwd=folder).strip()
    made = Deployed(docker, folder, network[0], container)
    made.wait_verified(1)
    return made


@pytest.fixture
def hub(deployed: Deployed) -> Deployed:
    """The hub, running; its container is always the first one."""
    if deployed.inspect()["State"]["Status"] != "running":
        times = deployed.logs.count("hub is up")
        deployed.compose("start")
        deployed.wait_verified(times + 1)
    return deployed


def trusting(hub: Deployed, network: tuple[Namespace, Namespace]) -> list[str]:
    """What runs a program on a client that trusts the hub's root."""
    return [*network[1].prefix, "env", f"SSL_CERT_FILE={hub.state}/ca/root.crt"]


@pytest.fixture
def call(hub: Deployed, network: tuple[Namespace, Namespace]) -> Iterator[Call]:
    """Two people on another machine, in a call."""
    tokens = [hub.exec(f"lkhub token --room lobby --identity {name}").strip() for name in (SPEAKER, LISTENER)]
    with calling(trusting(hub, network), f"wss://{ADDRESS}", *tokens) as made:
        yield made


def test_image_has_nothing_of_the_spec(docker: Docker, folder: Path) -> None:
    [image] = docker.must("docker", "images", "--format", "{{.Repository}}:{{.Tag}}", "lkhub").split()
    folders = ["/etc/lkhub", "/var/lib/lkhub", "/tmp"]
    found = docker.must("docker", "run", "--rm", "--network=none", "--entrypoint=find", image, *folders)
    assert found.split() == ["/etc/lkhub", STATE, f"{STATE}/for-agents", f"{STATE}/for-agents/bmo", "/tmp"]


def test_hub_is_verified_from_another_machine(hub: Deployed, network: tuple[Namespace, Namespace]) -> None:
    for path in ("udp", "tcp", "turn-udp", "turn-tls"):
        assert f"verified {path}" in hub.logs
    variables = hub.exec("lkhub env --format dotenv").split()
    argv = [*trusting(hub, network), *variables, sys.executable, "-m", "lkhub", "verify", "--url", f"wss://{ADDRESS}"]
    done = subprocess.run([*argv, "--path", "turn-tls"], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


def test_container_becomes_healthy(hub: Deployed) -> None:
    wait_until(lambda: hub.inspect()["State"]["Health"]["Status"] == "healthy", "healthy", HEALTH_SECONDS)


def test_container_is_as_the_plan_says(hub: Deployed) -> None:
    rendered = hub.state / "rendered"
    plan = describe_plan(hub.machine.prefix, hub.folder / "hub.yaml", "lkhub.plan.container:CONTAINED", rendered)
    plan.require(hub.machine.prefix, rendered)
    described = hub.inspect()
    assert described["Config"]["StopTimeout"] == plan.drain + 30 == 50


def test_no_process_is_root_or_can_do_more_than_bind(hub: Deployed) -> None:
    pids = hub.docker.must("docker", "top", hub.container, "-eo", "pid").split()[1:]
    assert len(pids) == 5
    # Those of all processes are the same.
    [rights] = {
        read_rights(Path(f"/proc/{pid}/status").read_text(), Path(f"/proc/{pid}/limits").read_text()) for pid in pids
    }
    assert rights.users == rights.groups == {str(UID)}
    assert (rights.rights, rights.no_new) == (BIND, True)


def test_nothing_but_the_state_can_be_written(hub: Deployed) -> None:
    for path in ("/x", "/opt/lkhub/x", "/etc/lkhub/x"):
        done = hub.docker.run("docker", "exec", hub.container, "touch", path)
        assert "Read-only file system" in done.stderr


def test_secrets_reach_the_hub_and_no_file_or_log(hub: Deployed) -> None:
    for number, secret in enumerate(SECRETS, 1):
        assert (hub.state / f"rendered/turn-{number}.secret").read_text() == f"{secret}\n"
    rendered = [path for path in hub.folder.iterdir() if path.suffix not in (".whl", ".secret")]
    names = {"compose.yaml", "Dockerfile", "lkhub.sh", ".dockerignore", "hub.yaml", "bmo", ".lkhub-rendered"}
    assert {path.name for path in rendered} == names
    shown = hub.logs + "".join(path.read_text() for path in rendered if path.is_file())
    assert not [secret for secret in SECRETS if secret in shown]


def test_no_token_is_in_the_logs(hub: Deployed) -> None:
    link = hub.exec("lkhub token --room lobby --link").strip()
    # What a token of this hub begins with.
    assert link.partition("#")[2][:10] not in hub.logs
    assert "#" not in hub.logs
    assert "█" not in hub.logs
    secret = dict(line.split("=", 1) for line in hub.exec("lkhub env --format dotenv").split())["LIVEKIT_API_SECRET"]
    assert secret not in hub.logs


def tell(hub: Deployed) -> list[dict[str, Any]]:
    """What each worker of the agent has told of its attempts, the newest last."""
    log = hub.docker.must("docker-compose", "logs", "--no-color", "agent-bmo", cwd=hub.folder)
    return [json.loads(found) for found in re.findall(r"TRIED (.*)$", log, re.MULTILINE)]


def test_agent_in_a_container_of_its_own_gets_nothing_of_the_hub(hub: Deployed) -> None:
    wait_until(lambda: tell(hub), "the agent has started")
    # Root has no right to pass by the modes of files there.
    there = ["docker", "exec", "--user", str(UID), hub.container, "test", "-e"]
    assert [path for path in FILES if hub.docker.run(*there, path).returncode] == [], "it would try what is not there"
    before = len(tell(hub))
    hub.exec("lkhub agents restart bmo")
    wait_until(lambda: len(tell(hub)) > before, "there is a new worker")
    told = tell(hub)[-1]
    assert set(told["reached"]) == {path for path in FILES if path.endswith(".sock")}
    # ENOENT: its container has no such file, and the hub's has.
    assert {*told["read"].values(), *told["reached"].values()} <= {"EACCES", "EPERM", "ENOENT"}, told
    assert set(told["read"]) == set(FILES)
    assert (told["others"], told["rights"], told["written"]) == ([], False, [])
    assert (told["uid"], told["home"]) == (choose_agent_uid("bmo"), [told["variables"]["HOME"]])
    assert (told["variables"]["WORD"], told["variables"]["LIVEKIT_URL"]) == ("a-word", "ws://127.0.0.1:7880")
    [agent] = hub.docker.must("docker-compose", "ps", "--quiet", "agent-bmo", cwd=hub.folder).split()
    described = json.loads(hub.docker.must("docker", "inspect", agent))[0]
    assert described["HostConfig"]["ReadonlyRootfs"]
    status = Path(f"/proc/{described['State']['Pid']}/status").read_text()
    assert {int(each, 16) for each in re.findall(r"Cap(?:Prm|Eff|Bnd|Amb):\t(\w+)$", status, re.MULTILINE)} == {0}
    assert (
        "in a container of its own" in hub.docker.run("docker", "exec", hub.container, "lkhub", "agents", "list").stderr
    )


def test_new_key_reaches_the_agent(hub: Deployed) -> None:
    hub.exec("lkhub keys rotate")
    key = dict(line.split("=", 1) for line in hub.exec("lkhub env --format dotenv").split())["LIVEKIT_API_KEY"]
    wait_until(lambda: tell(hub)[-1]["variables"]["LIVEKIT_API_KEY"] == key, "the agent has the new key")


def test_changed_spec_is_taken_over(hub: Deployed) -> None:
    spec, pids = hub.folder / "hub.yaml", hub.list_pids()
    # As editors save: another file under the same name.
    beside = hub.folder / "hub.yaml.new"
    beside.write_text(spec.read_text().replace("[api-keys]", "[api-keys], limits: {caller: 5/second}"))
    beside.rename(spec)
    hub.exec("lkhub up")
    changed = hub.list_pids()
    assert {name for name in pids if pids[name] != changed[name]} == {"serve"}


def test_killed_supervisor_is_back_and_verified(hub: Deployed) -> None:
    described, times = hub.inspect(), hub.logs.count("hub is up")
    subprocess.run(["kill", f"-{signal.SIGKILL}", str(described["State"]["Pid"])], check=True)
    hub.wait_verified(times + 1)
    assert hub.inspect()["RestartCount"] == described["RestartCount"] + 1
    assert hub.exec("lkhub status")


def test_stop_waits_for_the_call(hub: Deployed, call: Call) -> None:
    call.watch()
    stopping = subprocess.Popen(
        ["docker-compose", "stop"],
        cwd=hub.folder,
        env=hub.docker.environ,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    wait_until(lambda: "people in a call may finish" in hub.logs, "the hub is stopping")
    gap, _ = call.disturbance()
    assert gap < NO_GAP_SECONDS, "people in a call may finish"
    assert stopping.poll() is None
    assert stopping.wait(60) == 0
    state = hub.inspect()["State"]
    assert (state["Status"], state["ExitCode"]) == ("exited", 0)


@pytest.fixture
def desk(docker: Docker, deployed: Deployed) -> Iterator[Desk]:
    """A shell on the machine, with no other hub on its ports. It has compose 1, and no registry."""
    deployed.compose("stop")
    folder = docker.folder / "guide"
    folder.mkdir()
    for wheel in deployed.folder.glob("*.whl"):
        shutil.copy(wheel, folder)
    environ = docker.environ | {"LKHUB_STATE": str(folder / ".state")}
    program = COMPOSE.format(docker=shutil.which("docker"), base=BASE)
    yield Desk(folder, deployed.machine.prefix, environ, {"docker": program})
    docker.run("docker-compose", "down", "--volumes", cwd=folder)


# docker-compose itself runs `docker exec`.
COMPOSE = """
[ "$1" = compose ] || exec {docker} "$@"
shift
case "$1" in
up) docker-compose build --build-arg BASE={base} --build-arg PIP_NO_INDEX=1; docker-compose up --detach;;
exec) shift; docker-compose exec -T "$@";;
*) docker-compose "$@";;
esac
"""


def test_a_reader_of_the_guide_gets_where_it_leads(desk: Desk, docker: Docker) -> None:
    follow(ROOT / "docs/guides/docker.md", desk)
    assert "guide" not in docker.must("docker", "volume", "ls", "--quiet")
