"""A hub as a service of a machine that systemd has booted."""

import json
import re

import pytest

from tests.kit.booted import Booted
from tests.kit.call import Call
from tests.kit.netns import Namespace
from tests.targets.conftest import ADDRESS, SETUP
from tests.targets.planned import BIND, describe_plan, read_rights
from tests.waiting import wait_until

SPEC = f"""\
reach: lan
media: {{advertise: {ADDRESS}}}
drain: 20s
turn:
  external:
    - {{url: "turn:{ADDRESS}:3479", secret: {{file: /root/turn.secret}}}}
    - {{url: "turn:{ADDRESS}:3480", secret: {{env: TURN_SECRET}}}}
store: sqlite
access: {{modes: [api-keys]}}
"""

LKHUB = f"{SETUP}/bin/lkhub"

# A supervisor that is killed is started again 2 s later, and loads for a second or two.
ADOPTED_SECONDS = 30
# The watchdog of the unit is 30 s, and the supervisor is killed 5 s after it.
WATCHDOG_SECONDS = 60

# Nothing of a call is interrupted when a supervisor is replaced; the rest is what a busy machine does to audio.
NO_GAP_SECONDS = 1.0


@pytest.fixture(scope="module")
def before(booted: Booted) -> set[str]:
    """The files of the machine before the first test."""
    found = booted.list_files(SETUP)
    assert not any("lkhub" in path for path in found)
    (booted.root / "root/hub.yaml").write_text(SPEC)
    secret = booted.root / "root/turn.secret"
    secret.write_text("a-secret-that-root-alone-may-read\n")
    secret.chmod(0o600)
    return found


@pytest.fixture(scope="module")
def installed(booted: Booted, before: set[str]) -> str:
    """What the installation printed."""
    return booted.must(f"TURN_SECRET=another-that-stands-in-no-file {LKHUB} install")


@pytest.fixture
def service(booted: Booted, installed: str) -> Booted:
    """The machine, with its hub running by SPEC."""
    booted.must(f"cat >/etc/lkhub/hub.yaml <<'END'\n{SPEC}END\nlkhub install")
    return booted


def list_pids(booted: Booted) -> dict[str, int]:
    status = json.loads(booted.run("lkhub status --json").stdout)
    return {process["name"]: process["pid"] for process in status["processes"]}


def list_processes(booted: Booted) -> list[str]:
    """User and command line of each process of the service."""
    return [line for line in booted.must("ps -eo user,args").splitlines() if "/opt/lkhub/" in line]


def wait_replaced(booted: Booted, main: str, seconds: float) -> None:
    """Return when a supervisor with another pid than `main` is ready."""
    wait_until(
        lambda: booted.show("lkhub", "MainPID") not in (main, "0") and booted.show("lkhub", "ActiveState") == "active",
        "another supervisor is ready",
        seconds,
    )


def test_wrong_spec_is_refused_before_anything_is_changed(booted: Booted, before: set[str]) -> None:
    booted.must("echo 'reech: lan' >wrong.yaml")
    done = booted.run(f"{LKHUB} install --spec wrong.yaml")
    assert done.returncode == 2
    assert "wrong.yaml:1: reech" in done.stderr
    done = booted.run(f"{LKHUB} install --spec nowhere.yaml")
    assert (done.returncode, "there is no spec" in done.stderr) == (2, True)
    assert booted.list_files(SETUP) == before


def test_hub_becomes_a_service(booted: Booted, installed: str) -> None:
    for path in ("udp", "tcp", "turn-tls"):
        assert re.search(rf"^  {path}\s+ok ", installed, re.MULTILINE)
    assert booted.show("lkhub", "ActiveState") == "active"
    assert booted.show("lkhub", "UnitFileState") == "enabled"
    assert "got through" in booted.show("lkhub", "StatusText")
    assert booted.must("readlink -f /usr/local/bin/lkhub").startswith("/opt/lkhub/")


def test_service_can_do_little(service: Booted) -> None:
    exposed = service.must("systemd-analyze security --no-pager lkhub").splitlines()[-1]
    assert float(re.findall(r"lkhub.service: ([\d.]+)", exposed)[0]) <= 1.6
    assert {line.split()[0] for line in list_processes(service)} == {"lkhub"}
    assert service.must("stat -c '%U %a' /var/lib/lkhub /etc/lkhub /etc/lkhub/hub.yaml").split("\n")[:3] == [
        "lkhub 700",
        "root 750",
        "root 640",
    ]


def test_service_is_as_the_plan_says(service: Booted, network: tuple[Namespace, Namespace]) -> None:
    rendered = service.root / "var/lib/lkhub/rendered"
    spec, machine = service.root / "etc/lkhub/hub.yaml", network[0].prefix
    plan = describe_plan(machine, spec, "lkhub.plan.service:INSTALLED", rendered)
    plan.require(machine, rendered)
    assert service.show("lkhub", "TimeoutStopUSec") == f"{plan.drain + 30}s" == "50s"
    # Those of all processes are the same.
    pids = [service.show("lkhub", "MainPID"), *map(str, list_pids(service).values())]
    assert len(pids) == 5
    [rights] = {
        read_rights(service.must(f"cat /proc/{pid}/status"), service.must(f"cat /proc/{pid}/limits")) for pid in pids
    }
    assert rights.users == {service.must("id --user lkhub").strip()}
    assert rights.groups == {service.must("id --group lkhub").strip()}
    assert (rights.rights, rights.no_new) == (BIND, True)


def test_commands_know_that_it_is_a_service(service: Booted) -> None:
    assert "hub is up" in service.must("lkhub logs hub")
    assert "livekit-server" in service.must("lkhub logs media")
    refused = service.run("lkhub up")
    assert (refused.returncode, "lkhub install" in refused.stderr) == (2, True)


def test_what_root_does_belongs_to_the_hub(service: Booted) -> None:
    service.must("lkhub verify && lkhub env --write app.env && lkhub keys rotate && systemctl stop lkhub")
    assert service.must("lkhub access create shop --json")
    assert service.must("find /var/lib/lkhub ! -user lkhub") == ""
    service.must("systemctl start lkhub")


def test_second_install_changes_nothing(service: Booted) -> None:
    pids, main = list_pids(service), service.show("lkhub", "MainPID")
    service.must("lkhub install")
    assert (list_pids(service), service.show("lkhub", "MainPID")) == (pids, main)


def test_call_outlives_a_killed_supervisor(service: Booted, call: Call) -> None:
    pids, main = list_pids(service), service.show("lkhub", "MainPID")
    call.watch()
    service.must(f"kill -9 {main}")
    wait_replaced(service, main, ADOPTED_SECONDS)
    assert list_pids(service) == pids
    gap, reconnects = call.disturbance()
    assert (reconnects, gap < NO_GAP_SECONDS) == (0, True), gap


def test_supervisor_that_hangs_is_replaced_and_calls_go_on(service: Booted, call: Call) -> None:
    pids, main = list_pids(service), service.show("lkhub", "MainPID")
    call.watch()
    service.must(f"kill -STOP {main}")
    wait_replaced(service, main, WATCHDOG_SECONDS + ADOPTED_SECONDS)
    assert list_pids(service) == pids
    gap, reconnects = call.disturbance()
    assert (reconnects, gap < NO_GAP_SECONDS) == (0, True), gap


def test_reload_takes_the_spec_over_and_refuses_a_wrong_one(service: Booted) -> None:
    service.must("sed -i 's,modes: .api-keys.,&\\, limits: {caller: 5/second},' /etc/lkhub/hub.yaml")
    pids = list_pids(service)
    service.must("systemctl reload lkhub")
    changed = list_pids(service)
    assert {name for name in pids if pids[name] != changed[name]} == {"serve"}
    service.must("echo 'reech: lan' >>/etc/lkhub/hub.yaml")
    assert service.run("systemctl reload lkhub").returncode != 0
    assert "hub.yaml:10: reech" in service.must("journalctl --unit lkhub --output cat --lines 20")
    assert service.run("lkhub install").returncode == 2
    assert (list_pids(service), service.show("lkhub", "ActiveState")) == (changed, "active")
    service.must("sed -i /reech/d /etc/lkhub/hub.yaml && systemctl reload lkhub")


def test_change_that_would_end_a_call_waits_unless_it_is_asked_for_now(service: Booted, call: Call) -> None:
    pids = list_pids(service)
    call.watch()
    service.must("sed -i 's/^media: {/&udp: 7900, /' /etc/lkhub/hub.yaml && lkhub install")
    assert list_pids(service)["media"] == pids["media"]
    assert "`lkhub install --now`" in service.run("lkhub status").stderr
    gap, reconnects = call.disturbance()
    assert (reconnects, gap < NO_GAP_SECONDS) == (0, True), gap
    said = service.must("lkhub install --now")
    assert list_pids(service)["media"] != pids["media"]
    assert re.search(r"^  udp\s+ok .*:7900", said, re.MULTILINE), "the hub is verified anew"


def test_change_of_the_unit_takes_another_supervisor_and_no_call(service: Booted, call: Call) -> None:
    pids, main = list_pids(service), service.show("lkhub", "MainPID")
    call.watch()
    service.must("sed -i 's/drain: 20s/drain: 15s/' /etc/lkhub/hub.yaml && lkhub install")
    assert service.show("lkhub", "TimeoutStopUSec") == "45s"
    assert service.show("lkhub", "MainPID") != main
    assert list_pids(service)["media"] == pids["media"]
    gap, reconnects = call.disturbance()
    assert (reconnects, gap < NO_GAP_SECONDS) == (0, True), gap


def test_changed_secret_takes_another_supervisor(service: Booted) -> None:
    """systemd has copied the old one at its start."""
    rendered = "/var/lib/lkhub/rendered/turn-1.secret"
    main = service.show("lkhub", "MainPID")
    service.must("echo a-new-secret-that-root-alone-may-read >turn.secret && lkhub install")
    assert "a-new-secret" in service.must(f"cat {rendered}")
    assert service.show("lkhub", "MainPID") != main


def test_stop_waits_for_the_call_and_ends_all(service: Booted, call: Call) -> None:
    call.watch()
    service.must("systemctl stop --no-block lkhub")
    wait_until(lambda: service.show("lkhub", "ActiveState") == "deactivating", "the unit stops")
    gap, _ = call.disturbance()
    assert gap < NO_GAP_SECONDS, "people in a call may finish"
    assert "finish" in service.show("lkhub", "StatusText")
    wait_until(lambda: service.show("lkhub", "ActiveState") == "inactive", "the unit has stopped", 60)
    assert service.show("lkhub", "Result") == "success"
    assert list_processes(service) == []
    service.must("systemctl start lkhub")


def test_stop_ends_what_a_hanging_supervisor_would_leave(service: Booted) -> None:
    service.must("sed -i 's/drain: 20s/drain: 0s/' /etc/lkhub/hub.yaml && lkhub install")
    service.must(f"kill -STOP {service.show('lkhub', 'MainPID')} && systemctl stop lkhub")
    assert list_processes(service) == []


def test_what_a_killed_supervisor_has_left_is_ended_by_down(service: Booted) -> None:
    """The unit has no main process then, so its stop ends nothing."""
    service.must("systemctl kill --kill-who=main --signal=KILL lkhub; systemctl stop lkhub")
    assert len(list_processes(service)) == 4
    ended = service.run("lkhub down --now").stderr
    # Not the service: systemd-nspawn shows a unit with ProtectKernelTunables another boot_id than root, so its record
    # seems to be of an earlier boot. The engine's processes are known by their command lines too.
    assert {name for name in ("media", "relay", "edge") if f"ended {name}" in ended} == {"media", "relay", "edge"}


@pytest.mark.parametrize("how", ["power_off", "cut_power"])
def test_hub_is_back_after_a_reboot(service: Booted, how: str) -> None:
    keys = service.must("lkhub env")
    getattr(service, how)()
    service.boot()
    wait_until(lambda: "got through" in service.show("lkhub", "StatusText"), "the hub is verified", 60)
    assert service.must("lkhub env") == keys
    assert service.must("lkhub status")


def test_hub_waits_for_an_address_that_is_not_there_yet(service: Booted, network: tuple[Namespace, Namespace]) -> None:
    """After a power cut a router is slower than the machine."""
    machine, _ = network
    service.power_off()
    machine.run("ip", "address", "flush", "dev", "eth0")
    service.boot()
    wait_until(lambda: int(service.show("lkhub", "NRestarts")) > 0, "the hub has tried and failed", 60)
    assert "is not an address of this machine" in service.must("journalctl --unit lkhub --output cat --lines 30")
    machine.add_address("eth0", f"{ADDRESS}/24")
    wait_until(lambda: "got through" in service.show("lkhub", "StatusText"), "the hub is verified", 60)


def test_uninstall_leaves_what_it_names_and_its_command_removes_that(
    booted: Booted, before: set[str], installed: str
) -> None:
    # Typed with the copy that it removes.
    done = booted.run("lkhub uninstall")
    assert done.returncode == 0
    assert list_processes(booted) == []
    [command] = re.findall(r"hint: `(.*)` removes", done.stderr)
    assert {path.split("/")[3] for path in booted.list_files(SETUP) - before if path.count("/") > 2} != set()
    booted.must(command)
    assert booted.list_files(SETUP) == before
    assert "nothing" in booted.run(f"{LKHUB} uninstall").stderr
