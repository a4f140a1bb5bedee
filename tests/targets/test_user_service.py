"""A hub as a service of a user's own, on a machine that systemd has booted."""

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.kit.booted import COMMAND_SECONDS, Booted
from tests.kit.call import LISTENER, SPEAKER, Call, calling
from tests.kit.netns import Namespace
from tests.targets.conftest import ADDRESS, SETUP, Make
from tests.targets.test_systemd import ADOPTED_SECONDS, LKHUB, NO_GAP_SECONDS
from tests.waiting import wait_until

SPEC = f"""\
reach: lan
media: {{advertise: {ADDRESS}}}
tls: {{listen: 8443}}
drain: 20s
"""

HOME = "/home/ann"
UID = 1000


@dataclass(frozen=True)
class Ann:
    """A user of the machine without any right of root's."""

    booted: Booted

    def run(self, command: str) -> subprocess.CompletedProcess[str]:
        """Run a shell's command line in her home directory, as `su` would."""
        user = ["setpriv", f"--reuid={UID}", f"--regid={UID}", "--init-groups", "env", f"HOME={HOME}", "USER=ann"]
        argv = [*self.booted.prefix, *user, "sh", "-c", f"cd {HOME} && PATH={HOME}/.local/bin:$PATH && {command}"]
        return subprocess.run(argv, capture_output=True, text=True, timeout=COMMAND_SECONDS, check=False)

    def must(self, command: str) -> str:
        done = self.run(command)
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def show(self, name: str) -> str:
        """A property of the unit."""
        own = f"XDG_RUNTIME_DIR=/run/user/{UID} systemctl --user"
        return self.must(f"{own} show --property={name} --value lkhub").strip()

    def list_pids(self) -> dict[str, int]:
        status = json.loads(self.run("lkhub status --json").stdout)
        return {process["name"]: process["pid"] for process in status["processes"]}

    def list_files(self) -> set[str]:
        return set(self.must(f"find {HOME} -type f -o -type l").splitlines())


@pytest.fixture(scope="module")
def before(booted: Booted) -> set[str]:
    """The files of her home directory before the first test."""
    booted.must(f"useradd --uid {UID} --create-home --shell /bin/sh ann")
    (booted.root / "home/ann/hub.yaml").write_text(SPEC)
    return Ann(booted).list_files()


@pytest.fixture(scope="module")
def refused(booted: Booted, before: set[str]) -> subprocess.CompletedProcess[str]:
    """`lkhub install` of a user whose own systemd does not run."""
    return Ann(booted).run(f"{LKHUB} install")


@pytest.fixture(scope="module")
def installed(booted: Booted, refused: subprocess.CompletedProcess[str]) -> subprocess.CompletedProcess[str]:
    booted.must("loginctl enable-linger ann")
    ann = Ann(booted)
    wait_until(lambda: ann.run(f"test -S /run/user/{UID}/systemd/private").returncode == 0, "her systemd runs", 30)
    return ann.run(f"{LKHUB} install")


@pytest.fixture
def ann(booted: Booted, installed: subprocess.CompletedProcess[str]) -> Ann:
    assert installed.returncode == 0, installed.stderr
    return Ann(booted)


@pytest.fixture
def call(ann: Ann, network: tuple[Namespace, Namespace]) -> Iterator[Call]:
    """Two people on another machine, in a call."""
    tokens = [ann.must(f"lkhub token --room lobby --identity {name}").strip() for name in (SPEAKER, LISTENER)]
    root = f"{ann.booted.root}{HOME}/.local/state/lkhub/ca/root.crt"
    with calling([*network[1].prefix, "env", f"SSL_CERT_FILE={root}"], f"wss://{ADDRESS}:8443", *tokens) as made:
        yield made


def test_user_without_a_systemd_of_their_own_is_told_the_command(
    booted: Booted, before: set[str], refused: subprocess.CompletedProcess[str]
) -> None:
    assert refused.returncode == 3
    assert "the systemd of ann's own" in refused.stderr
    assert "`sudo loginctl enable-linger ann`" in refused.stderr
    assert Ann(booted).list_files() == before


def test_hub_becomes_a_service_of_the_user(ann: Ann, installed: subprocess.CompletedProcess[str]) -> None:
    assert "linger-off" not in installed.stderr
    assert (ann.show("ActiveState"), ann.show("UnitFileState")) == ("active", "enabled")
    assert "got through" in ann.show("StatusText")
    assert ann.show("FragmentPath") == f"{HOME}/.config/systemd/user/lkhub.service"
    listed = ann.booted.must("ps -eo user,args").splitlines()
    programs = [line.split()[0] for line in listed if f"{HOME}/.local/share/lkhub/" in line]
    assert programs == ["ann"] * 5
    assert ann.must("stat -c %a .config/lkhub .config/lkhub/hub.yaml").split() == ["700", "600"]


def test_commands_know_that_it_is_a_service(ann: Ann) -> None:
    assert "hub is up" in ann.must("lkhub logs hub")
    up = ann.run("lkhub up")
    assert (up.returncode, "`systemctl --user start lkhub`" in up.stderr) == (2, True)


def test_port_below_1024_is_refused_before_anything_is_changed(ann: Ann) -> None:
    ann.must("XDG_RUNTIME_DIR=/run/user/1000 systemctl --user stop lkhub")
    ann.must("echo 'reach: lan' >low.yaml")
    done = ann.run("lkhub install --spec low.yaml")
    ann.must("rm low.yaml")
    assert (done.returncode, "tcp port 443" in done.stderr) == (3, True)
    assert ann.must("cat .config/lkhub/hub.yaml") == SPEC
    ann.must("lkhub install")


def test_user_who_has_to_be_logged_in_is_warned(ann: Ann) -> None:
    ann.booted.must("mv /var/lib/systemd/linger/ann /root/linger")
    try:
        told = ann.run("XDG_RUNTIME_DIR=/run/user/1000 lkhub status").stderr
    finally:
        ann.booted.must("mv /root/linger /var/lib/systemd/linger/ann")
    assert "[linger-off]" in told
    assert "sudo loginctl enable-linger ann" in told


def test_call_outlives_a_killed_supervisor(ann: Ann, call: Call) -> None:
    pids, main = ann.list_pids(), ann.show("MainPID")
    call.watch()
    ann.must(f"kill -9 {main}")
    wait_until(
        lambda: ann.show("MainPID") not in (main, "0") and ann.show("ActiveState") == "active",
        "another supervisor is ready",
        ADOPTED_SECONDS,
    )
    assert ann.list_pids() == pids
    gap, reconnects = call.disturbance()
    assert (reconnects, gap < NO_GAP_SECONDS) == (0, True), gap


def test_change_of_the_spec_is_taken_over_and_no_call_ends(ann: Ann, call: Call) -> None:
    pids = ann.list_pids()
    call.watch()
    ann.must("sed -i 's/drain: 20s/drain: 15s/' .config/lkhub/hub.yaml && lkhub install")
    assert ann.show("TimeoutStopUSec") == "45s"
    assert ann.list_pids()["media"] == pids["media"]
    gap, reconnects = call.disturbance()
    assert (reconnects, gap < NO_GAP_SECONDS) == (0, True), gap


def test_stop_waits_for_the_call(ann: Ann, call: Call) -> None:
    call.watch()
    ann.must("XDG_RUNTIME_DIR=/run/user/1000 systemctl --user stop --no-block lkhub")
    wait_until(lambda: ann.show("ActiveState") == "deactivating", "the unit stops")
    gap, _ = call.disturbance()
    assert gap < NO_GAP_SECONDS, "people in a call may finish"
    wait_until(lambda: ann.show("ActiveState") == "inactive", "the unit has stopped", 60)
    assert ann.show("Result") == "success"
    ann.must("XDG_RUNTIME_DIR=/run/user/1000 systemctl --user start lkhub")


def test_hub_is_back_after_a_reboot_without_a_login(ann: Ann) -> None:
    keys = ann.must("lkhub env")
    ann.booted.power_off()
    ann.booted.boot()
    wait_until(lambda: ann.run("lkhub status").returncode == 0, "the hub is verified", 60)
    assert ann.must("lkhub env") == keys


def test_another_version_takes_the_hub_over(ann: Ann, make: Make) -> None:
    pids = ann.list_pids()
    done = ann.run(f"lkhub upgrade {make('0.2.0', {})}")
    assert (done.returncode, "what worked with lkhub 0.1.0 works" in done.stderr) == (0, True), done.stderr
    assert ann.must("lkhub --version") == "lkhub 0.2.0\n"
    assert set(ann.list_pids().values()).isdisjoint(pids.values())
    assert ann.show("ActiveState") == "active"


def test_uninstall_leaves_what_it_names(ann: Ann, before: set[str]) -> None:
    # Typed with the copy that it removes.
    done = ann.run("lkhub uninstall")
    assert done.returncode == 0
    left = {path.removeprefix(f"{HOME}/").split("/")[1] for path in ann.list_files() - before}
    assert left == {"lkhub", "state"}
    [command] = [line.split("`")[1] for line in done.stderr.splitlines() if "removes them" in line]
    assert command == f"rm -r {HOME}/.config/lkhub {HOME}/.local/state/lkhub"
    ann.must(command)
    assert ann.list_files() == before
    assert "nothing" in ann.run(f"{SETUP}/bin/lkhub uninstall").stderr
