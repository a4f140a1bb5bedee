"""The reference matches the code: generated pages are current, written pages name what exists."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest
from msgspec import structs
from pydantic import TypeAdapter
from starlette.routing import Mount, Route

import lkhub.checks.causes
import lkhub.checks.edge
from lkhub import __version__
from lkhub.checks.called import FOREIGN
from lkhub.checks.checks import check_supervised
from lkhub.checks.paths import PathResult, WebResult
from lkhub.cli.shared.firewall_show import pack_status
from lkhub.cli.shared.rooms_show import pack_occupied, pack_room
from lkhub.cli.shared.rooms_watch import show_change
from lkhub.cli.trust import trust
from lkhub.cli.verify import show_verified
from lkhub.findings.catalogue.all import CODES
from lkhub.firewall.table import Verdict, firewall_table
from lkhub.hub.status import HubState, HubStatus, Verified
from lkhub.livekit.room_changes import Change, Event, Occupied
from lkhub.livekit.room_info import Participant, Room
from lkhub.plan.build import build_plan
from lkhub.plan.model import Listener, Plan
from lkhub.plan.paths import StatePaths
from lkhub.render.caddy import MEDIA_PATHS
from lkhub.render.serve import render_serve
from lkhub.service.app import build_app
from lkhub.service.contract import ADDRESSES
from lkhub.service.errors import ApiError
from lkhub.service.models import (
    ErrorAnswer,
    Hub,
    InviteMade,
    InviteRequest,
    RedeemRequest,
    RequestInfo,
    SessionState,
    SignInRequest,
    TokenGrant,
    TokenRequest,
    TokenSourceGrant,
    TokenSourceRequest,
)
from lkhub.service.reasons import WRONG_HOST
from lkhub.source.typed import unpack
from lkhub.spec.load import load_spec
from lkhub.state.router import Mapping, RouterRecord
from lkhub.supervise.child import ShownState
from lkhub.wire.serve_config import parse_serve
from tests.certificates import ensure_ca
from tests.documents import ROOT, list_anchors, list_blocks, read_section
from tests.kit.room_service import make_participant, make_room, make_track
from tests.kit.scripts import load_script
from tests.machines import INSTALLATION, LOOPBACK, MACHINES
from tests.reports import hub_report


@pytest.mark.parametrize("name", ["docs/reference/spec.md", "docs/reference/commands.md", "docs/findings.md"])
def test_generated_page_is_current(name: str) -> None:
    assert (ROOT / name).read_text() == load_script("docs").build_pages()[name], "run scripts/docs"


def test_check_says_which_page_is_stale(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    generator = load_script("docs")
    monkeypatch.setattr(generator, "ROOT", tmp_path)
    assert generator.main(["--check"]) == 1
    assert "docs/reference/spec.md is stale" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
    assert generator.main([]) == 0
    assert generator.main(["--check"]) == 0


# --- findings and states


def test_every_finding_has_its_section_and_nothing_else_has() -> None:
    titles = {anchor for anchor in list_anchors(ROOT / "docs/findings.md") if anchor != "findings"}
    assert titles == CODES.keys()


def read_table(name: str, title: str) -> set[str]:
    """The first cells, without backticks, of the table under a heading."""
    tokens = read_section(ROOT / name, title)
    rows = zip(tokens, tokens[1:], tokens[2:], strict=False)
    return {
        cell.content.strip("`") for row, opening, cell in rows if row.type == "tr_open" and opening.type == "td_open"
    }


def test_every_reason_for_no_certificate_is_explained() -> None:
    assert read_table("docs/findings.md", "certificate-fails") == set(lkhub.checks.edge._KINDS)


TROUBLE = "docs/guides/when-it-does-not-work.md"


def test_every_stage_of_a_probe_is_explained() -> None:
    assert read_table(TROUBLE, "verify: how far a call gets") == set(lkhub.checks.causes._STAGES)


def test_every_state_is_explained() -> None:
    states = re.findall(r"^\| `(\w+)` \|", (ROOT / TROUBLE).read_text().partition("## lkhub up")[0], re.MULTILINE)
    assert set(states) == {*get_args(HubState), *get_args(ShownState)}


def test_json_names_every_state() -> None:
    text = (ROOT / "docs/reference/json.md").read_text()
    [listed] = re.findall(r"`state` of the hub is (.*?); of a process (.*?) \(\[what", text, re.DOTALL)
    of_hub, of_process = (set(re.findall("`([a-z]+)`", part)) for part in listed)
    assert of_hub == set(get_args(HubState))
    assert of_process == set(get_args(ShownState))


# --- JSON and HTTP


def find_json(name: str, title: str) -> list[Any]:
    """The JSON blocks under a heading."""
    return [json.loads(token.content) for token in read_section(ROOT / name, title) if token.info == "json"]


def shape(value: Any) -> Any:
    """All keys of a JSON value, nested ones too; of a list, those of its first item."""
    if isinstance(value, dict):
        return {key: shape(below) for key, below in value.items()}
    if isinstance(value, list):
        return [shape(item) for item in value[:1]]
    return None


PROVED = Verified(1.0, (PathResult("udp", True, "media", ""),), web=(WebResult("page", True, "https://hub/join"),))
PROCESS = {"name": "media", "pid": 1, "state": "running", "since": 0.0, "restarts": 0, "roles": ["carries-calls"]}


def test_status_json_has_these_keys() -> None:
    [shown] = find_json("docs/reference/json.md", "lkhub status --json")
    supervisor = {"processes": [PROCESS], "failures": {}, "pending": False}
    status = HubStatus(None, hub_report(supervisor), (), Verified(1.0, ()))
    assert shape(shown) == shape(status.as_json())


def test_verify_json_has_these_keys(capsys: pytest.CaptureFixture[str]) -> None:
    [shown] = find_json("docs/reference/json.md", "lkhub verify --json")
    show_verified(PROVED, True, "", FOREIGN)
    assert shape(shown) == shape(json.loads(capsys.readouterr().out))


def test_trust_json_has_these_keys(short_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    [shown] = find_json("docs/reference/json.md", "lkhub trust --json")
    paths = StatePaths(str(short_dir))
    ensure_ca(paths, "hub", ("192.168.1.5", "127.0.0.1"))
    urls = {"livekit": "wss://hub", "web": "https://hub", "local_media": "http://[::1]:7880", "trust": shown["urls"]}
    record: dict[str, object] = {"spec": None, "name": "hub", "at": 1.0, "urls": urls, "probes": []}
    Path(paths.applied).write_text(json.dumps(record))
    trust(state=short_dir, json=True)
    told = json.loads(capsys.readouterr().out)
    assert shape(shown) == shape(told)
    assert told["names"] == shown["names"]


def test_firewall_json_has_these_keys() -> None:
    [shown] = find_json("docs/reference/json.md", "lkhub firewall status --json")
    table = firewall_table(make_plan("lan"))
    mapping = Mapping("udp", 7882, "", 1.0, 2.0)
    router = RouterRecord("192.168.1.1", "192.168.1.5", "upnp", "", (mapping,), "1.2.3.4")
    assert shape(shown) == shape(pack_status(table, ("nftables",), (Verdict(table.rows[0], False, ""),), router))


def test_rooms_json_has_these_keys() -> None:
    [listed] = find_json("docs/reference/json.md", "lkhub rooms list --json")
    [shown] = find_json("docs/reference/json.md", "lkhub rooms show --json")
    participant = unpack(Participant, make_participant("ann", make_track("TR_1", "CAMERA")))
    occupied = Occupied(unpack(Room, make_room("team", max_participants=16)), (participant,))
    assert shape(listed) == shape({"rooms": [pack_room(occupied)]})
    assert shape(shown) == shape(pack_occupied(occupied))


def test_every_event_of_rooms_has_its_row_and_these_keys(capsys: pytest.CaptureFixture[str]) -> None:
    rows = read_table("docs/reference/json.md", "lkhub rooms watch --json")
    told = {name.strip(" `") for row in rows for name in row.split(",")}
    assert told == {*get_args(Event), "connection_lost", "connection_restored"}
    [shown] = find_json("docs/reference/json.md", "lkhub rooms watch --json")
    participant = unpack(Participant, make_participant("ann", make_track("TR_1")))
    change = Change("track_published", unpack(Room, make_room("team")), participant, participant.tracks[0])
    show_change(change, 1.0, as_json=True)
    assert shape(shown) == shape(json.loads(capsys.readouterr().out))


def test_finding_is_the_one_of_the_code() -> None:
    [shown] = find_json("docs/reference/json.md", "A finding")
    [finding] = check_supervised(False, ["media", "relay", "serve"])
    assert shown == finding.as_json()


def test_requests_and_answers_are_of_their_models() -> None:
    [hub] = find_json("docs/reference/http.md", "GET /api/hub")
    assert hub["version"] == __version__
    asked, answered = find_json("docs/reference/http.md", "POST /api/livekit/token")
    assert set(asked) == set(TokenRequest.model_fields)
    TokenRequest.model_validate(asked)
    source, sourced = find_json("docs/reference/http.md", "POST /api/token-source")
    assert set(source) == set(TokenSourceRequest.model_fields)
    TokenSourceRequest.model_validate(source)
    [info] = find_json("docs/reference/http.md", "GET /api/request-info")
    [refused] = find_json("docs/reference/http.md", "Errors")
    signing_in, session = find_json("docs/reference/http.md", "Signing in")
    SignInRequest.model_validate(signing_in)
    [redeemed] = find_json("docs/reference/http.md", "POST /api/invites/redeem")
    RedeemRequest.model_validate(redeemed)
    inviting, invited = find_json("docs/reference/http.md", "POST /api/invites")
    InviteRequest.model_validate(inviting)
    shown = (
        *((hub, Hub), (info, RequestInfo), (answered, TokenGrant), (refused, ErrorAnswer)),
        *((session, SessionState), (invited, InviteMade), (sourced, TokenSourceGrant)),
    )
    for document, model in shown:
        TypeAdapter(model).validate_json(json.dumps(document))


def test_every_route_is_listed() -> None:
    config = parse_serve(render_serve(make_plan("local")).text)
    app = build_app(replace(config, application=structs.replace(config.application, used=True)))
    listed = read_table("docs/reference/http.md", "HTTP")
    for route in app.routes:
        if isinstance(route, Mount):
            assert f"GET {route.path}/…" in listed
        else:
            assert isinstance(route, Route)
            method = "POST" if route.methods and "POST" in route.methods else "GET"
            assert f"{method} {route.path.replace(':path', '')}" in listed
    assert len(listed) == len(app.routes)


def test_every_path_that_goes_to_media_is_listed() -> None:
    tokens = read_section(ROOT / "docs/reference/http.md", "The hub's origin")
    cells = [token.content for token in tokens if token.content.startswith("`/")]
    assert re.findall(r"`(/[^`]+)`", " ".join(cells)) == MEDIA_PATHS


def test_every_error_has_the_code_that_is_listed() -> None:
    text = (ROOT / "docs/reference/http.md").read_text()
    rows = re.findall(r"^\| (\d{3}) \| `([\w-]+)` \|", text, re.MULTILINE)
    assert rows
    sources = "".join(file.read_text() for file in (ROOT / "lkhub/service").rglob("*.py"))
    for status, code in rows:
        body = json.loads(bytes(ApiError(int(status), "").as_response().body))
        assert body["error"]["code"] == code or f'code="{code}"' in sources


def test_every_refusal_of_the_contract_is_listed() -> None:
    text = (ROOT / "docs/reference/http.md").read_text()
    listed = set(re.findall(r"^\| (\d{3}) \| `([\w-]+)` \|", text, re.MULTILINE))
    refusals = {refusal for address in ADDRESSES for refusal in (*address.refusals, WRONG_HOST)}
    assert {(str(refusal.status), refusal.code) for refusal in refusals} <= listed


# --- ports


def make_plan(reach: str) -> Plan:
    text, machine = (f"reach: {reach}\n", "laptop") if reach != "public" else ("reach: public\ndomain: a.b\n", "vps-v4")
    plan = build_plan(load_spec(text.encode()), MACHINES[machine], INSTALLATION)
    assert plan is not None
    return plan


def describe(listener: Listener, plan: Plan) -> str:
    """The start of the listener's row in the guide."""
    if listener.address is None:
        address = "every"
    else:
        loopback = listener.address in LOOPBACK.addresses
        assert loopback or listener.address in plan.media.advertise
        address = str(listener.address) if loopback else "public address" if plan.reach == "public" else "LAN address"
    key = ".".join(map(str, listener.key))
    return f"| {listener.ports}/{listener.protocol} | {address} | {listener.process} | `{key}` |"


@pytest.mark.parametrize("reach", ["local", "lan", "public"])
def test_every_listener_is_in_the_table_of_its_reach(reach: str) -> None:
    plan = make_plan(reach)
    section = (ROOT / "docs/guides/ports.md").read_text().partition(f"## reach: {reach}\n")[2].partition("\n## ")[0]
    rows = {" | ".join(line.split(" | ")[:4]) + " |" for line in section.splitlines() if re.match(r"\| \d", line)}
    assert rows == {describe(listener, plan) for listener in plan.listeners}


# --- the rest


def test_changelog_speaks_of_this_version() -> None:
    assert __version__ in (ROOT / "CHANGELOG.md").read_text()


def test_decisions_have_the_parts_that_one_looks_for() -> None:
    for page in (ROOT / "docs/adr").glob("*.md"):
        assert {"context", "decision", "consequences", "alternatives"} <= list_anchors(page), page.name
        assert re.match(r"# \d{4}: ", page.read_text()), page.name
        assert not list(list_blocks(page)), page.name


def test_pre_commit_fetches_nothing() -> None:
    text = (ROOT / ".pre-commit-config.yaml").read_text()
    assert set(re.findall(r"repo: (\S+)", text)) == {"local"}
    for entry in re.findall(r"entry: (\S+)", text):
        assert (ROOT / entry).exists()
