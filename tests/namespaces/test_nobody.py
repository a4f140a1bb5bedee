"""A hub that an ordinary user runs: on ports above 1024, and on 443 with the one capability that it takes."""

import json
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.kit.hub import Hub, make_hub
from tests.kit.nobody import NOBODY, as_nobody
from tests.namespaces.lan import HUB, HUB_SPEC, HUB_URL, PORTS, Lan, on_client


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
