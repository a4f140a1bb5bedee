import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from lkhub.errors import MachineError
from lkhub.firewall.firewalld import Added
from lkhub.firewall.table import Command, Step
from lkhub.host import commands, firewall
from lkhub.host.commands import Done, has_program, run_command
from lkhub.host.firewall import (
    NotPermittedError,
    carry_out,
    gather_firewalls,
    look_at_firewalls,
)

RULESET = json.dumps(
    {"nftables": [{"chain": {"family": "inet", "table": "t", "name": "in", "hook": "input", "type": "filter"}}]}
)
LIST_ALL = "{}\n  target: default\n  services: ssh\n  ports: 22/tcp\n  rich rules:\n"


class Programs:
    """Answers by the words of a command; what was run is in `ran`."""

    def __init__(self, *answers: tuple[str, int, str, str]) -> None:
        self.answers = answers
        self.ran: list[str] = []

    def __call__(self, command: Command) -> Done:
        self.ran.append(" ".join(command.argv))
        for words, code, out, err in self.answers:
            if words in self.ran[-1]:
                return Done(code, out, err)
        return Done(0, "", "")


Machine = Callable[..., Path]


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Machine:
    """Which programs there are, and files of ufw and the kernel in a folder."""

    def make(*programs: str, **files: str) -> Path:
        monkeypatch.setattr(firewall, "has_program", lambda name: name in programs)
        for name, text in files.items():
            (tmp_path / name).write_text(text)
        monkeypatch.setattr(firewall, "_UFW_CONF", tmp_path / "ufw")
        monkeypatch.setattr(firewall, "_UFW_DEFAULTS", tmp_path / "defaults")
        monkeypatch.setattr(firewall, "_UFW_RULES", (tmp_path / "rules", tmp_path / "rules6"))
        monkeypatch.setattr(firewall, "_LEGACY", (tmp_path / "tables", tmp_path / "tables6"))
        return tmp_path

    return make


def test_a_machine_with_nothing_is_not_known(machine: Machine) -> None:
    machine()
    found = gather_firewalls((), run=Programs())
    assert (found.ufw, found.firewalld, found.ruleset, found.legacy) == (None, None, None, False)
    assert "nft is not on this machine" in found.problem


def test_all_of_them_are_read(machine: Machine) -> None:
    rules = "### tuple ### allow tcp 22 0.0.0.0/0 any 0.0.0.0/0 in\n"
    machine("nft", "ufw", "firewall-cmd", ufw="ENABLED=yes\n", rules=rules, tables="filter\nnat\n")
    programs = Programs(
        ("nft -j list ruleset", 0, RULESET, ""),
        ("--get-default-zone", 0, "public\n", ""),
        ("--get-zone-of-interface=eth0", 0, "home\n", ""),
        ("--get-zone-of-interface=eth1", 2, "no zone\n", ""),
        ("--list-all", 0, LIST_ALL.format("x"), ""),
        ("--info-service=ssh", 0, "ssh\n  ports: 2222/tcp\n", ""),
    )
    found = gather_firewalls(("eth0", "eth1"), [Added(True, "work", "port", "1/tcp")], programs)
    assert found.ufw
    assert (found.ufw.active, len(found.ufw.rules), found.legacy) == (True, 1, True)
    assert found.ruleset
    assert len(found.ruleset.chains) == 1
    assert found.firewalld
    assert [(zone.name, zone.permanent) for zone in found.firewalld.zones] == [
        (name, permanent) for name in ("home", "public") for permanent in (False, True)
    ]
    assert {zone.name for zone in found.firewalld.others} == {"work"}
    assert found.firewalld.zones[0].service_ports == ("2222/tcp",)


def test_a_firewalld_that_is_not_running_is_none(machine: Machine) -> None:
    machine("nft", "firewall-cmd")
    programs = Programs(("--state", 252, "not running\n", ""), ("nft", 0, RULESET, ""))
    assert gather_firewalls((), run=programs).firewalld is None


@pytest.mark.parametrize(
    "answer",
    [
        ("nft", 1, "", "Operation not permitted (you must be root)\nnetlink: Error: cache init failed"),
        ("--get-default-zone", 253, "", "Authorization failed.\n    Make sure polkit agent is running"),
    ],
)
def test_facts_only_root_may_read_are_reported_as_such(machine: Machine, answer: tuple[str, int, str, str]) -> None:
    machine("nft", "firewall-cmd")
    with pytest.raises(NotPermittedError, match="only root may do that"):
        gather_firewalls((), run=Programs(answer, ("nft", 0, RULESET, "")))


ROOT_ALONE = ("nft", 1, "", "Operation not permitted (you must be root)")


def late(command: Command) -> Done:
    """A firewalld that answers after seconds."""
    if command.argv[0] == "firewall-cmd":
        raise MachineError("it did not answer within 4 s")
    return Done(0, RULESET, "")


@pytest.mark.parametrize(
    ("run", "expected"),
    [
        (Programs(ROOT_ALONE, ("--state", 252, "", "")), ["nftables: only root may read it"]),
        (
            Programs(("nft", 0, RULESET, ""), ("--get-default-zone", 253, "", "Authorization failed.")),
            ["firewalld: only root may read it"],
        ),
        (late, ["firewalld: it did not answer within 4 s"]),
    ],
)
def test_a_check_uses_the_facts_that_it_can_get(
    machine: Machine, run: Callable[[Command], Done], expected: list[str]
) -> None:
    machine("nft", "firewall-cmd", "ufw", ufw="ENABLED=yes\n", tables="nat\n")
    found = look_at_firewalls((), run)
    assert list(map(str, found.unread)) == expected
    assert (found.ruleset is None) is ("nftables" in expected[0])
    assert found.ufw, "the others are read"
    assert not found.legacy


def test_an_inactive_ufw_is_distinguished_from_one_that_only_root_can_read(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = machine("nft", "ufw", ufw="ENABLED=no\n")

    def read(path: Path) -> str:
        if path.parent == folder and path.name.startswith("rules"):
            raise NotPermittedError(f"only root may read {path}")
        return path.read_text() if path.exists() else ""

    monkeypatch.setattr(firewall, "_read", read)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    programs = Programs(("nft", 0, RULESET, ""))
    assert look_at_firewalls((), programs).unread == ()
    machine("nft", "ufw", ufw="ENABLED=yes\n")
    assert list(map(str, look_at_firewalls((), programs).unread)) == ["ufw: only root may read it"]


@pytest.mark.parametrize("said", ["", "{", "[]", '{"nftables": [{"rule": {}}]}', '{"nftables": 1}'])
def test_an_nft_that_says_something_else_is_a_problem_and_no_crash(machine: Machine, said: str) -> None:
    machine("nft")
    found = gather_firewalls((), run=Programs(("nft", 0, said, "")))
    assert found.ruleset is None
    assert "not understood" in found.problem
    failed = gather_firewalls((), run=Programs(("nft", 1, "", "Error: no netlink")))
    assert failed.problem == "nft does not tell what the kernel drops: Error: no netlink"


def step(name: str, undo: bool = True) -> Step:
    return Step(Command(("do", name)), Command(("undo", name)) if undo else None)


def test_steps_are_carried_out_in_order() -> None:
    programs = Programs()
    carry_out([step("a"), step("b")], programs)
    assert programs.ran == ["do a", "do b"]


def test_a_failure_undoes_what_was_done_the_last_first() -> None:
    programs = Programs(("do c", 1, "", "ERROR: bad port\nmore"))
    with pytest.raises(MachineError, match="`do` refused: ERROR: bad port; the firewall is as it was"):
        carry_out([step("a"), step("b"), step("c"), step("d")], programs)
    assert programs.ran == ["do a", "do b", "do c", "undo b", "undo a"]


def test_what_can_not_be_undone_is_left_to_the_user_with_the_command() -> None:
    programs = Programs(("do c", 1, "", "no"), ("undo a", 1, "", "no"))
    with pytest.raises(MachineError, match="not everything before it could be undone") as failed:
        carry_out([step("a"), step("b"), step("c")], programs)
    assert failed.value.hints == ("undo by hand: undo a",)


def test_a_missing_permission_stays_one() -> None:
    with pytest.raises(NotPermittedError):
        carry_out([step("a")], Programs(("do a", 1, "", "ERROR: You need to be root to run this script")))


def test_programs_are_run_with_their_text() -> None:
    done = run_command(Command(("sh", "-c", "cat; echo no >&2; exit 7"), "given\n"))
    assert (done.code, done.out, done.said) == (7, "given\n", "no")
    with pytest.raises(MachineError, match="no-such-program is not on this machine"):
        run_command(Command(("no-such-program",)))
    assert Done(3, "", "").said == "exit code 3"


def test_programs_of_administrators_are_found_and_speak_english(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    monkeypatch.setattr(commands, "_ADMIN_FOLDERS", ("/bin", "/usr/bin"))
    assert has_program("sh")
    assert not has_program("no-such-program")
    assert run_command(Command(("sh", "-c", "echo $LC_ALL"))).out == "C\n"
