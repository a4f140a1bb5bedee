"""`lkhub firewall` and `lkhub render firewall`, with simulated firewalls. Real ones are in tests/namespaces."""

import json
import os
import sys
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import pytest

from lkhub.cli import firewall
from lkhub.cli.shared import firewall_router
from lkhub.errors import MachineError
from lkhub.firewall.change import Found
from lkhub.firewall.firewalld import Added, Firewalld, Zone
from lkhub.firewall.table import Step
from lkhub.host.firewall import NotPermittedError
from lkhub.plan.paths import StatePaths
from lkhub.prepare import hub as prepare
from lkhub.render.firewall.all import FORMS
from lkhub.state.document import dump_record
from lkhub.state.firewall import write_added
from lkhub.state.router import Mapping, RouterRecord, read_router, write_router
from tests.cli.conftest import Run, list_owners
from tests.machines import MACHINES
from tests.plan.rulesets import ACCEPT, DROP, dport, ruleset
from tests.test_reference import find_json, shape

LAN = "reach: lan\n"
PUBLIC = "reach: public\ndomain: rtc.example.com\nmedia: {advertise: 1.2.3.4}\n"

DROPS = Found(ruleset=ruleset(policy="drop"))
OPEN = Found(ruleset=ruleset())
IPTABLES = Found(ruleset=ruleset([DROP], family="ip", chain="INPUT"))


class Machine:
    """The firewalls that are found, before and after a change, and the steps that were carried out."""

    def __init__(self) -> None:
        self.found: list[Found | Exception] = [OPEN]
        self.steps: list[str] = []
        self.fails: Exception | None = None

    def gather(self, interfaces: Iterable[str], recorded: Iterable[Added] = ()) -> Found:
        found = self.found.pop(0) if len(self.found) > 1 else self.found[0]
        if isinstance(found, Exception):
            raise found
        return found

    def carry_out(self, steps: Iterable[Step]) -> None:
        if self.fails:
            raise self.fails
        self.steps += [str(step.do) for step in steps]


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    made = Machine()
    monkeypatch.setattr(firewall, "gather_firewalls", made.gather)
    monkeypatch.setattr(firewall, "carry_out", made.carry_out)
    return made


@pytest.fixture
def spec(run: Run, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Writes hub.yaml; `run` has made the folder. The machine is a laptop, whatever this one is."""

    monkeypatch.setattr(prepare, "gather_network", lambda: MACHINES["laptop"])

    def write(text: str) -> None:
        Path("hub.yaml").write_text(text)

    return write


Spec = Callable[[str], None]


def test_a_hub_for_this_machine_asks_no_server(run: Run, machine: Machine) -> None:
    machine.found = [NotPermittedError("only root may do that")]
    done = run("firewall", "status")
    assert (done.code, done.out) == (0, "no port has to be open for reach: local\n")


def test_status_says_what_is_open_and_exits_1_where_something_is_not(run: Run, machine: Machine, spec: Spec) -> None:
    spec(LAN)
    done = run("firewall", "status")
    assert done.code == 0
    assert done.out.startswith(
        "nothing in this machine's input chains drops these packets\n  open    7882/udp  from 192.168.1.0/24  media"
    )
    machine.found = [DROPS]
    done = run("firewall", "status")
    assert done.code == 1
    assert done.out.startswith("in charge: nftables\n  CLOSED  7882/udp  from ")
    assert "dropped by the policy of inet filter input" in done.out
    machine.found = [Found(problem="nft is not on this machine")]
    done = run("firewall", "status")
    assert done.code == 1
    assert done.out.startswith("which firewall is in charge is not known\n  unknown 7882/udp")


def test_status_json(run: Run, machine: Machine, spec: Spec) -> None:
    spec(LAN)
    machine.found = [DROPS]
    said = run("firewall", "status", "--json").json
    assert (said["firewalls"], said["router"]) == (["nftables"], None)
    media = said["rows"][0]
    assert (media["port"], media["protocol"], media["key"], media["open"]) == ("7882", "udp", "media.udp", False)
    assert {"port", "protocol", "purpose", "why"} == set(said["closed"][0])


def test_json_has_the_keys_of_the_reference(run: Run, machine: Machine, spec: Spec, router: list[RouterRecord]) -> None:
    [shown] = find_json("docs/reference/json.md", "lkhub firewall status --json")
    spec(PUBLIC)
    machine.found = [DROPS]
    run("firewall", "apply", "--router")
    assert shape(run("firewall", "status", "--json").json) == shape(shown)


def test_apply_shows_what_it_did_and_what_came_of_it(run: Run, machine: Machine, spec: Spec) -> None:
    spec(LAN)
    machine.found = [DROPS, OPEN]
    done = run("firewall", "apply")
    assert done.code == 0
    [script] = machine.steps
    assert script.count("add rule inet filter input ip saddr") == 5
    assert "done: nft -f -" in done.err
    assert "is gone after a reboot" in done.err
    assert "  open    7882/udp" in done.out


def test_apply_where_it_did_not_help_exits_1(run: Run, machine: Machine, spec: Spec) -> None:
    spec(LAN)
    machine.found = [DROPS]
    assert run("firewall", "apply").code == 1


def test_dry_run_changes_nothing(run: Run, machine: Machine, spec: Spec) -> None:
    spec(LAN)
    machine.found = [DROPS]
    done = run("firewall", "apply", "--dry-run")
    assert (done.code, machine.steps) == (0, [])
    assert done.out.startswith("nft -f - <<'END'\nadd rule inet filter input")
    assert run("firewall", "apply", "--dry-run", "--json").json["commands"] == [done.out.rstrip("\n")]


@pytest.mark.parametrize("command", ["status", "apply", "revert"])
def test_without_permission_the_one_command_is_given(
    run: Run, machine: Machine, spec: Spec, paths: StatePaths, command: str
) -> None:
    spec(LAN)
    machine.found = [NotPermittedError("only root may do that")]
    done = run("firewall", command)
    assert (done.code, done.out) == (3, "")
    given = "" if command == "revert" else f" --spec {Path('hub.yaml').absolute()}"
    assert f"firewall {command}{given} --state {paths.root}`" in done.err
    assert "hint: run `sudo " in done.err


def test_a_command_of_python_is_given_as_one(run: Run, machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    from lkhub.hub.as_root import as_root

    monkeypatch.setattr(sys, "argv", ["/opt/lkhub/lkhub/__main__.py"])
    assert as_root("firewall", "status") == f"sudo {sys.executable} -P -m lkhub firewall status"
    monkeypatch.setattr(sys, "argv", ["/home/a b/bin/lkhub"])
    assert as_root("firewall", "status") == "sudo '/home/a b/bin/lkhub' firewall status"


def test_rules_of_iptables_are_left_to_the_user(run: Run, machine: Machine, spec: Spec) -> None:
    spec(LAN)
    machine.found = [IPTABLES]
    done = run("firewall", "apply")
    assert (done.code, machine.steps) == (3, [])
    assert done.err.count("hint: run `iptables -I INPUT ") == 5
    assert run("firewall", "apply", "--dry-run").out.count("iptables -I INPUT ") == 5


def zone(*ports: str) -> Found:
    zones = tuple(Zone("public", permanent, "default", (), ports, ()) for permanent in (False, True))
    return Found(firewalld=Firewalld(zones), ruleset=ruleset())


def test_what_was_added_to_firewalld_is_remembered_and_forgotten(
    run: Run, machine: Machine, spec: Spec, paths: StatePaths
) -> None:
    spec(PUBLIC)
    machine.found = [zone()]
    run("firewall", "apply")
    assert {row["value"] for row in json.loads(Path(paths.firewall).read_text())["firewalld"]} >= {
        "7882/udp",
        "443/tcp",
    }
    machine.found = [zone("7882/udp")]
    done = run("firewall", "revert")
    assert (done.code, Path(paths.firewall).exists()) == (0, False)
    assert machine.steps[-2:] == [
        "firewall-cmd --zone=public --remove-port=7882/udp",
        "firewall-cmd --permanent --zone=public --remove-port=7882/udp",
    ]


def test_a_failure_keeps_the_record_of_before(run: Run, machine: Machine, spec: Spec, paths: StatePaths) -> None:
    spec(PUBLIC)
    machine.found = [zone()]
    machine.fails = MachineError("`firewall-cmd` refused: no; the firewall is as it was")
    done = run("firewall", "apply")
    assert (done.code, Path(paths.firewall).exists()) == (3, False)
    assert "the firewall is as it was" in done.err


def test_revert_needs_the_firewalld_that_it_added_to(run: Run, machine: Machine, paths: StatePaths) -> None:
    Path(paths.root).mkdir(mode=0o700)
    write_added(paths.firewall, frozenset({Added(True, "public", "port", "443/tcp")}))
    done = run("firewall", "revert")
    assert done.code == 3
    assert "does not run" in done.err


def test_revert_does_not_need_a_sound_spec(run: Run, machine: Machine) -> None:
    Path("hub.yaml").write_text("nonsense: [")
    assert run("firewall", "revert").code == 0


def test_nothing_to_do_is_said(run: Run, machine: Machine) -> None:
    machine.found = [Found(ruleset=ruleset([dport(7882), ACCEPT], policy="drop"))]
    for words in (["revert"], ["revert", "--dry-run"], ["revert", "--router"]):
        done = run("firewall", *words)
        assert (done.code, "nothing to do" in done.err) == (0, True)
    assert run("firewall", "revert", "--json").json == {"commands": []}


# --- the router


def record(external: str = "1.2.3.4", until: float | None = 1_900_000_000.0) -> RouterRecord:
    mappings = (Mapping("udp", 7882, "x", 1_800_000_000.0, until),)
    return RouterRecord("192.168.1.1", "192.168.1.5", "upnp", "", mappings, external)


@pytest.fixture
def router(monkeypatch: pytest.MonkeyPatch) -> list[RouterRecord]:
    """The record made from the router's answer; the request is not checked."""
    answers = [record()]

    async def answer(wanted: list[object], old: RouterRecord | None) -> RouterRecord:
        return answers[-1]

    async def forget(given: RouterRecord) -> None:
        answers.clear()

    monkeypatch.setattr(firewall_router, "map_ports", answer)
    monkeypatch.setattr(firewall_router, "unmap_ports", forget)
    monkeypatch.setattr(firewall_router, "_is_behind_nat", lambda plan: True)
    return answers


def test_mappings_are_asked_for_shown_and_given_back(
    run: Run, machine: Machine, spec: Spec, router: list[RouterRecord], paths: StatePaths
) -> None:
    spec(PUBLIC)
    done = run("firewall", "apply", "--router")
    assert done.code == 0
    assert "router: 192.168.1.1, by upnp; its own address is 1.2.3.4" in done.out
    assert "mapped  7882/udp  until 2030-" in done.out
    assert "the hub does it while it runs" in done.err
    assert Path(paths.router).stat().st_mode & 0o777 == 0o600
    assert "mapped  7882/udp" in run("firewall", "status").out
    assert "gave back 7882/udp" in run("firewall", "revert", "--router").err
    assert router == []
    assert not Path(paths.router).exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may act as others")
def test_root_maps_ports_of_another_users_hub(
    run: Run,
    machine: Machine,
    spec: Spec,
    router: list[RouterRecord],
    applied: StatePaths,
    give_away: Callable[[StatePaths], None],
) -> None:
    spec(PUBLIC)
    give_away(applied)
    done = run("firewall", "apply", "--router")
    assert done.code == 0, done.err
    assert list_owners(applied) == {65534}
    assert run("firewall", "revert", "--router").code == 0


def test_mappings_that_can_not_be_recorded_are_given_back(
    run: Run,
    machine: Machine,
    spec: Spec,
    router: list[RouterRecord],
    paths: StatePaths,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Those that were not on record before: `revert` would not find them."""
    spec(PUBLIC)
    assert run("firewall", "apply", "--router").code == 0
    more = Mapping("tcp", 7881, "x", 1_800_000_000.0, 1_900_000_000.0)
    router[:] = [replace(record(), mappings=(*record().mappings, more))]
    given_back: list[RouterRecord] = []

    async def unmap(given: RouterRecord) -> None:
        given_back.append(given)

    def refuse(*_: object) -> None:
        raise MachineError("the disk is full")

    monkeypatch.setattr(firewall_router, "unmap_ports", unmap)
    monkeypatch.setattr(firewall_router, "write_router", refuse)
    done = run("firewall", "apply", "--router")
    assert (done.code, "the disk is full" in done.err) == (3, True)
    assert [each.mappings for each in given_back] == [(more,)]
    assert read_router(paths) == record()


def test_missing_renewal_of_mappings_is_explained(
    run: Run, machine: Machine, spec: Spec, router: list[RouterRecord], monkeypatch: pytest.MonkeyPatch
) -> None:
    spec(PUBLIC)
    monkeypatch.setattr(firewall_router, "is_running", lambda paths: True)
    assert "note:" not in run("firewall", "apply", "--router").err


def test_a_router_behind_another_one_is_not_well(
    run: Run, machine: Machine, spec: Spec, router: list[RouterRecord]
) -> None:
    spec(PUBLIC)
    router[:] = [record("100.64.1.1", until=None)]
    done = run("firewall", "apply", "--router")
    assert done.code == 1
    assert "carrier-grade NAT" in done.err
    assert "for good" in done.out
    assert run("firewall", "apply", "--router", "--json").json["reachable"] is False


def test_external_address_that_is_not_known_is_said_to_be_so(
    run: Run, machine: Machine, spec: Spec, paths: StatePaths
) -> None:
    spec(PUBLIC)
    Path(paths.router).parent.mkdir(parents=True, mode=0o700)
    write_router(paths, replace(record(), external_address=None))
    done = run("firewall", "status")
    assert (done.code, "its own address is not known" in done.out, "warning" in done.err) == (0, True, False)
    said = run("firewall", "status", "--json").json["router"]
    assert (said["outside"], said["reachable"]) == (None, None)


def test_dry_run_of_the_router_names_the_ports(
    run: Run, machine: Machine, spec: Spec, router: list[RouterRecord], paths: StatePaths
) -> None:
    spec(PUBLIC)
    done = run("firewall", "apply", "--router", "--dry-run")
    assert done.out.startswith("the router would be asked for 7882/udp, 7881/tcp, 443/tcp")
    assert "7882/udp" in run("firewall", "apply", "--router", "--dry-run", "--json").json["mappings"]
    assert not Path(paths.router).exists()


def test_what_a_router_can_not_do_is_refused(
    run: Run, machine: Machine, spec: Spec, router: list[RouterRecord]
) -> None:
    spec(LAN)
    done = run("firewall", "apply", "--router")
    assert (done.code, "this is reach: lan" in done.err) == (2, True)
    spec(PUBLIC.replace("{advertise", "{udp: 50000-60000, advertise"))
    done = run("firewall", "apply", "--router")
    assert (done.code, "media.udp is 50000-60000" in done.err) == (2, True)


def test_a_damaged_record_of_the_router_is_reported(run: Run, machine: Machine, spec: Spec, paths: StatePaths) -> None:
    spec(LAN)
    Path(paths.root).mkdir(mode=0o700, exist_ok=True)
    Path(paths.router).write_text(dump_record(record())[:20])
    done = run("firewall", "status")
    assert (done.code, "router.json is damaged" in done.err) == (3, True)


# --- render firewall


def test_the_table_is_printed_without_a_folder(run: Run) -> None:
    done = run("render", "firewall")
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("hub: ports to open for reach: local\n  none\n\nnot to be opened\n")
    assert run("render", "firewall", "--format", "aws").json == []


def test_every_form_is_written_into_a_folder(run: Run, spec: Spec) -> None:
    spec(LAN)
    done = run("render", "firewall", "-o", "out")
    assert done.code == 0
    names = {file.name for file in Path("out").iterdir()}
    assert len(names - {".lkhub-rendered"}) == len(FORMS) + 1
    assert run("render", "firewall", "-o", "out", "--diff").code == 0
    assert run("render", "firewall", "--format", "ufw", "-o", "one").code == 0
    assert [file.name for file in Path("one").iterdir()] == ["ufw.sh"]


def test_a_form_that_is_not_there_is_exit_2(run: Run, spec: Spec) -> None:
    spec(LAN)
    for words in (
        ["firewall", "--format", "pf"],
        ["livekit", "--format", "text", "-o", "out"],
        ["firewall", "--format", "firewalld"],
        ["firewall", "--diff"],
    ):
        done = run("render", *words)
        assert (done.code, done.out) == (2, ""), words
