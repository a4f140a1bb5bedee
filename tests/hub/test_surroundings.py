"""What a command learns about names and proxies in front of the hub, and which addresses its own calls use."""

import json
import time
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from lkhub.checks.surroundings import UNSEEN, Surroundings
from lkhub.errors import MachineError
from lkhub.firewall.table import Command
from lkhub.host.commands import Done
from lkhub.host.holders import Holder
from lkhub.host.tls import Answered
from lkhub.hub import answerers, overrides, surroundings
from lkhub.hub.overrides import choose_overrides
from lkhub.hub.surroundings import gather_surroundings
from lkhub.plan.build import build_plan
from lkhub.plan.leads import judge_lead
from lkhub.plan.model import Advertised
from lkhub.plan.paths import StatePaths
from lkhub.plan.served import Served
from lkhub.spec.address import Address
from lkhub.spec.load import load_spec
from lkhub.state.describe import describe_applied
from lkhub.state.document import dump_record
from tests.machines import INSTALLATION, MACHINES
from tests.reports import applied_record

NAME = "rtc.example.com"
PUBLIC_HUB = f"reach: public\ndomain: {NAME}\n"

DROPPING = {
    "nftables": [
        {"table": {"family": "inet", "name": "filter"}},
        {
            "chain": {
                "family": "inet",
                "table": "filter",
                "name": "input",
                "handle": 1,
                "type": "filter",
                "hook": "input",
                "prio": 0,
                "policy": "drop",
            }
        },
    ]
}


@pytest.fixture
def paths(tmp_path: Path) -> StatePaths:
    return StatePaths(str(tmp_path))


def record(paths: StatePaths, text: str, machine: str = "vps", **more: Any) -> None:
    """Write the applied record of a hub with this spec."""
    plan = build_plan(load_spec(text.encode()), MACHINES[machine], INSTALLATION)
    assert plan
    applied = describe_applied(plan, None, (), 1.0)
    Path(paths.applied).write_text(json.dumps(json.loads(dump_record(applied)) | more))


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> dict[str, tuple[Address, ...] | None]:
    """The resolver's answers; it does not answer for a missing name."""
    found: dict[str, tuple[Address, ...] | None] = {}
    monkeypatch.setattr(surroundings, "ask_resolver", lambda name, seconds: found.get(name))
    monkeypatch.setattr(surroundings, "list_interfaces", lambda: MACHINES["vps"].interfaces)
    return found


@pytest.fixture
def nft(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What `nft` does: `said`, `code`, and how many seconds it takes."""
    does: dict[str, Any] = {"said": json.dumps({"nftables": []}), "code": 0, "seconds": 0.0, "ran": 0}

    def run(command: Command, seconds: float) -> Done:
        does["ran"] += 1
        if does["seconds"] > seconds:
            raise MachineError("nft did not run to its end")
        return Done(does["code"], does["said"], "Operation not permitted" if does["code"] else "")

    monkeypatch.setattr(surroundings, "run_command", run)
    monkeypatch.setattr("lkhub.host.firewall.has_program", lambda name: name == "nft")
    return does


OWN, BALANCER = "1.2.3.4", "151.101.1.1"

Answers = dict[str, tuple[Address, ...] | None]


def test_hub_for_this_machine_alone_asks_no_server(paths: StatePaths, answers: Answers, nft: dict[str, Any]) -> None:
    assert gather_surroundings(paths, {}) == UNSEEN, "never up"
    record(paths, "")
    assert gather_surroundings(paths, {}) == UNSEEN
    assert nft["ran"] == 0


def test_names_are_resolved_and_ports_judged(paths: StatePaths, answers: Answers, nft: dict[str, Any]) -> None:
    answers[NAME] = (ip_address("104.16.1.1"),)
    nft["said"] = json.dumps(DROPPING)
    record(paths, PUBLIC_HUB)
    seen = gather_surroundings(paths, {})
    assert [(lead.name, lead.elsewhere) for lead in seen.leads] == [(NAME, answers[NAME])]
    assert {str(verdict.row) for verdict in seen.verdicts} == {"7882/udp", "7881/tcp", "443/tcp", "80/tcp", "3478/udp"}
    assert {verdict.open for verdict in seen.verdicts} == {False}
    assert seen.opens.endswith(f"firewall apply --state {paths.root}")


@pytest.mark.parametrize(
    ("spec", "machine", "expected"),
    [
        ("reach: lan\ntls: {mode: tailscale}\nmedia: {interfaces: [tailscale0]}\n", "tailnet", (443,)),
        ("reach: lan\nmedia: {interfaces: [eth0, tailscale0]}\n", "laptop", (443,)),
        ("reach: lan\nmedia: {interfaces: [eth0]}\n", "laptop", ()),
        (PUBLIC_HUB, "vps", ()),
        ("", "tailnet", ()),
    ],
)
def test_tailscale_is_asked_what_it_serves_where_clients_come_through_it(
    paths: StatePaths,
    answers: Answers,
    nft: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    spec: str,
    machine: str,
    expected: tuple[int, ...],
) -> None:
    """Of what it serves, the hub's ports count."""
    monkeypatch.setattr(surroundings, "ask_served", lambda: (Served(443, "https"), Served(3000, "tcp")))
    record(paths, spec, machine)
    assert tuple(served.port for served in gather_surroundings(paths, {}).served) == expected


def test_firewall_of_a_container_is_that_of_its_machine(
    paths: StatePaths, answers: Answers, nft: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where neither the container's lkhub nor its paths are."""
    monkeypatch.setattr(surroundings, "is_in_image", lambda: True)
    answers[NAME] = (ip_address("104.16.1.1"),)
    record(paths, PUBLIC_HUB)
    assert gather_surroundings(paths, {}).opens == "sudo lkhub firewall apply"


@pytest.mark.parametrize(
    ("leads", "holder", "proxies", "asked"),
    [
        (OWN, "nginx", "", True),
        # Another machine, a container's port that another chain decides about, no client yet, a proxy on another
        # machine.
        (BALANCER, "nginx", "", False),
        (OWN, "docker-proxy", "", False),
        (OWN, "dockerd", "", False),
        (OWN, "conmon", "", False),
        (OWN, "", "", False),
        (OWN, "nginx", ", trusted_proxies: [10.0.0.2]", False),
    ],
)
def test_port_of_a_proxy_on_this_machine_is_judged_too(
    paths: StatePaths,
    answers: Answers,
    nft: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    leads: str,
    holder: str,
    proxies: str,
    asked: bool,
) -> None:
    """The proxy connects over loopback, and all clients use the proxy."""
    answers[NAME] = (ip_address(leads),)
    nft["said"] = json.dumps(DROPPING)
    monkeypatch.setattr(surroundings, "find_holder", lambda *_: Holder(1 if holder else None, holder))
    record(paths, f"{PUBLIC_HUB}tls: {{mode: external{proxies}}}\n")
    verdicts = gather_surroundings(paths, {}).verdicts
    assert ("443/tcp" in {str(verdict.row) for verdict in verdicts}) is asked
    assert {verdict.open for verdict in verdicts} == {False}


def test_unknown_facts_are_reported_as_unknown(paths: StatePaths, answers: Answers, nft: dict[str, Any]) -> None:
    """A resolver that is silent, a firewall that only root may read, or that takes too long."""
    record(paths, PUBLIC_HUB)
    nft["code"] = 1
    seen = gather_surroundings(paths, {})
    assert seen.leads == ()
    assert {verdict.open for verdict in seen.verdicts} == {None}
    assert list(map(str, seen.unread)) == ["nftables: only root may read it"]
    assert seen.tells.endswith(f"firewall status --state {paths.root}")
    nft |= {"code": 0, "seconds": 60.0}
    seen = gather_surroundings(paths, {})
    assert {verdict.open for verdict in seen.verdicts} == {None}
    assert "nft did not run to its end" in str(seen.unread[0])


def test_firewall_is_asked_for_a_bounded_time(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    given: list[float] = []
    monkeypatch.setattr(surroundings, "run_command", lambda command, seconds: given.append(seconds))
    run = surroundings._UntilDeadline(4.0)
    for at in (0.0, 3.0, 4.5):
        clock[0] = at
        if at > 4.0:
            with pytest.raises(MachineError, match="did not answer within 4 s"):
                run(Command(("nft",)))
        else:
            run(Command(("nft",)))
    assert given == [4.0, 1.0]


def test_record_of_a_version_before_says_nothing(paths: StatePaths, answers: Answers, nft: dict[str, Any]) -> None:
    record(paths, PUBLIC_HUB, names=[], told=[], firewall=None)
    seen = gather_surroundings(paths, {})
    assert (seen.leads, seen.told, seen.verdicts) == ((), (), ())


TOLD, LOCAL = ip_address("93.184.216.5"), ip_address("10.0.0.5")


INSTANCE, LEAF = "0123456789abcdef" * 2, "ab" * 32


def say_way(instance: str, client: str = "93.184.216.5") -> str:
    return json.dumps({"instance": instance, "client": client, "forwarded": None})


@pytest.mark.parametrize(
    ("answered", "expected"),
    [
        (None, "nothing"),
        (Answered(LEAF, say_way(INSTANCE)), "hub"),
        (Answered("cd" * 32, say_way(INSTANCE)), "proxy"),
        # A wildcard certificate on two machines, another hub, a web site, an older hub.
        (Answered(LEAF, say_way("f" * 32)), "other"),
        (Answered("cd" * 32, say_way("f" * 32)), "other"),
        (Answered("cd" * 32, "<html>My cloud</html>"), "other"),
        (Answered(LEAF, ""), "other"),
        (Answered(LEAF, "[]"), "other"),
        (Answered(LEAF, '{"instance": null}'), "other"),
    ],
)
def test_hub_is_recognised_by_its_instance(answered: Answered | None, expected: str) -> None:
    assert answerers.judge_answer(answered, INSTANCE, frozenset({LEAF})) == expected


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The servers at other addresses, and which of them were `asked`."""
    does: dict[str, Any] = {"answers": {}, "asked": [], "own": INSTANCE}

    def ask(address: Address, port: int, name: str, path: str, seconds: float) -> Answered | None:
        assert (port, name) == (443, NAME)
        does["asked"].append(str(address))
        return does["answers"].get(str(address))  # type: ignore[no-any-return]

    monkeypatch.setattr(answerers, "ask_over_tls", ask)
    monkeypatch.setattr(answerers, "_ask_own", lambda serve: does["own"])
    monkeypatch.setattr(answerers, "list_leaves", lambda paths: frozenset({LEAF}))
    monkeypatch.setattr(answerers, "list_interfaces", lambda: MACHINES["vps"].interfaces)
    return does


@pytest.mark.parametrize("seen_as", ["198.51.100.9", "203.0.113.5"])
def test_load_balancer_that_leads_to_the_hub_is_found(
    paths: StatePaths, answers: Answers, nft: dict[str, Any], asked: dict[str, Any], seen_as: str
) -> None:
    answers[NAME] = (ip_address(BALANCER),)
    asked["answers"] = {BALANCER: Answered(LEAF, say_way(INSTANCE, seen_as))}
    record(paths, PUBLIC_HUB)
    [lead] = gather_surroundings(paths, {}).leads
    assert (lead.answers, lead.leads_here) == ({ip_address(BALANCER): "hub"}, True)
    own = [str(address) for interface in MACHINES["vps"].interfaces for address in interface.addresses]
    assert lead.seen_as == ("" if seen_as in own else seen_as)


@pytest.mark.parametrize(
    ("resolved", "own", "spec", "expected"),
    [
        ([BALANCER], INSTANCE, PUBLIC_HUB, [BALANCER]),
        ([BALANCER, "151.101.1.2"], INSTANCE, PUBLIC_HUB, [BALANCER, "151.101.1.2"]),
        # A private address: split DNS, or a wrong record.
        (["10.0.0.9"], INSTANCE, PUBLIC_HUB, ["10.0.0.9"]),
        # A known CDN, this machine, a hub that does not identify itself.
        (["104.16.1.1"], INSTANCE, PUBLIC_HUB, []),
        ([OWN], INSTANCE, PUBLIC_HUB, []),
        ([BALANCER], "", PUBLIC_HUB, []),
        # Without TLS nothing tells this hub from another server.
        ([BALANCER], INSTANCE, f"{PUBLIC_HUB}tls: {{mode: off}}\n", []),
    ],
)
def test_no_server_is_asked_in_vain(
    paths: StatePaths,
    answers: Answers,
    nft: dict[str, Any],
    asked: dict[str, Any],
    resolved: list[str],
    own: str,
    spec: str,
    expected: list[str],
) -> None:
    answers[NAME] = tuple(map(ip_address, resolved))
    asked["own"] = own
    record(paths, spec)
    [lead] = gather_surroundings(paths, {}).leads
    assert sorted(asked["asked"]) == expected
    assert set(lead.answers.values()) == ({"nothing"} if expected else set())


def test_hub_whose_certificates_are_not_known_is_not_taken_for_a_proxy(
    paths: StatePaths,
    answers: Answers,
    nft: dict[str, Any],
    asked: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As while no supervisor runs."""
    monkeypatch.setattr(answerers, "list_leaves", lambda paths: frozenset())
    answers[NAME] = (ip_address(BALANCER), ip_address("93.184.216.9"))
    asked["answers"] = {BALANCER: Answered(LEAF, say_way(INSTANCE))}
    record(paths, PUBLIC_HUB)
    [lead] = gather_surroundings(paths, {}).leads
    assert lead.answers == {ip_address("93.184.216.9"): "nothing"}


@pytest.mark.parametrize(
    ("resolved", "leads_back", "why"),
    [
        (["10.0.0.5"], False, None),
        (["93.184.216.5"], True, None),
        (["93.184.216.5"], False, "93.184.216.5 does not lead back to it from inside of its network"),
        ([], True, "this machine's resolver tells no address of it"),
        (None, True, "this machine's resolver tells no address of it"),
        (["127.0.1.1"], True, "it leads to 127.0.1.1 here, this machine alone"),
        (["151.101.1.1"], True, "it leads to 151.101.1.1 here, which is not the hub's"),
        (["93.184.216.5", "151.101.1.1"], True, "it leads to 151.101.1.1 here, which is not the hub's"),
    ],
)
def test_calls_go_where_the_name_leads_if_that_is_this_hub(
    paths: StatePaths,
    monkeypatch: pytest.MonkeyPatch,
    resolved: list[str] | None,
    leads_back: bool,
    why: str | None,
) -> None:
    tried: list[Address] = []

    def serves(address: Address, port: int, name: str, leaves: Any, seconds: float) -> bool:
        assert (port, name) == (443, NAME)
        tried.append(address)
        return leads_back

    monkeypatch.setattr(overrides, "serves_certificate", serves)
    monkeypatch.setattr(overrides, "list_leaves", lambda paths: frozenset({"ab"}))
    told = (Advertised(TOLD, LOCAL),)
    leads = () if resolved is None else (judge_lead(NAME, map(ip_address, resolved), [TOLD], [LOCAL]),)
    resolve = {NAME: "127.0.0.1", str(TOLD): str(LOCAL)}
    applied = applied_record(names=[NAME], resolve=resolve, urls={"livekit": f"wss://{NAME}"})
    chosen, notes = choose_overrides(paths, applied, replace(Surroundings("public"), leads=leads, told=told))
    assert chosen[str(TOLD)] == str(LOCAL), "media's addresses are another matter"
    assert (NAME in chosen) is (why is not None)
    assert notes == ((f"not where {NAME} leads, but to 127.0.0.1: {why}",) if why else ())
    assert set(tried) <= {TOLD}, "an address that is not this hub's is not tried"
