import json
import re
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import jwt
import pytest

from lkhub.checks.paths import PathResult
from lkhub.checks.sites import BuiltSite, check_sites
from lkhub.cli.shared import summary
from lkhub.cli.shared.summary import show_summary
from lkhub.hub.status import Verified
from lkhub.plan.build import build_plan
from lkhub.plan.model import Plan, Sighting
from lkhub.plan.paths import StatePaths
from lkhub.spec.load import load_spec
from lkhub.state.store import StoreRecord, write_store
from lkhub.wire.application import Application
from lkhub.wire.serve_config import dump_serve, parse_serve
from tests.cli.conftest import SECRET, write_serve
from tests.findings.make import NO_TLS, note
from tests.machines import make_facts, make_installation
from tests.reports import hub_report

Captured = pytest.CaptureFixture[str]


@pytest.fixture
def plan(applied: StatePaths, monkeypatch: pytest.MonkeyPatch) -> Plan:
    monkeypatch.setenv("LKHUB_STATE", applied.root)
    built = build_plan(load_spec(b""), make_facts(), make_installation(applied.root))
    assert built is not None
    return built


def test_summary_says_where_the_hub_is_and_how_to_join(
    plan: Plan, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    show_summary(plan, Verified(1.0, (PathResult("udp", True, "media", "", 12.0, 0.4, 0.0),)))
    shown = capsys.readouterr()
    assert shown.err == ""
    assert shown.out.startswith("hub is up\n"), "no code: a pipe is no screen"
    assert re.search(r"verified udp +connected in 12 ms, round trip 0\.4 ms", shown.out)
    assert re.search(r"LIVEKIT_URL +ws://127\.0\.0\.1:7880\n", shown.out)
    assert re.search(r"API key +lkhub env\n", shown.out)
    link = re.search(r"join +(http://127\.0\.0\.1:8080/join/lobby)#(\S+)\n", shown.out)
    assert link is not None
    assert jwt.decode(link[2], SECRET.reveal(), algorithms=["HS256"])["video"]["room"] == "lobby"
    assert SECRET.reveal() not in shown.out


def test_site_that_was_not_built_stands_above_a_hub_that_is_up(plan: Plan, capsys: Captured) -> None:
    built = check_sites([BuiltSite("bmo", "it ended with exit code 1", ("Unexpected token",))], datetime.now(UTC))
    show_summary(plan, None, built=tuple(built))
    shown = capsys.readouterr()
    assert "the site bmo was not built: it ended with exit code 1" in shown.err
    assert "Unexpected token" in shown.err
    assert shown.out.startswith("hub is up\n"), "calls get through"


def test_store_that_can_not_be_used_stands_above_a_hub_that_is_up(plan: Plan, capsys: Captured) -> None:
    write_serve(plan.paths, Application(used=True))
    served = Path(plan.paths.render("serve.json"))
    served.write_text(dump_serve(replace(parse_serve(served.read_text()), store=plan.paths.store_state)))
    write_store(plan.paths.store_state, StoreRecord("", 1.0, "gone", "the store can't be reached: lkhub at a:5432"))
    show_summary(plan, None)
    shown = capsys.readouterr()
    assert "the store can't be reached [store-fails]" in shown.err
    assert "lkhub at a:5432" in shown.err
    assert shown.out.startswith("hub is up\n")


@pytest.mark.parametrize(
    ("name", "roles", "is_up"), [("edge", (), False), ("serve", (), False), ("agent-bmo", ("registers",), True)]
)
def test_hub_of_which_a_process_hangs_is_not_said_to_be_up(
    plan: Plan, capsys: Captured, monkeypatch: pytest.MonkeyPatch, name: str, roles: tuple[str, ...], is_up: bool
) -> None:
    """Also where nobody asked for a verification. Calls get through where an agent hangs."""
    process = {"name": name, "pid": 4711, "roles": roles, "state": "hanging"}
    report = hub_report({"processes": [process], "hangs": {name: "it does not answer"}, "stopped": [name]})
    monkeypatch.setattr(summary, "ask_report", lambda _: report)
    show_summary(plan, None)
    shown = capsys.readouterr()
    assert shown.out.startswith("hub is up\n" if is_up else "hub runs, and not everybody gets in")
    assert ("kill -CONT 4711" in shown.err) is not is_up


def test_token_is_not_written_to_what_keeps_it(plan: Plan, capsys: Captured) -> None:
    """A file, a pipe, a journal, a container's log: all but a terminal."""
    show_summary(plan, None)
    shown = capsys.readouterr()
    assert "eyJ" not in shown.out + shown.err
    assert "█" not in shown.out
    assert re.search(r"join +lkhub token --room lobby --link\n", shown.out)


@pytest.mark.parametrize("opens", [True, False])
def test_commands_are_about_the_hub_that_is_up_as_they_are_typed(
    plan: Plan, capsys: Captured, monkeypatch: pytest.MonkeyPatch, opens: bool
) -> None:
    """A command without `--state` does not find a hub of `up --state DIR`."""
    monkeypatch.setenv("LKHUB_STATE", "/another")
    record = json.loads(Path(plan.paths.applied).read_text()) | {"auto_create": opens}
    Path(plan.paths.applied).write_text(json.dumps(record))
    show_summary(plan, None)
    here = f" --state {re.escape(plan.paths.root)}"
    rooms = "" if opens else f"lkhub rooms create lobby{here}; "
    shown = capsys.readouterr().out
    assert re.search(rf"join +{rooms}lkhub token --room lobby --link{here}\n", shown)
    assert re.search(rf"API key +lkhub env{here}\n", shown)


def test_token_is_written_everywhere_when_it_is_asked_for(plan: Plan, capsys: Captured) -> None:
    show_summary(plan, None, link=True)
    shown = capsys.readouterr()
    assert "/join/lobby#eyJ" in shown.out


def test_path_that_fails_is_a_finding_and_no_line_of_success(plan: Plan, capsys: Captured) -> None:
    show_summary(plan, Verified(1.0, (PathResult("udp", False, "connect", "timed out"),)))
    shown = capsys.readouterr()
    assert "verified" not in shown.out
    assert "[path-fails]" in shown.err
    assert "timed out" in shown.err


def test_hub_that_certifies_itself_says_where_its_root_is(plan: Plan, capsys: Captured) -> None:
    show_summary(plan, None)
    assert "trust" not in capsys.readouterr().out
    record = json.loads(Path(plan.paths.applied).read_text())
    record["urls"]["trust"] = ["http://192.168.1.5/trust", "https://192.168.1.5/trust"]
    Path(plan.paths.applied).write_text(json.dumps(record))
    show_summary(plan, None)
    assert re.search(r"trust +http://192\.168\.1\.5/trust, once on each device", capsys.readouterr().out)


def test_chain_that_native_applications_refuse_is_said_beside_the_success(plan: Plan, capsys: Captured) -> None:
    result = PathResult("turn-tls", True, "media", "", native=False, native_detail="issued by ISRG Root X1")
    show_summary(plan, Verified(1.0, (result,)))
    shown = capsys.readouterr()
    assert "verified turn-tls" in shown.out
    assert "[native-refuses]" in shown.err


def test_lan_hub_says_what_was_not_seen_and_what_was_chosen(plan: Plan, capsys: Captured) -> None:
    lan = replace(plan, reach="lan", findings=(NO_TLS, note("clients are told 192.168.1.5")))
    udp, tcp = (PathResult(path, True, "media", "", 12.0) for path in ("udp", "tcp"))
    outside = {"udp": None, "tcp": Sighting(time.time() - 150, "203.0.113.7")}
    show_summary(lan, Verified(1.0, (udp, tcp), outside))
    shown = capsys.readouterr()
    assert re.search(r"verified udp +connected in 12 ms; outside: not seen\n", shown.out)
    assert re.search(r"verified tcp +connected in 12 ms; outside: 2 min ago from 203\.0\.113\.7\n", shown.out)
    assert "`lkhub verify --url ws://127.0.0.1:7880` on another machine" in shown.err
    assert "note: clients are told 192.168.1.5\nwarning: no TLS: " in shown.err


def test_pending_change_is_not_reported_as_if_it_were_in_force(plan: Plan, capsys: Captured) -> None:
    """A new root, for one: no device could trust it before the change is made."""
    show_summary(replace(plan, findings=(NO_TLS, note("the hub has a new root"))), None, pending=True)
    shown = capsys.readouterr()
    assert "a change that waits" in shown.out
    told = "note: of the change that waits: the hub has a new root\nwarning: of the change that waits: no TLS: "
    assert told in shown.err


@pytest.fixture
def scanned(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What QR codes were drawn, on a terminal with room for them."""
    drawn: list[str] = []

    def show_qr(text: str, *, below: int) -> bool:
        print("QR")
        drawn.append(text)
        return True

    monkeypatch.setattr(summary, "show_qr", show_qr)
    return drawn


@pytest.mark.parametrize(
    ("reach", "urls", "wanted"),
    [
        ("local", {}, None),
        ("lan", {}, None),
        ("lan", {"web": "https://192.168.1.5", "trust": ["http://192.168.1.5/trust"]}, r"http://192\.168\.1\.5/trust"),
        ("public", {"web": "https://rtc.example.com"}, r"https://rtc\.example\.com/join/lobby#eyJ.*"),
    ],
)
def test_code_is_what_a_phone_can_use_and_stands_above_the_lines_that_everybody_needs(
    plan: Plan, capsys: Captured, scanned: list[str], reach: str, urls: dict[str, object], wanted: str | None
) -> None:
    record = json.loads(Path(plan.paths.applied).read_text())
    record["reach"] = reach
    record["urls"] |= urls
    Path(plan.paths.applied).write_text(json.dumps(record))
    show_summary(replace(plan, findings=(note("clients are told 192.168.1.5"),)), Verified(1.0, ()), link=True)
    shown = capsys.readouterr()
    assert len(scanned) == (wanted is not None)
    assert wanted is None or re.fullmatch(wanted, scanned[0])
    assert shown.out.startswith("QR\nhub is up\n" if wanted else "hub is up\n")
    assert shown.out.splitlines()[-1].split() == ["API", "key", "lkhub", "env"]


def test_summary_of_four_paths_leaves_the_address_on_a_terminal_of_24_rows(plan: Plan, capsys: Captured) -> None:
    paths = ("udp", "tcp", "turn-udp", "turn-tls")
    results = tuple(
        PathResult(path, True, "media", "", 112.4, 10.4, 0.0, remote="udp host 1.2.3.4:7882") for path in paths
    )
    show_summary(plan, Verified(1.0, results, dict.fromkeys(paths)), link=True)
    lines = capsys.readouterr().out.splitlines()
    assert all(len(line) <= 80 for line in lines if "join" not in line)
    assert sum(-(-len(line) // 80) for line in lines) < 24
