"""A hub that an ordinary user runs: on ports above 1024, and on 443 with the one capability that it takes."""

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.kit.hub import Hub, make_hub
from tests.kit.nobody import NOBODY, as_nobody
from tests.namespaces.lan import HUB, HUB_SPEC, HUB_URL, PORTS, Lan, on_client
from tests.waiting import wait_until


@pytest.fixture
def hub(lan: Lan) -> Iterator[Hub]:
    with make_hub(lan.hub.prefix, PORTS) as made:
        yield made


@pytest.fixture
def engine(hub: Hub) -> Iterator[Path]:
    """This user's engine; only root may give it capabilities."""
    with tempfile.TemporaryDirectory(prefix="nobody-") as folder:
        Path(folder).chmod(0o755)
        with as_nobody(hub, Path(folder)) as file:
            yield file


def assert_proved_by_nobody(hub: Hub, lan: Lan, url: str) -> None:
    pids = hub.pids()
    assert set(pids) == {"media", "relay", "serve", "edge"}
    for pid in [*pids.values(), hub.supervisor_pid()]:
        assert psutil.Process(pid).uids().effective == NOBODY
    client = on_client(hub, lan.client)
    client.prefix = lan.client.prefix
    done = client.run("verify", "--url", url, "--json")
    assert done.returncode == 0, done.stdout
    assert all(path["ok"] for path in json.loads(done.stdout)["paths"]), done.stdout


@pytest.mark.usefixtures("engine")
def test_ports_above_1024_need_nothing(lan: Lan, hub: Hub) -> None:
    hub.spec.write_text(f"{HUB_SPEC}tls: {{listen: 8443, http: 8081}}\n")
    done = hub.run("up", "--detach")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr.count("[firewall-unknown]") == 1, done.stderr
    assert "nftables: only root may read it" in done.stderr
    assert_proved_by_nobody(hub, lan, f"wss://{HUB}:8443")


def test_port_443_needs_one_command_which_is_told(lan: Lan, hub: Hub, engine: Path) -> None:
    hub.spec.write_text(HUB_SPEC)
    done = hub.run("up", "--detach")
    assert (done.returncode, done.stdout) == (3, ""), done.stdout + done.stderr
    assert "tcp port 443 (HTTPS, signalling, TURN over TLS) is below 1024 and this is not root" in done.stderr
    [command] = set(re.findall(r"`sudo (setcap [^`]+)`", done.stderr))
    name, right, file = command.split()
    assert Path(file).name == engine.name
    # The file that this user has; the installed one stays as it is.
    lan.hub.run(name, right, str(engine))
    hub.up()
    assert_proved_by_nobody(hub, lan, HUB_URL)


def test_engine_with_a_capability_is_no_stranger_on_the_ports_that_it_has(lan: Lan, hub: Hub, engine: Path) -> None:
    """The kernel hides its sockets from the user who runs it. It opens some when it reads its files again, and has no
    supervisor's socket for these."""
    lan.hub.run("setcap", "cap_net_bind_service=+ep", str(engine))
    (hub.folder / "www").mkdir()
    (hub.folder / "www/index.html").write_text("hello")
    sites = [f"{{name: s{number}, root: www, port: {3001 + number}}}" for number in range(3)]
    for number in (1, 2, 3, 1):
        hub.spec.write_text(f"{HUB_SPEC}sites: [{', '.join(sites[:number])}]\n")
        done = hub.run("up", "--detach", "--no-verify")
        assert done.returncode == 0, done.stderr
    assert "edge took its change over without a restart" in done.stderr
    command = [*lan.hub.prefix, sys.executable, "-m", "http.server", "3009"]
    stranger = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: ":3009" in lan.hub.run("ss", "-Hltn"), "it listens")
        hub.spec.write_text(f"{HUB_SPEC}sites: [{sites[0].replace('3001', '3009')}]\n")
        done = hub.run("up", "--detach", "--no-verify")
    finally:
        stranger.kill()
        stranger.wait()
    assert done.returncode == 3
    assert "tcp port 3009 (site s0) is in use by a process that this user can't see" in done.stderr
    assert "the change was not made, and nothing was interrupted" in done.stderr
