import json

import pytest

from lkhub.checks.supervised import (
    check_hanging,
    check_linger,
    check_records,
    check_removed,
    check_selinux,
    check_started,
    check_taken,
    check_watchers,
)
from lkhub.errors import READ_ONLY
from lkhub.hub.status import HubStatus
from lkhub.wire.control import Removal, WatcherFailure
from tests.reports import hub_report


def test_supervisor_that_is_well_is_no_finding() -> None:
    assert not [*check_watchers({}), *check_records({}, {}), *check_taken({}), *check_hanging({}, {})]


def test_watcher_that_fails_says_what_and_since_when() -> None:
    [finding] = check_watchers({"rotate logs": WatcherFailure("OSError (No space left on device)", 1.0)})
    assert (finding.code, finding.subject, finding.severity) == ("watch-fails", "rotate logs", "warning")
    assert finding.title == "the supervisor can't rotate logs"
    assert finding.detail == "since 1970-01-01 00:00 UTC: OSError (No space left on device)"


def test_service_of_a_user_who_has_to_be_logged_in_is_a_warning() -> None:
    assert not [*check_linger("")]
    [finding] = check_linger("ann")
    assert (finding.code, finding.severity) == ("linger-off", "warning")
    assert finding.fix[0].command == "sudo loginctl enable-linger ann"


def test_machine_without_systemd_is_a_note() -> None:
    assert not [*check_started(without_systemd=False)]
    [finding] = check_started(without_systemd=True)
    assert (finding.code, finding.subject, finding.severity) == ("no-systemd", "hub", "info")
    assert finding.fix[0].command == "lkhub render --help"


def test_what_selinux_keeps_from_systemd_is_an_error() -> None:
    assert not [*check_selinux((), "/opt/lkhub", "systemctl")]
    denied = [("/opt/lkhub/current", "u:object_r:user_home_t:s0"), ("/usr/local/bin/python3", "u:object_r:tmp_t:s0")]
    link, python = check_selinux(denied, "/opt/lkhub", "systemctl")
    assert (link.code, link.subject, link.severity) == ("selinux-denies", "/opt/lkhub/current", "error")
    assert "user_home_t" in link.detail
    assert [fix.command for fix in link.fix] == [
        "sudo restorecon -RF /opt/lkhub",
        "sudo systemctl restart lkhub",
    ]
    assert python.fix[0].command == "sudo restorecon -RF /usr/local/bin/python3"


def test_process_without_a_record_is_a_warning() -> None:
    [finding] = check_records({"media": "can't write run/media.json: the disk is full"}, {})
    assert (finding.code, finding.subject, finding.severity) == ("no-record", "media", "warning")
    assert "the disk is full" in finding.detail
    assert finding.fix[0].command == "df -h"
    [finding] = check_records({"media": "in whatever words"}, {"media": READ_ONLY})
    assert finding.fix[0].command == "findmnt -O ro", "space would change nothing"
    [finding] = check_records({"media": "can't write /srv/read-only/media.json: the disk is full"}, {"edge": READ_ONLY})
    assert finding.fix[0].command == "df -h", "no finding is read out of words"


def test_certificate_that_was_not_taken_is_an_error() -> None:
    [finding] = check_taken({"edge": "edge refuses its new configuration: key does not match"})
    assert (finding.code, finding.subject, finding.severity) == ("certificate-not-taken", "edge", "error")
    assert "key does not match" in finding.detail


@pytest.mark.parametrize(
    ("evidence", "stopped", "command"),
    [
        ("in whatever words", {"media": 4711}, "kill -CONT 4711"),
        ("pid 4711 has not answered at http://127.0.0.1:7880/ since 2026-11-27 10:00:00 UTC", {}, "top"),
        ("pid 4711 is stopped by a signal: no fix is read out of words", {"relay": 5}, "top"),
    ],
)
def test_process_that_hangs_has_a_fitting_remedy(evidence: str, stopped: dict[str, int], command: str) -> None:
    [finding] = check_hanging({"media": evidence}, stopped)
    assert (finding.code, finding.subject, finding.severity) == ("process-hangs", "media", "error")
    assert [fix.command for fix in finding.fix] == [command, "lkhub restart media"]
    assert finding.detail == evidence


def test_directory_that_was_removed_says_what_is_lost() -> None:
    assert not list(check_removed(None))
    [finding] = check_removed(Removal(1.0, ("media", "edge"), "the record of firewall rules"))
    assert (finding.code, finding.severity) == ("state-removed", "warning")
    assert "what media, edge have written to their logs since" in finding.detail
    assert "the record of firewall rules" in finding.detail
    assert [fix.command for fix in finding.fix] == ["lkhub restart"]


def test_status_has_all_these_findings_and_a_hub_that_hangs_is_degraded() -> None:
    supervisor = {
        "processes": [
            {
                "name": "media",
                "pid": 1,
                "state": "hanging",
                "since": 1.0,
                "restarts": 0,
                "roles": [],
            }
        ],
        "hangs": {"media": "it does not answer"},
        "stopped": ["media"],
        "unrecorded": {"media": "the disk is full"},
        "refused": {"edge": "no"},
        "watcher_failures": {"rotate logs": {"detail": "no", "since": 1.0}},
    }
    status = HubStatus(None, hub_report(supervisor), (), None)
    assert status.state == "degraded"
    findings = json.loads(json.dumps(status.as_json()))["findings"]
    codes = [finding["code"] for finding in findings]
    assert findings[0]["fix"][0]["command"] == "kill -CONT 1"
    assert codes == ["process-hangs", "no-record", "watch-fails", "certificate-not-taken"]
