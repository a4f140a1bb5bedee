"""The sovereign hub in a container, with the certificate of its name in a tailnet through the mounted socket."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from lkhub.plan.container import UID
from lkhub.render.targets.compose import TAILSCALED
from tests.kit.docker import BASE, Docker
from tests.kit.netns import Namespace
from tests.kit.tailscaled import run_tailscaled
from tests.targets.deployed import build_arguments, render_compose
from tests.targets.tailnet import ADDRESS, NAME, SPEC, Tailnet, tailnet
from tests.waiting import wait_until

# A base that trusts the authority of the tailnet's certificates, which is a public one outside of tests.
TRUSTING = f"""\
FROM {BASE}
COPY root.pem /usr/local/share/ca-certificates/root.crt
RUN update-ca-certificates
"""

# What a name server of the tailnet does.
NAMING = f"services: {{hub: {{extra_hosts: ['{NAME}:{ADDRESS}']}}}}\n"

FILES = ("--file", "compose.yaml", "--file", "naming.yaml")

# Docker starts the container again after seconds that double each time.
SECONDS = 150


@pytest.fixture(scope="module")
def net(docker: Docker, network: tuple[Namespace, Namespace]) -> Iterator[Tailnet]:
    """Its tailscaled has its socket in a folder of the test's, in place of the machine's own."""
    folder = docker.folder / "tailscale"
    folder.mkdir()
    with tailnet(*network, docker.folder) as made, run_tailscaled(f"{folder}/tailscaled.sock", made.daemon):
        yield made


@pytest.fixture(scope="module")
def folder(docker: Docker, net: Tailnet, network: tuple[Namespace, Namespace]) -> Path:
    """The folder of the spec, with the rendered files and the image built."""
    base, folder, where = docker.folder / "base", docker.folder / "hub", docker.folder / "tailscale"
    for each in (base, folder):
        each.mkdir()
    (base / "Dockerfile").write_text(TRUSTING)
    (base / "root.pem").write_text(net.root.pem)
    docker.must("docker", "build", "--tag", "trusting", ".", cwd=base)
    (folder / "hub.yaml").write_text(SPEC)
    render_compose(network[0], folder, TS_SOCKET=f"{where}/tailscaled.sock")
    rendered = folder / "compose.yaml"
    mounted = f"{TAILSCALED}:{TAILSCALED}:ro"
    assert rendered.read_text().count(mounted) == 1
    rendered.write_text(rendered.read_text().replace(mounted, f"{where}:{TAILSCALED}:ro"))
    (folder / "naming.yaml").write_text(NAMING)
    docker.must("docker-compose", *FILES, "build", *build_arguments("trusting"), "hub", cwd=folder)
    return folder


def test_container_gets_its_certificate_once_its_user_is_the_operator(
    docker: Docker, folder: Path, net: Tailnet
) -> None:
    def compose(*argv: str) -> str:
        return docker.must("docker-compose", *FILES, *argv, cwd=folder)

    compose("up", "--detach")
    wait_until(lambda: "tailscaled gives lkhub no certificates" in compose("logs", "hub"), "the hub is refused")
    assert "sudo tailscale set --operator=lkhub" in compose("logs", "hub")
    assert net.daemon.operators is not None
    net.daemon.operators.add(UID)
    wait_until(lambda: "sovereign is up" in compose("logs", "hub"), "the hub is verified", SECONDS)
    assert net.shake_hands() == net.certificate.pem.strip()
    variables = compose("exec", "-T", "hub", "lkhub", "env", "--format", "dotenv").split()
    assert f"LIVEKIT_URL=wss://{NAME}" in variables
    assert f"to udp host {ADDRESS}:" in net.verify(variables)
