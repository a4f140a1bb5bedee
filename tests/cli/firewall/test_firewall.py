"""`lkhub firewall` and `lkhub render firewall`, with simulated firewalls. Real ones are in tests/namespaces."""

import json
import sys
from pathlib import Path

import pytest

from lkhub.errors import MachineError
from lkhub.firewall.change import Found
from lkhub.firewall.firewalld import Added, Firewalld, Zone
from lkhub.host.firewall import NotPermittedError
from lkhub.plan.paths import StatePaths
from lkhub.render.firewall.all import FORMS
from lkhub.state.firewall import write_added
from lkhub.state.router import RouterRecord
from tests.cli.conftest import Run
from tests.cli.firewall.conftest import DROPS, LAN, OPEN, PUBLIC, Machine, Spec
from tests.plan.rulesets import ACCEPT, DROP, dport, ruleset
from tests.test_reference import find_json, shape

IPTABLES = Found(ruleset=ruleset([DROP], family="ip", chain="INPUT"))


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
    from lkhub.host.as_root import as_root

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
    assert {file.name for file in Path("one").iterdir()} == {".lkhub-rendered", "ufw.sh"}


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
