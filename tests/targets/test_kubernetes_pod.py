"""The pod's container on a Docker daemon, with the pod's own settings: what a kubelet would hand to its runtime."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from lkhub.plan.container import UID
from lkhub.render.targets.image import render_image
from lkhub.render.targets.kubernetes.pod import Network
from lkhub.render.targets.kubernetes.target import IMAGE
from tests.documents import ROOT
from tests.kit.docker import Docker
from tests.kit.netns import Namespace, dropping
from tests.kit.wheels import make_wheels
from tests.render.targets.test_kubernetes import read, read_pod, render
from tests.targets.conftest import ADDRESS
from tests.targets.deployed import build_arguments
from tests.targets.planned import BIND, describe_plan, read_rights
from tests.waiting import wait_until

# A balancer's address. Documentation addresses are not public.
BALANCER = "1.2.3.4"

# The node's address that clients of the pod are not told.
NOT_TOLD = {"host-network": BALANCER, "load-balancer": ADDRESS}

SECRETS = {"TURN_SECRET": "a-secret-of-the-environment", "turn.secret": "a-secret-in-a-file\n"}
TURN = f"""\
turn:
  external:
    - {{url: "turn:{ADDRESS}:3479", secret: {{env: TURN_SECRET}}}}
    - {{url: "turn:{ADDRESS}:3480", secret: {{file: turn.secret}}}}
"""
SPECS: dict[Network, str] = {
    "host-network": f"reach: lan\ndrain: 20s\nmedia: {{advertise: {ADDRESS}}}\n{TURN}",
    "load-balancer": (
        "reach: public\ndomain: hub.test\ntls: {mode: internal}\ndrain: 20s\n"
        f"media: {{advertise: {BALANCER}}}\n{TURN}"
    ),
}


def build_image(docker: Docker) -> Path:
    """Build the hub's image. Returns its folder, which has the wheels."""
    folder = docker.folder / "hub"
    folder.mkdir()
    for file in render_image():
        (folder / file.name).write_text(file.text)
    make_wheels(folder)
    docker.must("docker", "build", "--tag", IMAGE, *build_arguments(), ".", cwd=folder)
    return folder


@pytest.fixture(scope="module")
def node(docker: Docker) -> Docker:
    """The daemon of the node, with the image."""
    build_image(docker)
    return docker


@dataclass(frozen=True)
class Running:
    """The pod's container."""

    docker: Docker
    container: dict[str, Any]
    name: Network

    @property
    def spec(self) -> str:
        return SPECS[self.name]

    def exec(self, *command: str) -> subprocess.CompletedProcess[str]:
        """What `kubectl exec` does."""
        return self.docker.run("docker", "exec", self.name, *command)

    def probe(self, kind: str) -> bool:
        return self.exec(*self.container[f"{kind}Probe"]["exec"]["command"]).returncode == 0

    @property
    def logs(self) -> str:
        done = self.docker.run("docker", "logs", self.name)
        return done.stdout + done.stderr


@pytest.fixture(scope="module", params=SPECS)
def running(request: pytest.FixtureRequest, node: Docker, network: tuple[Namespace, Namespace]) -> Iterator[Running]:
    form: Network = request.param
    network[0].run("ip", "address", "replace", f"{BALANCER}/32", "dev", "eth0")
    files = render(SPECS[form], form)
    pod = read_pod(files, form)
    [container] = pod["containers"]
    folder = node.folder / form
    folder.mkdir()
    folder.chmod(0o711)
    data = read(files[f"{form}/configmap.yaml"])["data"]
    argv = list_options(pod, container, folder, data)
    node.must("docker", "run", "--detach", "--name", form, *argv, container["image"], *container["args"])
    made = Running(node, container, form)
    wait_until(lambda: made.probe("startup"), f"the startup probe: {form}")
    yield made
    node.must("docker", "rm", "--force", form)


def list_options(pod: dict[str, Any], container: dict[str, Any], folder: Path, data: dict[str, str]) -> Iterator[str]:
    """The options of `docker run` that a kubelet's request to a container runtime comes to. No key may be unknown
    here: the test would leave it out."""
    known = {"automountServiceAccountToken", "enableServiceLinks", "nodeSelector", "dnsPolicy", "containers"}
    assert set(pod) - known <= {"hostNetwork", "terminationGracePeriodSeconds", "securityContext", "volumes"}
    user = pod["securityContext"]
    assert user["seccompProfile"] == {"type": "RuntimeDefault"}  # Docker's own default too
    yield f"--user={user['runAsUser']}:{user['runAsGroup']}"
    yield f"--group-add={user['fsGroup']}"
    yield from (f"--sysctl={each['name']}={each['value']}" for each in user.get("sysctls", ()))
    yield f"--stop-timeout={pod['terminationGracePeriodSeconds']}"
    limits = container["securityContext"]
    assert limits["allowPrivilegeEscalation"] is False
    assert limits["readOnlyRootFilesystem"] is True
    yield from ("--security-opt=no-new-privileges", "--read-only")
    yield from (f"--cap-drop={name}" for name in limits["capabilities"]["drop"])
    yield from (f"--cap-add={name}" for name in limits["capabilities"].get("add", ()))
    if pod.get("hostNetwork"):
        yield "--network=host"
    else:
        for port in container["ports"]:
            number = port["containerPort"]
            yield f"--publish={BALANCER}:{number}:{number}/{port['protocol'].lower()}"
    for variable in container["env"]:
        value = variable.get("value") or SECRETS[variable["valueFrom"]["secretKeyRef"]["key"]]
        yield f"--env={variable['name']}={value}"
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    for mount in container["volumeMounts"]:
        where, name = mount["mountPath"], mount["name"]
        if "emptyDir" in volumes.get(name, {}):
            yield f"--tmpfs={where}:mode=1777,size=64m"
            continue
        made = fill(folder / name, volumes.get(name), data, user["fsGroup"])
        yield f"--volume={made}:{where}{':ro' if mount.get('readOnly') else ''}"


def fill(folder: Path, volume: dict[str, Any] | None, data: dict[str, str], group: int) -> Path:
    """A folder as a kubelet fills it. None: a new volume, which is root's and has a folder of the file system's in
    it."""
    folder.mkdir()
    if volume is None:
        (folder / "lost+found").mkdir(mode=0o700)
        os.chown(folder, 0, group)
        folder.chmod(0o2775)
        return folder
    mode = (volume.get("projected") or volume["secret"])["defaultMode"]
    texts = dict(data) if "projected" in volume else {}
    if "secret" in volume:
        texts |= {item["path"]: SECRETS[item["key"]] for item in volume["secret"]["items"]}
    for name, text in texts.items():
        (folder / name).write_text(text)
        (folder / name).chmod(mode)
        os.chown(folder / name, 0, group)
    return folder


def test_hub_is_up_in_its_pod_and_verified(running: Running) -> None:
    wait_until(lambda: "hub is up" in running.logs or "error" in running.logs, "the hub has called itself")
    status = json.loads(running.exec("lkhub", "status", "--json").stdout)
    assert {process["state"] for process in status["processes"]} == {"running"}, running.logs
    paths = {path["path"]: path["ok"] for path in status["verified"]["paths"]}
    assert paths
    assert set(paths.values()) == {True}, running.logs
    assert all(running.probe(kind) for kind in ("startup", "readiness", "liveness"))


def test_container_is_as_the_plan_says(running: Running, tmp_path: Path) -> None:
    """The plan is made in the pod's network, and the ports of the manifest were planned without knowing it."""
    spec = tmp_path / "hub.yaml"
    spec.write_text(running.spec)
    pid = running.docker.must("docker", "inspect", "--format={{.State.Pid}}", running.name).strip()
    pod = ["nsenter", f"--net=/proc/{pid}/ns/net"]
    rendered = running.docker.folder / running.name / "state/hub/rendered"
    plan = describe_plan(pod, spec, "lkhub.render.targets.kubernetes.target:INSTALLATION", rendered)
    plan.require(pod, rendered)
    assert plan.drain == 20
    listed = {(port["protocol"].lower(), str(port["containerPort"])) for port in running.container["ports"]}
    assert listed <= {(protocol, port) for protocol, _, port in plan.listeners}


def test_client_on_another_machine_gets_through(running: Running, network: tuple[Namespace, Namespace]) -> None:
    client = network[1]
    client.run("ip", "route", "replace", BALANCER, "dev", "eth0")
    client.name_hosts({"hub.test": BALANCER})
    host = ADDRESS if running.name == "host-network" else "hub.test"
    key = running.exec("lkhub", "env", "--format", "dotenv").stdout.split()
    trusted = f"SSL_CERT_FILE={running.docker.folder}/{running.name}/state/hub/ca/root.crt"
    paths = ("udp", "tcp", "turn-tls")
    argv = [*client.prefix, "env", trusted, *key, sys.executable, "-m", "lkhub", "verify", "--url", f"wss://{host}"]
    argv += [f"--path={path}" for path in paths]
    # Media sends to the client's address too, which a client behind a NAT would not get.
    with dropping(client, f"ip saddr {NOT_TOLD[running.name]} meta l4proto udp"):
        done = subprocess.run([*argv, "--json"], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    assert [path["path"] for path in json.loads(done.stdout)["paths"] if path["ok"]] == list(paths)


def test_hub_has_its_user_and_no_more_rights(running: Running) -> None:
    pids = running.docker.must("docker", "top", running.name, "-eo", "pid").split()[1:]
    # Those of all processes are the same.
    [rights] = {
        read_rights(Path(f"/proc/{pid}/status").read_text(), Path(f"/proc/{pid}/limits").read_text()) for pid in pids
    }
    assert rights.users == rights.groups == {str(UID)}
    assert (rights.rights, rights.no_new) == (BIND if running.name == "host-network" else 0, True)
    assert not any(secret.strip() in running.logs for secret in SECRETS.values())


def test_supervisor_that_hangs_fails_liveness_and_no_readiness(running: Running) -> None:
    pid = running.docker.must("docker", "inspect", "--format={{.State.Pid}}", running.name).strip()
    subprocess.run(["kill", "-STOP", pid], check=True)
    try:
        assert not running.probe("liveness")
        assert running.probe("readiness")
    finally:
        subprocess.run(["kill", "-CONT", pid], check=True)
    wait_until(lambda: running.probe("liveness"), "the supervisor answers again")


def test_media_that_is_gone_fails_readiness_and_no_liveness(running: Running) -> None:
    listed = running.docker.must("docker", "top", running.name, "-o", "pid,args").splitlines()
    [pid] = [line.split()[0] for line in listed if "lkhub-engine media" in line]
    # Frozen, since a process that has ended is started again within milliseconds.
    subprocess.run(["kill", "-STOP", pid], check=True)
    try:
        assert not running.probe("readiness")
        assert running.probe("liveness")
    finally:
        subprocess.run(["kill", "-CONT", pid], check=True)
    wait_until(lambda: running.probe("readiness"), "media answers again")


def test_an_empty_hub_stops_at_once(running: Running) -> None:
    running.docker.must("docker", "stop", running.name)
    state = json.loads(running.docker.must("docker", "inspect", running.name))[0]["State"]
    assert state["ExitCode"] == 0
    running.docker.must("docker", "start", running.name)
    wait_until(lambda: running.probe("readiness"), "the hub runs again, with the state that it has kept")
