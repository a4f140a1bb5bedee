"""A fresh machine: Debian with Python and its venv module, and nothing else. Minutes long; `scripts/test -m bare`."""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.bare

SOURCE = Path(__file__).parents[2]

# What a container engine hands to a container, and any network needs: names and the certificates to trust.
FROM_THIS_MACHINE = ("/etc/resolv.conf", "/etc/hosts", "/etc/ssl/certs/ca-certificates.crt", "/etc/pip.conf")

TRUST_VARIABLES = ("SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS")

# The first set-up compiles the engine on whatever this machine is.
SETUP_SECONDS = 1500
# Nothing is built or fetched: the checks of `scripts/setup`, and the hub itself.
AGAIN_SECONDS = 15


class Machine:
    """A Debian root in which commands run as on a machine of their own, with its own processes."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def run(self, command: str, seconds: float = 120) -> subprocess.CompletedProcess[str]:
        script = f"mount -t proc proc {self.root}/proc && exec chroot {self.root} sh -c '{command}'"
        clean = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LANG": "C.UTF-8"}
        clean |= {name: os.environ[name] for name in TRUST_VARIABLES if name in os.environ}
        argv = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", script]
        return subprocess.run(argv, env=clean, capture_output=True, text=True, timeout=seconds, check=False)

    def must(self, command: str, seconds: float = 120) -> str:
        done = self.run(command, seconds)
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        return done.stdout


@pytest.fixture(scope="module")
def machine() -> Iterator[Machine]:
    """A bare Debian with this checkout in /lkhub, as a clone would bring it."""
    root = Path(tempfile.mkdtemp(prefix="bare-"))
    try:
        packages = "--include=python3,python3-venv,ca-certificates"
        subprocess.run(["mmdebstrap", "--quiet", "--variant=minbase", packages, "bookworm", root], check=True)
        for name in FROM_THIS_MACHINE:
            if Path(name).exists():
                (root / name[1:]).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(name, root / name[1:])
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=SOURCE, capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip
        for name in filter(None, listed.split("\0")):
            if (SOURCE / name).is_file():
                (root / "lkhub" / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(SOURCE / name, root / "lkhub" / name)
        yield Machine(root)
    finally:
        shutil.rmtree(root, ignore_errors=True)


def test_the_machine_has_python_and_nothing_to_build_with(machine: Machine) -> None:
    machine.must("python3 -m venv --help >/dev/null")
    for tool in ("go", "node", "npm", "docker", "gcc", "cc", "git"):
        assert machine.run(f"command -v {tool}").returncode != 0, f"{tool} is here; the test would prove nothing"


def test_scripts_up_makes_a_verified_hub_and_the_second_run_starts_at_once(machine: Machine) -> None:
    # All in one command: its processes end with the namespace that it runs in.
    first = machine.must(
        "cd /lkhub && scripts/up --detach && .venv/bin/lkhub status && .venv/bin/lkhub down", SETUP_SECONDS
    )
    for expected in (
        "hub is up",
        "verified udp",
        "verified turn-udp",
        "ws://127.0.0.1:7880",
        "lkhub token --room lobby --link",
        "lkhub env",
    ):
        assert expected in first
    began = time.monotonic()
    again = machine.must("cd /lkhub && scripts/up --detach && .venv/bin/lkhub down", SETUP_SECONDS)
    assert "verified udp" in again
    assert time.monotonic() - began < AGAIN_SECONDS


def test_the_wheel_alone_does_the_same_in_an_empty_environment(machine: Machine) -> None:
    machine.must("cd /lkhub && .venv/bin/pip wheel --no-deps --wheel-dir /wheels .", SETUP_SECONDS)
    [wheel] = (machine.root / "wheels").glob("lkhub-*.whl")
    assert "-py3-none-manylinux_2_17_" in wheel.name
    machine.must(
        f"mv /lkhub /gone && python3 -m venv /empty && /empty/bin/pip install --quiet /wheels/{wheel.name}", 600
    )
    shown = machine.must("cd /root && /empty/bin/lkhub up --detach && /empty/bin/lkhub status && /empty/bin/lkhub down")
    for expected in ("hub is up", "verified udp", "hub is running"):
        assert expected in shown
    page = machine.must(
        "cd /root && /empty/bin/lkhub up --detach --no-verify >/dev/null && /empty/bin/python -c "
        '"import httpx; print(httpx.get(\\"http://127.0.0.1:8080/join/lobby\\").text)"'
    )
    assert "<script" in page
