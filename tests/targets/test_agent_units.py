"""Agents as units of their own, on a machine that systemd has booted."""

import json
import re
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.kit.booted import Booted
from tests.targets.conftest import ADDRESS, SETUP
from tests.targets.test_systemd import wait_replaced
from tests.waiting import wait_until

TRIES = Path(__file__).parent / "agent/tries.py"

STATE = "/var/lib/lkhub"

FILES = [
    *("/etc/lkhub/hub.yaml", "/etc/lkhub/lkhub.env", "/etc/shadow", "/root"),
    *(STATE, f"{STATE}/keys.yaml", f"{STATE}/managed-keys.yaml", f"{STATE}/ca/root.key", f"{STATE}/store.db"),
    *(f"{STATE}/run/control.sock", f"{STATE}/run/media.sock", f"{STATE}/for-agents"),
    *("/var/lib/private/lkhub-agents/bmo/agent", "/var/lib/private/lkhub-agents/other/agent"),
]

REFUSALS = {"EACCES", "EPERM", "ENOENT"}

COMMAND = f"python3 tries.py {' '.join(FILES)}"

SPEC = f"""\
reach: lan
media: {{advertise: {ADDRESS}}}
drain: 5s
store: sqlite
access: {{modes: [api-keys]}}
agents:
  - name: bmo
    project: /srv/bmo
    replicas: 2
    command: "{COMMAND}"
    env: {{MODEL: {{env: MODEL_KEY}}, WORD: a-word}}
  - {{name: other, project: /srv/bmo, command: "{COMMAND}", env: {{CALL_SECONDS: "2"}}}}
"""

LKHUB = f"{SETUP}/bin/lkhub"
UNITS = ["lkhub-agent-bmo", "lkhub-agent-bmo-2", "lkhub-agent-other"]

# A worker starts within a second or two, and a machine that is busy takes several times that.
SECONDS = 60


@pytest.fixture(scope="module")
def before(booted: Booted) -> set[str]:
    (booted.root / "srv/bmo").mkdir()
    shutil.copy(TRIES, booted.root / "srv/bmo")
    booted.must("chmod -R go= /srv/bmo")
    found = booted.list_files(SETUP)
    (booted.root / "root/hub.yaml").write_text(SPEC)
    return found


@pytest.fixture(scope="module")
def installed(booted: Booted, before: set[str]) -> str:
    # The hub's user has to be able to read the project.
    hint = booted.run(f"MODEL_KEY=a-key {LKHUB} install").stderr
    assert "can't read /srv/bmo" in hint
    booted.must("chmod -R go+rX /srv/bmo")
    return install(booted, f"MODEL_KEY=a-key {LKHUB}")


@pytest.fixture
def service(booted: Booted, installed: str) -> Booted:
    """The machine, with its hub and agents running by SPEC, unless the last tests have changed it."""
    wait_until(lambda: all(tell(booted, unit) for unit in UNITS), "all agents have started", SECONDS)
    return booted


def install(booted: Booted, lkhub: str = "lkhub") -> str:
    """What `lkhub install` says. It exits 1 once these agents have not registered for a minute, which they never do."""
    done = booted.run(f"{lkhub} install")
    assert done.returncode in (0, 1), done
    assert "runs by /etc/lkhub/hub.yaml" in done.stderr, done
    return done.stderr


def read_log(booted: Booted, unit: str) -> str:
    return booted.must(f"journalctl --unit {unit} --output cat")


def tell(booted: Booted, unit: str) -> list[dict[str, Any]]:
    """What each worker of an agent has told of its attempts, the newest last."""
    return [json.loads(line) for line in re.findall(r"^TRIED (.*)$", read_log(booted, unit), re.MULTILINE)]


def has_key(booted: Booted, unit: str, key: str) -> bool:
    return bool(tell(booted, unit)[-1]["variables"]["LIVEKIT_API_KEY"] == key)


def has_no_worker(booted: Booted, main: str) -> bool:
    return booted.run(f"pgrep -P {main}").stdout == ""


def wait_started(booted: Booted, unit: str, before: int) -> None:
    """Return when more workers of an agent have started than `before`."""
    wait_until(lambda: len(tell(booted, unit)) > before, "there is a new worker", SECONDS)


def read_key(booted: Booted) -> str:
    return booted.must(f"head -1 {STATE}/keys.yaml").split(":")[0].strip("\"' ")


@pytest.mark.parametrize("unit", UNITS)
def test_agent_gets_nothing_of_the_hub(service: Booted, unit: str) -> None:
    # At the first start it may have tried before there was anything.
    missing = [path for path in FILES if service.run(f"test -e {path}").returncode]
    assert missing == [], "it would try what is not there"
    name, before = unit.split("-")[2], len(tell(service, unit))
    service.must(f"lkhub agents restart {name}")
    wait_started(service, unit, before)
    told = tell(service, unit)[-1]
    assert told["read"].pop(f"/var/lib/private/lkhub-agents/{name}/agent") == "", "its own"
    assert set(told["reached"]) == {path for path in FILES if path.endswith(".sock")}
    # ENOENT: its sandbox hides what root sees.
    assert {*told["read"].values(), *told["reached"].values()} <= REFUSALS, told
    assert (told["others"], told["rights"], told["written"]) == ([], False, [])
    assert told["home"] == [told["variables"]["HOME"]]
    assert told["uid"] not in (0, int(service.must("id -u lkhub")))


def test_agents_are_users_of_their_own_with_variables_of_their_own(service: Booted) -> None:
    bmo, second, other = (tell(service, unit)[-1] for unit in UNITS)
    assert bmo["uid"] == second["uid"] != other["uid"]
    assert (bmo["variables"]["MODEL"], bmo["variables"]["WORD"]) == ("a-key", "a-word")
    assert bmo["variables"]["LIVEKIT_API_KEY"] == read_key(service)
    assert not {"MODEL", "WORD", "MODEL_KEY"} & set(other["variables"])
    assert not [name for name in bmo["variables"] if name.startswith(("LKHUB", "CREDENTIALS", "NOTIFY"))]


def test_little_is_exposed(service: Booted) -> None:
    for unit in UNITS:
        exposed = service.must(f"systemd-analyze security --no-pager {unit}").splitlines()[-1]
        assert float(re.findall(r"service: ([\d.]+)", exposed)[0]) <= 1.6, exposed
    exposed = service.must("systemd-analyze security --no-pager lkhub").splitlines()[-1]
    assert float(re.findall(r"lkhub.service: ([\d.]+)", exposed)[0]) <= 1.6
    assert "MemoryDenyWriteExecute=yes" in service.must("systemctl show --property=MemoryDenyWriteExecute lkhub")


def test_commands_know_of_them(service: Booted) -> None:
    status = json.loads(service.run("lkhub status --json").stdout)
    known = {each["name"]: each for each in status["processes"]}
    assert [known[f"{unit.removeprefix('lkhub-')}"]["state"] for unit in UNITS] == ["running"] * 3
    assert not [each for each in status["findings"] if "not-apart" in each["code"]]
    listed = service.must("lkhub agents list")
    assert re.search(r"agent-bmo-2\s+not registered", listed)
    assert "TRIED" in service.must("lkhub agents logs bmo")
    as_hub = service.run("setpriv --reuid lkhub --regid lkhub --clear-groups lkhub agents list --state /var/lib/lkhub")
    assert "by root alone" not in as_hub.stderr, as_hub
    assert re.search(r"agent-bmo-2\s+not registered", as_hub.stdout), "the unit tells that it is not connected"


def test_rotation_reaches_them_and_the_worker_of_before_finishes_its_calls(service: Booted) -> None:
    old, unit = read_key(service), "lkhub-agent-other"
    # The workers of before a restart take rooms for a while, since these never register.
    started = len(tell(service, unit))
    wait_until(lambda: read_log(service, unit).count("ENDED") == started - 1, "the end of earlier workers", 2 * SECONDS)
    ended = started - 1
    service.must("lkhub keys rotate")
    new = read_key(service)
    assert new != old
    for each in UNITS:
        wait_until(partial(has_key, service, each, new), "the agent has the new key", SECONDS)
    log = read_log(service, unit)
    assert log.count("ENDED") == ended, "the new worker starts while the earlier one is in a call"
    wait_until(lambda: read_log(service, unit).count(f"ENDED {old}") > ended, "the old worker has ended", 2 * SECONDS)


def test_changed_code_and_a_request_take_new_workers(service: Booted) -> None:
    before = {unit: len(tell(service, unit)) for unit in UNITS}
    service.must("echo '# changed' >>/srv/bmo/tries.py")
    install(service)
    for unit in UNITS:
        wait_started(service, unit, before[unit])
    before = {unit: len(tell(service, unit)) for unit in UNITS}
    service.must("lkhub agents restart bmo")
    wait_started(service, UNITS[1], before[UNITS[1]])
    assert len(tell(service, UNITS[2])) == before[UNITS[2]]
    service.must(f"systemctl reload {UNITS[2]}")
    wait_started(service, UNITS[2], before[UNITS[2]])


def test_killed_worker_and_killed_keeper_come_back(service: Booted) -> None:
    unit = UNITS[0]
    before, main = len(tell(service, unit)), service.show(unit, "MainPID")
    service.must(f"pkill -9 -P {main}")
    wait_started(service, unit, before)
    assert service.show(unit, "MainPID") == main
    service.must(f"kill -9 {main}")
    wait_started(service, unit, before + 1)


def test_supervisor_that_is_killed_leaves_agents_as_they_are(service: Booted) -> None:
    before, main = {unit: service.show(unit, "MainPID") for unit in UNITS}, service.show("lkhub", "MainPID")
    service.must(f"kill -9 {main}")
    wait_replaced(service, main, SECONDS)
    assert {unit: service.show(unit, "MainPID") for unit in UNITS} == before


def test_workers_end_when_the_hub_has_ended_and_start_with_it(service: Booted) -> None:
    mains = {unit: service.show(unit, "MainPID") for unit in UNITS}
    before = {unit: len(tell(service, unit)) for unit in UNITS}
    service.must("systemctl stop lkhub")
    for main in mains.values():
        wait_until(partial(has_no_worker, service, main), "its worker has ended", SECONDS)
    assert {unit: service.show(unit, "StatusText").split(";")[0] for unit in UNITS} == dict.fromkeys(
        UNITS, "waits for the hub"
    )
    service.must("systemctl restart lkhub")
    for unit in UNITS:
        wait_started(service, unit, before[unit])
    wait_until(lambda: "ENDED" in read_log(service, UNITS[0]), "the workers were told to end", SECONDS)


def test_agent_that_leaves_the_spec_leaves_the_machine(service: Booted) -> None:
    service.must("sed -i '/name: other/d' /etc/lkhub/hub.yaml")
    install(service)
    assert "lkhub-agent-other" not in service.must("systemctl list-units --all && ls /etc/systemd/system")
    assert "other" not in service.must(f"ls {STATE}/for-agents").split()
    assert service.show(UNITS[0], "ActiveState") == "active"


def test_uninstall_leaves_nothing(booted: Booted, installed: str, before: set[str]) -> None:
    said = booted.must("lkhub uninstall 2>&1")
    command = re.findall(r"`(rm .*)` removes", said)[0]
    assert "/var/lib/private/lkhub-agents" in command
    booted.must(command)
    # The folder is systemd's own.
    assert booted.list_files(SETUP) - {"/var/lib/private"} == before - {"/var/lib/private"}
    assert "lkhub-agent" not in booted.must("systemctl list-units --all")
