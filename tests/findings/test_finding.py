import json
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import get_args

import pytest

from lkhub.checks.calls import check_paths
from lkhub.checks.checks import check_pending, check_processes, check_supervised
from lkhub.checks.paths import PathResult
from lkhub.findings.finding import Finding, Fix, Severity

KEYS = {"code", "subject", "severity", "title", "detail", "cause", "fix", "where", "depends_on", "docs"}


def list_every_finding() -> Iterator[Finding]:
    """One of each that lkhub knows."""
    yield from check_paths([PathResult("udp", False, "connect", "timeout"), PathResult("tcp", None, "", "no answer")])
    yield from check_processes([{"name": "media", "state": "backoff"}], {"media": "exit 1"})
    yield from check_pending(True)
    yield from check_supervised(False, ["media"])


FINDINGS = list(list_every_finding())


@pytest.mark.parametrize("finding", FINDINGS, ids=lambda finding: finding.code)
def test_finding_has_what_a_person_needs(finding: Finding) -> None:
    assert re.fullmatch(r"[a-z]+(-[a-z]+)*", finding.code)
    assert finding.severity in get_args(Severity)
    assert finding.subject
    assert finding.title
    assert finding.cause
    assert finding.fix
    assert all(fix.text for fix in finding.fix)


@pytest.mark.parametrize(
    ("command", "typed"),
    [
        (None, None),
        ("lkhub logs media", "lkhub logs media --state /srv/hub"),
        ("lkhub down && lkhub up --detach", "lkhub down --state /srv/hub && lkhub up --detach --state /srv/hub"),
        ("lkhub down --state /other", "lkhub down --state /other"),
        ("lkhub verify --url wss://a.example", "lkhub verify --url wss://a.example"),
        ("systemctl reload nginx", "systemctl reload nginx"),
    ],
)
def test_fix_of_a_hub_elsewhere_says_which_hub(command: str | None, typed: str | None) -> None:
    finding = replace(FINDINGS[0], fix=(Fix("do it", command),))
    assert finding.with_options(" --state /srv/hub").fix == (Fix("do it", typed),)
    assert finding.with_options("") == finding


@pytest.mark.parametrize("finding", FINDINGS, ids=lambda finding: finding.code)
def test_finding_as_json_is_the_contract(finding: Finding) -> None:
    row = json.loads(json.dumps(finding.as_json()))
    assert set(row) == KEYS
    assert all(set(fix) <= {"text", "command", "edit"} for fix in row["fix"])
    assert row["docs"].endswith(finding.code)


def test_codes_are_of_one_kind_each() -> None:
    assert len({finding.code for finding in FINDINGS}) == len(FINDINGS)


def test_fix_without_a_command_has_no_such_key() -> None:
    assert Fix("look").as_json() == {"text": "look"}
    assert Fix("look", "ls").as_json() == {"text": "look", "command": "ls"}
