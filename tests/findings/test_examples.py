"""Every code of the catalogue has an example, with the text in `examples.txt`. `REWRITE_GOLDEN=1 pytest
tests/findings/test_examples.py` rewrites that file; read the difference before you commit it.
"""

import json
import os
import re
from pathlib import Path
from typing import get_args

import pytest

from lkhub.cli.shared.show import show_findings
from lkhub.findings.catalogue.all import CODES
from lkhub.findings.finding import Finding, Severity, Typed
from lkhub.findings.fold import Folded
from tests.findings.examples import list_examples
from tests.findings.examples_spec import COMPLAINTS, list_choices, list_faults, list_files, list_tailnet
from tests.prepare.conftest import Run, complaints, run

__all__ = ["complaints", "run"]

GOLDEN = Path(__file__).parent / "examples.txt"
KEYS = {"code", "subject", "severity", "title", "detail", "cause", "fix", "where", "depends_on", "docs"}


@pytest.fixture
def examples(run: Run, complaints: dict[str, str], tmp_path: Path) -> list[Finding]:
    """The findings about facts and specs in which everything is wrong."""
    complaints |= COMPLAINTS
    return [
        *list_examples(),
        *list_faults(run),
        *list_choices(run.apply),
        *list_tailnet(),
        *list_files(tmp_path),
    ]


def test_every_code_has_an_example(examples: list[Finding]) -> None:
    made = {finding.code for finding in examples}
    assert made == CODES.keys(), "a code that nothing makes is no code, and one that is not in the table has no docs"


def test_texts_are_the_golden_ones(examples: list[Finding], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    show_findings([Folded(finding) for finding in examples])
    shown = capsys.readouterr().err.replace(str(tmp_path), "DIR")
    if os.environ.get("REWRITE_GOLDEN"):
        GOLDEN.write_text(shown)
    assert shown == GOLDEN.read_text()


def test_finding_has_what_a_person_needs(examples: list[Finding]) -> None:
    for finding in examples:
        assert finding.severity in get_args(Severity)
        assert finding.subject
        assert finding.title
        assert all(fix.text for fix in finding.fix)


def test_finding_about_a_service_tells_no_command_that_a_service_refuses(examples: list[Finding]) -> None:
    for finding in examples:
        said = json.dumps(finding.as_typed(Typed(apply="lkhub install")).as_json())
        assert not re.search(r"lkhub up\b", said), finding.code


def test_finding_as_json_is_the_contract(examples: list[Finding]) -> None:
    for finding in examples:
        row = json.loads(json.dumps(finding.as_json()))
        assert set(row) == KEYS
        assert all(set(fix) <= {"text", "command", "edit"} for fix in row["fix"])
        assert row["where"] is None or {"file", "line"} <= set(row["where"])
