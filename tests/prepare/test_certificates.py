"""What a hub needs for its certificate: its own root, the operator's files, the key of an account."""

import json
import os
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from lkhub.checks.surroundings import Surroundings
from lkhub.findings.catalogue.files import certificate_expires_soon, certificate_incomplete, certificate_wrong_name
from lkhub.findings.fault import SpecError
from lkhub.findings.fold import fold
from lkhub.host.ca import parse_root
from lkhub.hub import gather
from lkhub.hub.gather import read_status
from lkhub.hub.status import HubStatus
from lkhub.plan.paths import StatePaths
from lkhub.state.applied import load_applied, write_applied
from lkhub.state.contents import list_findings
from lkhub.state.describe import describe_applied
from lkhub.wire.control import ProcessReport
from tests.certificates import Made, make
from tests.prepare.conftest import LAN, Run, refuse
from tests.reports import hub_report


def test_hub_that_certifies_itself_brings_its_root_along_and_writes_nothing(run: Run) -> None:
    hub = run(LAN)
    assert not os.path.exists(hub.plan.paths.ca), "a root in use is replaced with what it signs, by the supervisor"
    root = parse_root(hub.files[hub.plan.paths.ca_root])
    assert set(root.names) == {"192.168.1.5", "127.0.0.1"}
    assert hub.plan.edge is not None
    assert hub.plan.edge.authority == f"lkhub-{root.fingerprint_sha256[:12]}"
    assert hub.plan.edge.authority in hub.files[hub.plan.paths.render("caddy.json")]
    assert "PRIVATE KEY" not in repr(hub)
    assert [path for path, text in hub.files.items() if "PRIVATE KEY" in text] == [hub.plan.paths.ca_key]


def test_root_is_kept_for_as_long_as_it_fits_and_a_new_one_is_said(run: Run) -> None:
    first = run.apply(LAN)
    root = first.files[first.plan.paths.ca_root]
    assert run(LAN + "web: 9000").files[first.plan.paths.ca_root] == root
    assert not any("new root" in note.title for note in first.plan.notes), "no device has trusted another one"
    assert first.plan.paths.root_change not in first.files
    moved = run(LAN + "domain: hub.example.com")
    assert moved.files[first.plan.paths.ca_root] != root
    assert any("new root" in note.title and "lkhub trust" in note.title for note in moved.plan.notes)
    change = json.loads(moved.files[moved.plan.paths.root_change])
    assert change["reason"] == "the earlier one is not good for hub.example.com"
    assert abs(change["at"] - time.time()) < 60
    assert Path(first.plan.paths.ca_root).read_text() == root, "it is in use until the change is applied"


def test_root_that_comes_back_is_reported_as_known_to_some_devices(run: Run) -> None:
    first = run.apply(LAN + "domain: a.example.com")
    run.apply(LAN + "domain: b.example.com")
    back = run(LAN + "domain: a.example.com")
    assert back.files[first.plan.paths.ca_root] == first.files[first.plan.paths.ca_root]
    (note,) = (note for note in back.plan.notes if "root" in note.title)
    assert note.title.startswith("the hub has an earlier root again")
    assert "devices that don't know it" in note.title


def test_hub_without_an_authority_has_no_root(run: Run) -> None:
    for text in ("", LAN + "tls: {mode: off}", LAN + "domain: a.example.com\ntls: {mode: acme}"):
        assert not [path for path in run(text).files if "/ca/" in path]


def write_pair(name: str, *names: str) -> Made:
    made = make(
        name, names=names, valid=(datetime.now(UTC) - timedelta(days=1), datetime.now(UTC) + timedelta(days=80))
    )
    Path("cert.pem").write_text(made.pem)
    Path("key.pem").write_text(made.key_pem)
    return made


FILES = LAN + "domain: hub.example.com\ntls:\n  mode: files\n  cert: cert.pem\n  key: key.pem\n"


def test_certificate_of_the_operators_is_judged_before_the_start(run: Run) -> None:
    assert refuse(run, FILES) == [(5, "tls.cert"), (6, "tls.key")]
    write_pair("other.example.com", "other.example.com")
    assert refuse(run, FILES) == [(5, "tls.cert")]
    write_pair("hub.example.com", "hub.example.com")
    Path("key.pem").write_text(make("another").key_pem)
    assert refuse(run, FILES) == [(6, "tls.key")]


def test_certificate_that_fits_is_taken_and_its_text_stays_where_it_is(run: Run) -> None:
    made = write_pair("hub.example.com", "hub.example.com")
    hub = run(FILES)
    assert made.key_pem not in "".join(hub.files.values())
    before = hub.fingerprints
    write_pair("hub.example.com", "hub.example.com")
    assert run(FILES).fingerprints == before, "replaced files are noticed by themselves"


ACCOUNT = """
reach: lan
domain: rtc.example.com
tls: {mode: acme, issuer: "https://acme.example.com/dir", account: {key_id: kid-1, mac_key: {env: MAC_KEY}}}
"""


def test_key_of_an_account_reaches_a_file_that_the_edge_reads_and_nobody_else(run: Run) -> None:
    hub = run(ACCOUNT, MAC_KEY="XYZ+/w==", OTHER="x")
    assert hub.files[hub.plan.paths.account_key] == "XYZ-_w\n", "as Caddy takes it"
    rest = [text for path, text in hub.files.items() if path != hub.plan.paths.account_key]
    assert "XYZ" not in "".join(rest) + repr(hub)
    assert hub.environ == {"MAC_KEY": "XYZ+/w=="}
    other = run(ACCOUNT, MAC_KEY="XYZXYZ00")
    assert other.fingerprints["edge"].files != hub.fingerprints["edge"].files
    assert other.fingerprints["edge"].program == hub.fingerprints["edge"].program, "the edge is reloaded"


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({}, "the environment variable MAC_KEY is not set"),
        ({"MAC_KEY": " "}, "the secret is empty"),
        ({"MAC_KEY": "XYZ XYZ"}, "the mac_key is not base64"),
    ],
)
def test_key_of_an_account_that_is_not_there_is_a_fault_at_it(run: Run, environ: dict[str, str], said: str) -> None:
    with pytest.raises(SpecError, match=f"tls.account: {said}") as refused:
        run(ACCOUNT, **environ)
    assert [(fault.key, fault.line) for fault in refused.value.faults] == [("tls.account", 4)]
    assert "XYZ" not in refused.value.message


def test_choices_are_kept_with_what_is_in_force_and_a_new_root_is_not(run: Run) -> None:
    """Of a new root there is a record of its own, which ends."""
    run.apply(LAN + "domain: a.example.com")
    moved = run(LAN + "domain: b.example.com")
    assert "root-new" in [finding.code for finding in moved.plan.findings]
    write_applied(moved.plan.paths, describe_applied(moved.plan, moved.spec, moved.interfaces, 1.0))
    applied = load_applied(moved.plan.paths)
    assert applied
    kept = [finding for finding in moved.plan.findings if finding.code != "root-new"]
    left = ProcessReport("media", 1, "running", 1.0)
    status = HubStatus(applied, None, (left,), None)
    assert [finding for finding in status.find() if finding.code in ("address-chosen", "address-passed-over")] == kept


def test_what_is_said_of_certificate_files_is_not_kept(run: Run) -> None:
    """The edge takes files that replace them, and the plan stays as it is."""
    hub = run(LAN)
    about_files = [certificate_incomplete("no chain").about(subject) for subject in ("tls.cert", "tls.key")]
    plan = replace(hub.plan, findings=(*hub.plan.findings, *about_files))
    kept = list_findings(describe_applied(plan, hub.spec, hub.interfaces, 1.0))
    assert "certificate-incomplete" not in [finding.code for finding in kept]
    assert "address-chosen" in [finding.code for finding in kept]


def list_file_findings(paths: StatePaths) -> list[tuple[str, str]]:
    status = read_status(paths, around=Surroundings("lan"))
    return [(finding.code, finding.subject) for finding in status.find() if finding.subject.startswith("tls.")]


def test_status_judges_certificate_files_as_they_are_now(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """`up` says it once. The edge takes files that replace them, and the plan stays as it is."""
    monkeypatch.setattr(gather, "ask_settled_report", lambda paths: hub_report({"processes": [{"name": "edge"}]}))
    write_pair("hub.example.com", "hub.example.com")
    hub = run(FILES)
    paths = hub.plan.paths
    about_files = [(finding.code, finding.subject) for finding in hub.plan.findings if "tls." in finding.subject]
    assert about_files == [("certificate-self-signed", "tls.cert")], "a warning"
    write_applied(paths, describe_applied(hub.plan, hub.spec, hub.interfaces, 1.0))
    assert list_file_findings(paths) == about_files
    write_pair("other.example.com", "other.example.com")
    assert ("certificate-wrong-name", "tls.cert") in list_file_findings(paths)
    Path("key.pem").unlink()
    assert "tls.key" in [subject for _, subject in list_file_findings(paths)]
    monkeypatch.setattr(gather, "ask_settled_report", lambda paths: None)
    assert list_file_findings(paths) == [], "a hub that is stopped serves none"


def test_status_says_nothing_of_files_that_no_hub_has(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gather, "ask_settled_report", lambda paths: hub_report({"processes": [{"name": "edge"}]}))
    hub = run(LAN)
    write_applied(hub.plan.paths, describe_applied(hub.plan, hub.spec, hub.interfaces, 1.0))
    assert list_file_findings(hub.plan.paths) == []


def test_refused_certificate_is_explained_by_what_is_wrong_with_its_files() -> None:
    wrong = certificate_wrong_name("it is for another name").about("tls.cert", severity="error")
    late = certificate_expires_soon("it ends soon").about("tls.cert", severity="warning")
    report = hub_report({"processes": [{"name": "edge"}], "refused": {"edge": "no"}})
    status = HubStatus(None, report, (), None, certificate_files=(late, wrong))
    [first, second] = [each for each in fold(status.find()) if each.finding.subject == "tls.cert"]
    assert (first.finding, first.consequences) == (late, ())
    assert [finding.code for finding in second.consequences] == ["certificate-not-taken"]
