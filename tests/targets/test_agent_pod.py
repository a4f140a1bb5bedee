"""An agent's container with its pod's own settings, beside a hub with its pod's: in a network of its own, over TLS with
the certificate of a private authority, which the agent's image trusts."""

import json
from base64 import b64decode
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.agents.test_agents import hear_again
from tests.certificates import make
from tests.kit.docker import Docker
from tests.kit.netns import Namespace
from tests.kit.person import taking_part
from tests.render.targets.test_kubernetes import read, read_pod, render
from tests.targets.conftest import ADDRESS
from tests.targets.deployed import REGISTERING_SECONDS
from tests.targets.test_kubernetes_pod import build_image, list_options
from tests.targets.tone import IMAGE as TONE
from tests.targets.tone import UID, build_tone, read_dockerfile
from tests.waiting import wait_until

TRUSTING = "registry.example/tone:trusting"

SPEC = f"""\
reach: lan
tls: {{mode: files, cert: cert.pem, key: key.pem}}
media: {{advertise: {ADDRESS}}}
drain: 20s
agents: [{{name: tone, image: "{TRUSTING}"}}]
"""

AUTHORITY = make("root", ca=True)
LEAF = make("", AUTHORITY, names=[ADDRESS])

FORM = "host-network"


@dataclass(frozen=True)
class Cluster:
    """The containers of a hub and of its agent."""

    docker: Docker
    files: dict[str, str]

    def lkhub(self, *argv: str) -> str:
        return self.docker.must("docker", "exec", "hub", "lkhub", *argv)

    def run_hub(self) -> None:
        pod = read_pod(self.files, FORM)
        [container] = pod["containers"]
        folder = self.docker.folder / "pod"
        folder.mkdir(mode=0o711)
        data = read(self.files[f"{FORM}/configmap.yaml"])["data"]
        data |= {"cert.pem": LEAF.pem + AUTHORITY.pem, "key.pem": LEAF.key_pem}
        argv = list_options(pod, container, folder, data)
        self.docker.must("docker", "run", "--detach", "--name=hub", *argv, container["image"], *container["args"])
        probe = container["startupProbe"]["exec"]["command"]
        wait_until(lambda: self.docker.run("docker", "exec", "hub", *probe).returncode == 0, "the hub is up", 120)

    def run_agent(self, image: str) -> None:
        """Start the agent, with the variables that the hub has printed as a Secret."""
        self.docker.run("docker", "rm", "--force", "agent")
        pod = read(self.files[f"{FORM}/agent-tone.yaml"])["spec"]["template"]["spec"]
        [container] = pod["containers"]
        secret = json.loads(self.lkhub("agents", "env", "tone", "--format", "secret"))
        assert container["envFrom"] == [{"secretRef": {"name": secret["metadata"]["name"]}}]
        variables = {name: b64decode(value).decode() for name, value in secret["data"].items()}
        argv = [*list_agent_options(pod, container), *(f"--env={name}={value}" for name, value in variables.items())]
        self.docker.must("docker", "run", "--detach", "--name=agent", *argv, image)

    @property
    def logs(self) -> str:
        """What the agent has written."""
        done = self.docker.run("docker", "logs", "agent")
        return done.stdout + done.stderr

    def list_workers(self) -> list[str]:
        agents = json.loads(self.lkhub("agents", "list", "--json"))["agents"]
        return [row["worker"]["id"] for row in agents if row["worker"]]


def list_agent_options(pod: dict[str, Any], container: dict[str, Any]) -> Iterator[str]:
    """The options of `docker run` that the agent's pod comes to. The network is Docker's own, as that of a pod is."""
    known = {"automountServiceAccountToken", "enableServiceLinks", "containers"}
    assert set(pod) - known == {"terminationGracePeriodSeconds", "securityContext"}
    assert pod["securityContext"] == {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    assert set(container) == {"name", "image", "envFrom", "securityContext", "resources"}
    assert container["securityContext"] == {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    yield f"--stop-timeout={pod['terminationGracePeriodSeconds']}"
    yield from ("--security-opt=no-new-privileges", "--cap-drop=ALL")


@pytest.fixture(scope="module")
def cluster(docker: Docker) -> Cluster:
    build_tone(docker, build_image(docker))
    trust = docker.folder / "trust"
    trust.mkdir()
    # It makes an image that trusts the authority.
    (trust / "Dockerfile").write_text(read_dockerfile("kubernetes.md", TONE))
    (trust / "root.crt").write_text(AUTHORITY.pem)
    (trust / "root.crt").chmod(0o600)  # the agent's user must be able to read it all the same
    docker.must("docker", "build", "--tag", TRUSTING, ".", cwd=trust)
    made = Cluster(docker, render(SPEC, FORM))
    made.run_hub()
    return made


def test_agent_in_a_network_of_its_own_is_heard(
    cluster: Cluster, network: tuple[Namespace, Namespace], tmp_path: Path
) -> None:
    cluster.run_agent(TRUSTING)
    wait_until(cluster.list_workers, f"a worker: {cluster.logs}", REGISTERING_SECONDS)
    described = json.loads(cluster.docker.must("docker", "inspect", "agent"))[0]
    # A kubelet refuses a user that is root, or that is only a name.
    assert described["Config"]["User"] == str(UID)
    assert described["HostConfig"]["NetworkMode"] in ("bridge", "default")
    assert f"LIVEKIT_URL=wss://{ADDRESS}" in described["Config"]["Env"]
    (tmp_path / "root.crt").write_text(AUTHORITY.pem)
    prefix = [*network[1].prefix, "env", f"SSL_CERT_FILE={tmp_path}/root.crt"]
    token = cluster.lkhub("token", "--room", "greeted", "--identity", "ann").strip()
    with taking_part(prefix, f"wss://{ADDRESS}", token) as ann:
        hear_again(ann)


def test_agent_that_does_not_trust_the_authority_says_so(cluster: Cluster) -> None:
    cluster.run_agent(TONE)
    wait_until(lambda: "CERTIFICATE_VERIFY_FAILED" in cluster.logs, "the error", REGISTERING_SECONDS)
    assert cluster.list_workers() == []
