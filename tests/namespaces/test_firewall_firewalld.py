"""`lkhub firewall` with a real firewalld, in a namespace with its own system bus and its own /etc/firewalld."""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.kit.hub import Hub, make_hub
from tests.namespaces.lan import HUB, HUB_SPEC, PORTS, Lan, make_lan
from tests.namespaces.reach import CONTROL, Port, answering, reach
from tests.waiting import DEADLINE_SECONDS, wait_until

pytestmark = pytest.mark.long

OPEN: tuple[Port, ...] = (("udp", 7882), ("tcp", 7881), ("udp", 3478))

_BUS = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-BUS Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>system</type>
  <listen>unix:path={path}</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow user="*"/>
    <allow own="*"/>
    <allow send_type="method_call"/>
    <allow send_type="signal"/>
    <allow send_requested_reply="true" send_type="method_return"/>
    <allow send_requested_reply="true" send_type="error"/>
    <allow receive_type="method_call"/>
    <allow receive_type="method_return"/>
    <allow receive_type="error"/>
    <allow receive_type="signal"/>
  </policy>
</busconfig>
"""


@pytest.fixture(scope="module")
def firewalled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Lan, dict[str, str], int]]:
    """A LAN whose hub's machine runs firewalld, with the environment of firewalld's clients, and firewalld's pid."""
    for program in ("firewalld", "dbus-daemon"):
        if shutil.which(program) is None:
            pytest.fail(f"not on PATH: {program} (apt-get install {program})", pytrace=False)
    folder = tmp_path_factory.mktemp("bus")
    (folder / "bus.conf").write_text(_BUS.format(path=folder / "bus"))
    environ = {"DBUS_SYSTEM_BUS_ADDRESS": f"unix:path={folder / 'bus'}"}
    with make_lan() as lan:
        shutil.copytree("/etc/firewalld", Path("/etc/netns", lan.hub.name, "firewalld"))
        enter = [*lan.hub.prefix, "env", *(f"{name}={value}" for name, value in environ.items())]
        bus = subprocess.Popen(
            [*enter, "dbus-daemon", f"--config-file={folder / 'bus.conf'}", "--nofork", "--nopidfile"],
            stderr=subprocess.DEVNULL,
        )
        wait_until((folder / "bus").exists, "the bus listens")
        log = ("--log-file", str(folder / "log"))
        firewalld = subprocess.Popen([*enter, "firewalld", "--nofork", "--nopid", *log], stderr=subprocess.DEVNULL)
        try:
            ask = [*enter, "firewall-cmd", "--state"]
            wait_until(lambda: subprocess.run(ask, capture_output=True).returncode == 0, "firewalld runs")
            subprocess.run([*enter, "firewall-cmd", f"--add-port={CONTROL}/udp"], check=True, capture_output=True)
            yield lan, environ, firewalld.pid
        finally:
            firewalld.terminate()
            firewalld.wait()
            bus.terminate()
            bus.wait()


@pytest.fixture
def hub(firewalled: tuple[Lan, dict[str, str], int]) -> Iterator[Hub]:
    lan, environ, _ = firewalled
    with make_hub(lan.hub.prefix, PORTS) as made:
        made.spec.write_text(HUB_SPEC)
        yield replace(made, environ=environ)


def firewall_cmd(hub: Hub, *words: str) -> str:
    argv = [*hub.prefix, "env", *(f"{name}={value}" for name, value in hub.environ.items()), "firewall-cmd", *words]
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout


def list_zones(hub: Hub) -> list[str]:
    """The running and the permanent configuration."""
    return [firewall_cmd(hub, "--list-all-zones"), firewall_cmd(hub, "--permanent", "--list-all-zones")]


def test_apply_lets_clients_through_and_revert_leaves_nothing(
    firewalled: tuple[Lan, dict[str, str], int], hub: Hub
) -> None:
    lan, _, _ = firewalled
    # Changes that the operator made only in the runtime configuration would be lost in a reload.
    firewall_cmd(hub, "--add-port=5000/tcp", "--add-port=8443/tcp")
    before = list_zones(hub)
    with answering(lan.hub, *OPEN, ("tcp", 7880)):
        assert reach(lan.client, HUB, *OPEN) == set()
        assert hub.run("firewall", "status").returncode == 1

        done = hub.run("firewall", "apply")
        assert done.returncode == 0, done.stdout + done.stderr
        assert "in charge: firewalld" in done.stdout
        assert reach(lan.client, HUB, *OPEN, ("tcp", 7880)) == set(OPEN)
        applied = list_zones(hub)
        assert all(zones.count('address="198.18.0.0/24" port port=') == 5 for zones in applied)

        assert "nothing to do" in hub.run("firewall", "apply").stderr
        assert list_zones(hub) == applied

        reverted = hub.run("firewall", "revert")
        assert reverted.returncode == 0, reverted.stderr
        assert reach(lan.client, HUB, *OPEN) == set()
    assert list_zones(hub) == before
    assert not (hub.state / "firewall.json").exists()


def test_a_service_that_is_allowed_already_is_left_alone(hub: Hub) -> None:
    firewall_cmd(hub, "--add-service=https")
    before = list_zones(hub)
    hub.run("firewall", "apply")
    assert 'port="443"' not in firewall_cmd(hub, "--list-rich-rules")
    hub.run("firewall", "revert")
    assert list_zones(hub) == before
    firewall_cmd(hub, "--remove-service=https")


def test_the_rendered_service_is_one_that_firewalld_takes(hub: Hub) -> None:
    before = list_zones(hub)
    hub.run("render", "firewall", "--format", "firewalld", "-o", "out")
    enter = [*hub.prefix, "env", *(f"{name}={value}" for name, value in hub.environ.items())]
    # Its last line reloads, and with it goes what was changed in the running configuration alone.
    subprocess.run([*enter, str(hub.folder / "out/firewalld.sh")], check=True, capture_output=True)
    assert firewall_cmd(hub, "--info-service=lkhub-hub").count("/udp") == 2
    assert 'service name="lkhub-hub" accept' in firewall_cmd(hub, "--list-rich-rules")
    firewall_cmd(
        hub, "--permanent", "--remove-rich-rule", firewall_cmd(hub, "--permanent", "--list-rich-rules").strip()
    )
    firewall_cmd(hub, "--permanent", "--delete-service=lkhub-hub")
    assert list_zones(hub)[1] == before[1]


def test_a_single_address_is_the_same_when_it_is_read_again(hub: Hub) -> None:
    proxy = "domain: rtc.example.com\ntls: {mode: external, listen: 8443, trusted_proxies: [198.18.0.2]}\n"
    hub.spec.write_text(HUB_SPEC + proxy)
    assert hub.run("firewall", "apply").returncode == 0
    assert "nothing to do" in hub.run("firewall", "apply").stderr
    assert hub.run("firewall", "revert").returncode == 0


def test_a_firewalld_that_does_not_answer_is_reported_as_unknown(
    firewalled: tuple[Lan, dict[str, str], int], hub: Hub
) -> None:
    _, _, pid = firewalled
    os.kill(pid, signal.SIGSTOP)
    try:
        done = hub.run("up", "--detach", "--no-verify")
        assert done.returncode == 0, done.stderr
        assert done.stderr.count("[firewall-unknown]") == 1, done.stderr
        assert "firewalld: it did not answer within 4 s" in done.stderr
        assert "[port-closed]" not in done.stderr
        assert f"firewall status --spec {hub.spec} --state {hub.state}" in done.stderr
    finally:
        os.kill(pid, signal.SIGCONT)

    # It has a backlog now, and its time for an answer is short where the machine is busy.
    def is_known() -> bool:
        codes = {finding["code"] for finding in hub.findings()}
        return "port-closed" in codes and "firewall-unknown" not in codes

    wait_until(is_known, "a firewalld that answers again", 3 * DEADLINE_SECONDS)
