"""Every code of the catalogue is made by something, and says what stands in `examples.txt`.

`REWRITE_GOLDEN=1 pytest tests/findings/test_examples.py` writes that anew; read the difference before it is committed.
"""

import json
import os
from pathlib import Path
from typing import get_args

import pytest

from lkhub.cli.shared.show import show_findings
from lkhub.findings.catalogue.all import CODES
from lkhub.findings.finding import Finding, Severity
from tests.findings.examples import list_examples

GOLDEN = Path(__file__).parent / "examples.txt"
EXAMPLES = list(list_examples())
KEYS = {"code", "subject", "severity", "title", "detail", "cause", "fix", "where", "depends_on", "docs"}


def test_something_makes_every_code() -> None:
    made = {finding.code for finding in EXAMPLES}
    assert made == CODES.keys(), "a code that nothing makes is no code, and one that is not in the table has no docs"


def test_texts_are_the_golden_ones(capsys: pytest.CaptureFixture[str]) -> None:
    show_findings(EXAMPLES)
    shown = capsys.readouterr().err
    if os.environ.get("REWRITE_GOLDEN"):
        GOLDEN.write_text(shown)
    assert shown == GOLDEN.read_text()


@pytest.mark.parametrize("finding", EXAMPLES, ids=lambda finding: finding.code)
def test_finding_has_what_a_person_needs(finding: Finding) -> None:
    assert finding.severity in get_args(Severity)
    assert finding.subject
    assert finding.title
    assert finding.fix or finding.is_note
    assert all(fix.text for fix in finding.fix)


@pytest.mark.parametrize("finding", EXAMPLES, ids=lambda finding: finding.code)
def test_finding_as_json_is_the_contract(finding: Finding) -> None:
    row = json.loads(json.dumps(finding.as_json()))
    assert set(row) == KEYS
    assert all(set(fix) <= {"text", "command", "edit"} for fix in row["fix"])
    assert row["where"] is None or {"file", "line"} <= set(row["where"])
