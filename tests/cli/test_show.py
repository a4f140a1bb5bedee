import json

import pytest

from lkhub.cli.show import describe_path, show_findings, show_json, show_qr, show_rows
from lkhub.health.finding import Finding, Fix
from lkhub.health.paths import PathResult


@pytest.mark.parametrize(
    ("result", "text"),
    [
        (PathResult("udp", True, "media", ""), ""),
        (PathResult("udp", True, "media", "", 12.6), "connected in 13 ms"),
        (PathResult("udp", True, "media", "", None, 0.04, 0.125), "round trip 0.0 ms, loss 12%"),
        (PathResult("udp", True, "media", "", remote="udp host 1.2.3.4:5"), "to udp host 1.2.3.4:5"),
        (PathResult("turn-udp", True, "media", "", remote="x", relay="turn:y"), "by turn:y"),
    ],
)
def test_path_is_described_by_what_is_known_of_it(result: PathResult, text: str) -> None:
    assert describe_path(result) == text


def test_finding_shows_what_why_and_the_way_out(capsys: pytest.CaptureFixture[str]) -> None:
    fixes = (Fix("look"), Fix("read [it]", "lkhub logs"))
    show_findings([Finding("some-code", "media", "error", "it fails [so]", "exit 1", "no disk", fixes)])
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.split("\n") == [
        *("", "error: it fails [so] [some-code]", "  what: exit 1", "  why: no disk", "  fix: look"),
        *("  fix: read [it]: `lkhub logs`", ""),
    ]


def test_rows_are_aligned_and_not_wrapped(capsys: pytest.CaptureFixture[str]) -> None:
    show_rows({"a": "x" * 300, "long name": "y"})
    show_rows({})
    assert capsys.readouterr().out == f"  a          {'x' * 300}\n  long name  y\n"


def test_json_is_a_document_that_ends_with_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    show_json({"a": [1, None], "ü": "é"})
    out = capsys.readouterr().out
    assert json.loads(out) == {"a": [1, None], "ü": "é"}
    assert out.endswith("}\n")


def test_link_of_any_usual_length_fits_a_qr_code(capsys: pytest.CaptureFixture[str]) -> None:
    show_qr("http://192.168.1.5:8080/join/lobby#" + "x" * 600)
    lines = capsys.readouterr().out.splitlines()
    assert 30 < len(lines) < 80
