import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from lkhub.host.programs import copy_programs
from tests.kit.booted import Booted, booting, make_root
from tests.kit.call import LISTENER, SPEAKER, Call, calling
from tests.kit.docker import Docker, docker_daemon
from tests.kit.fixtures import means
from tests.kit.netns import Namespace, connect, namespace
from tests.kit.wheels import build_wheel, make_release

__all__ = ["means"]

ADDRESS = "198.18.7.1"
CLIENT = "198.18.7.2"

SETUP = "/opt/setup"
"""Where lkhub is before `lkhub install` makes a copy, as in an environment of pip's."""


ENGINE = "lkhub/bin/lkhub-engine"
"""Its name in a wheel."""

Make = Callable[[str, Mapping[str, Callable[[bytes], bytes]]], str]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.targets)


@pytest.fixture(scope="session")
def debian(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Debian with lkhub in it. It never boots: machines boot from copies."""
    made = make_root(tmp_path_factory.mktemp("debian"))
    copy_programs(f"{made}{SETUP}")
    return made


@pytest.fixture(scope="module")
def root(debian: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The file system of one machine. Each file of tests has its own, since a machine keeps what was installed."""
    made = tmp_path_factory.mktemp("machine") / "root"
    subprocess.run(["cp", "--archive", "--reflink=auto", debian, made], check=True)
    yield made
    shutil.rmtree(made)


@pytest.fixture(scope="module")
def network() -> Iterator[tuple[Namespace, Namespace]]:
    """The machine's network, and that of its clients."""
    with namespace("machine") as machine, namespace("client") as client:
        connect(machine, client, "eth0")
        machine.add_address("eth0", f"{ADDRESS}/24")
        client.add_address("eth0", f"{CLIENT}/24")
        yield machine, client


@pytest.fixture(scope="module")
def booted(root: Path, network: tuple[Namespace, Namespace]) -> Iterator[Booted]:
    with booting(root, network[0]) as made:
        yield made


@pytest.fixture(scope="module")
def docker(network: tuple[Namespace, Namespace]) -> Iterator[Docker]:
    """A Docker daemon on the machine."""
    with docker_daemon(network[0]) as made:
        yield made


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout."""
    return build_wheel(tmp_path_factory.mktemp("wheels"))


@pytest.fixture(scope="module")
def make(booted: Booted, built: Path) -> Make:
    """Makes a wheel of lkhub on the machine: another version with another build of the engine, and with changed files.
    Returns its path there."""
    folder = booted.root / "srv/wheels"
    folder.mkdir(mode=0o755)

    def make(version: str, changes: Mapping[str, Callable[[bytes], bytes]]) -> str:
        # An ELF program runs with bytes after its end.
        made = make_release(built, version, {ENGINE: lambda engine: engine + b"another build", **changes})
        shutil.move(made, folder / made.name)
        return f"/srv/wheels/{made.name}"

    return make


@pytest.fixture
def call(service: Booted, network: tuple[Namespace, Namespace]) -> Iterator[Call]:
    """Two people on another machine, in a call of the hub that is the `service` of a file of tests."""
    tokens = [service.must(f"lkhub token --room lobby --identity {name}").strip() for name in (SPEAKER, LISTENER)]
    trusting = [*network[1].prefix, "env", f"SSL_CERT_FILE={service.root}/var/lib/lkhub/ca/root.crt"]
    with calling(trusting, f"wss://{ADDRESS}", *tokens) as made:
        yield made
