"""Another version beside the one that has calls, with two media processes, on a machine that systemd has booted."""

import json
import subprocess
import tempfile
from collections.abc import Iterator

import pytest

from tests.kit.booted import Booted
from tests.kit.call import Call
from tests.kit.netns import Namespace
from tests.targets.conftest import ADDRESS, SETUP, Make
from tests.targets.test_systemd import NO_GAP_SECONDS, list_pids
from tests.targets.test_upgrade import ask_version
from tests.waiting import wait_until

SPEC = f"""\
reach: lan
media: {{advertise: {ADDRESS}, udp: [7882, 7892], tcp: [7881, 7891]}}
redis: redis://127.0.0.1:6379
drain: 20s
"""


@pytest.fixture(scope="module")
def redis(network: tuple[Namespace, Namespace]) -> Iterator[None]:
    """A Redis on the machine."""
    with tempfile.TemporaryDirectory() as folder:
        argv = [
            *network[0].prefix,
            "redis-server",
            "--bind",
            "127.0.0.1",
            "--port",
            "6379",
            "--save",
            "",
            "--dir",
            folder,
        ]
        server = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            ping = [*network[0].prefix, "redis-cli", "ping"]
            wait_until(lambda: subprocess.run(ping, capture_output=True).stdout == b"PONG\n", "Redis answers", 20)
            yield
        finally:
            server.kill()
            server.wait()


@pytest.fixture(scope="module")
def service(booted: Booted, redis: None) -> Booted:
    """The machine, with a hub that is a service."""
    (booted.root / "root/hub.yaml").write_text(SPEC)
    booted.must(f"{SETUP}/bin/lkhub install --spec hub.yaml")
    return booted


def list_codes(service: Booted) -> set[str]:
    return {finding["code"] for finding in json.loads(service.run("lkhub status --json").stdout)["findings"]}


def test_no_caller_hears_an_upgrade(service: Booted, make: Make, call: Call) -> None:
    before = list_pids(service)
    call.watch()
    done = service.run(f"lkhub upgrade {make('0.2.0', {})}")
    assert done.returncode == 0, done.stderr
    assert ask_version(service) == "0.2.0"
    after = list_pids(service)
    assert {name for name in before if before[name] == after.get(name)} == {"relay", "edge"}, done.stderr
    assert "earlier-program" in list_codes(service)
    # A verification has called the new process meanwhile.
    gap, reconnects = call.disturbance()
    assert (reconnects, gap < NO_GAP_SECONDS) == (0, True), gap


def test_the_rest_follows_when_nobody_is_in_a_call(service: Booted) -> None:
    wait_until(lambda: "earlier-program" not in list_codes(service), "all programs are the new ones", 60)
    assert service.run("lkhub status").returncode == 0
    assert service.run("lkhub verify").returncode == 0
