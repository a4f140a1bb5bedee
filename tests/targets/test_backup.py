"""A service that is backed up, and put in place on a machine that has none, and on one whose service is stopped."""

import json
from dataclasses import dataclass

import pytest

from tests.kit.booted import Booted
from tests.targets.conftest import ADDRESS, SETUP
from tests.waiting import wait_until

SPEC = f"""\
name: shop
reach: lan
media: {{advertise: {ADDRESS}}}
access: {{modes: [api-keys]}}
turn:
  external:
    - {{url: "turn:{ADDRESS}:3479", secret: {{env: TURN_SECRET}}}}
    - {{url: "turn:{ADDRESS}:3480", secret: {{file: /etc/lkhub/turn.secret}}}}
"""

LKHUB = f"{SETUP}/bin/lkhub"

# A start loads for a second or two, several times that on a loaded machine.
START_SECONDS = 60

GIVEN = "--passphrase-file passphrase"


@dataclass(frozen=True)
class Known:
    """What makes the hub that hub: its API key, its root, its spec, and the keys of applications."""

    env: str
    root: str
    spec: str
    keys: tuple[str, ...]


def describe(booted: Booted, program: str = "lkhub") -> Known:
    listed = json.loads(booted.must(f"{program} access list --json"))["keys"]
    return Known(
        env=booted.must(f"{program} env"),
        root=booted.must("cat /var/lib/lkhub/ca/root.key /var/lib/lkhub/ca/root.crt"),
        spec=booted.must("cat /etc/lkhub/hub.yaml"),
        keys=tuple(each["id"] for each in listed),
    )


@pytest.fixture(scope="module")
def backed_up(booted: Booted) -> Known:
    """A service, whose backup is root's file shop.age."""
    (booted.root / "root/hub.yaml").write_text(SPEC)
    (booted.root / "root/passphrase").write_text("correct horse battery staple\n")
    booted.must("mkdir -p /etc/lkhub && umask 077 && echo a-secret-for-root-alone >/etc/lkhub/turn.secret")
    booted.must(f"TURN_SECRET=another-that-stands-in-no-file {LKHUB} install")
    booted.must("lkhub access create app")
    told = booted.must(f"lkhub backup shop.age {GIVEN} --json")
    files = json.loads(told)["files"]
    assert {"spec/hub.yaml", "spec/lkhub.env", "spec/turn.secret", "state/store.db", "state/ca/root.key"} <= {*files}
    assert json.loads(told)["left_out"] == []
    return describe(booted)


def remove_all(booted: Booted) -> None:
    booted.must(f"{LKHUB} uninstall && rm -rf /etc/lkhub /var/lib/lkhub && userdel lkhub")


def test_service_is_the_same_on_a_machine_that_had_none(booted: Booted, backed_up: Known) -> None:
    remove_all(booted)
    told = booted.run(f"{LKHUB} restore shop.age {GIVEN}")
    assert told.returncode == 0, told.stderr
    assert "`lkhub install` makes it the service" in told.stderr
    booted.must(f"{LKHUB} install")
    assert describe(booted) == backed_up
    assert booted.must("find /var/lib/lkhub ! -user lkhub") == ""
    assert booted.must("stat -c '%U %G %a' /etc/lkhub/hub.yaml /etc/lkhub/lkhub.env").split("\n")[:2] == [
        "root lkhub 640",
        "root root 600",
    ]


def test_service_that_runs_is_left_alone_and_a_stopped_one_is_replaced(booted: Booted, backed_up: Known) -> None:
    booted.must("lkhub keys rotate && sed -i s/shop/other/ /etc/lkhub/hub.yaml")
    refused = booted.run(f"lkhub restore shop.age {GIVEN} --force")
    assert (refused.returncode, "`systemctl stop lkhub` stops it" in refused.stderr) == (2, True)
    booted.must("systemctl stop lkhub")
    refused = booted.run(f"lkhub restore shop.age {GIVEN}")
    assert (refused.returncode, "has a hub already" in refused.stderr) == (2, True)
    booted.must(f"lkhub restore shop.age {GIVEN} --force")
    assert booted.must("find /var/lib/lkhub ! -user lkhub") == ""
    assert "name: other" in booted.must("cat /etc/lkhub/hub.yaml.before")
    # The service's own user has to be able to read what was put in place.
    booted.must("systemctl start lkhub")
    assert describe(booted) == backed_up


@pytest.mark.usefixtures("backed_up")
def test_restore_that_was_killed_is_finished_by_install(booted: Booted) -> None:
    """As it was killed after the record was written: the new spec is beside its place, and the state is unpacked."""
    before = describe(booted)
    state, spec = "/var/lib/lkhub", "/etc/lkhub/hub.yaml"
    kept = f"{state}/restoring/state"
    booted.must(f"mkdir -p {kept} && cp -a {state}/managed-keys.yaml {kept}/")
    booted.must("lkhub keys rotate && systemctl stop lkhub")
    booted.must(f"cp -a {spec} {spec}.restored && echo 'name: other' >{spec}")
    record = {"version": 1, "names": ["managed-keys.yaml"], "aside": f"{state}/before-restore/b", "spec": [spec]}
    booted.must(f"echo '{json.dumps(record)}' >{state}/restore.json && chown -R lkhub: {state}")
    # The service can't rename what is root's, and says so instead of starting half of each.
    booted.must("systemctl start --no-block lkhub")
    refused = "-m lkhub install` goes on with it"
    wait_until(lambda: refused in booted.must("journalctl --unit lkhub"), "the refusal", START_SECONDS)
    booted.must("systemctl stop lkhub")
    booted.must("lkhub install")
    assert booted.must("lkhub env") == before.env
    assert booted.must(f"cat {spec}") == before.spec
    assert booted.run(f"test -e {state}/restore.json || test -e {spec}.restored").returncode == 1


@pytest.mark.usefixtures("backed_up")
def test_edited_unit_is_noticed_and_kept(booted: Booted) -> None:
    unit = "/etc/systemd/system/lkhub.service"
    booted.must(f"sed -i 's/^Restart=.*/Restart=no/' {unit}")
    (finding,) = [
        each for each in json.loads(booted.run("lkhub status --json").stdout)["findings"] if each["code"] == "drift"
    ]
    assert finding["subject"] == "lkhub.service"
    assert {"  | -Restart=on-failure", "  | +Restart=no"} <= set(finding["detail"].splitlines()), finding
    shown = booted.run(finding["fix"][0]["command"])
    assert "+Restart=no" in shown.stdout, shown
    booted.must("lkhub install")
    assert "Restart=no" in booted.must(f"cat {unit}.edited")
    assert booted.run(f"grep Restart=no {unit}").returncode == 1
