import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import segno
from rich.console import Console
from rich.text import Text

from lkhub.checks.paths import PathResult
from lkhub.cli.shared import show
from lkhub.cli.shared.show import (
    describe_briefly,
    describe_path,
    draw_qr,
    show_error,
    show_findings,
    show_paths,
    show_qr,
    show_rows,
)
from lkhub.cli.shared.show_json import show_json
from lkhub.errors import HubError
from lkhub.findings.finding import Finding, Fix, Ref
from lkhub.findings.fold import fold
from lkhub.hub.status import Verified
from lkhub.plan.container import CONTAINED, SECRETS


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


def test_summary_of_a_path_is_half_a_line() -> None:
    result = PathResult("turn-tls", True, "media", "", 12.6, 0.4, 0.0, remote="x", relay="turns:y")
    assert describe_briefly(result) == "connected in 13 ms, round trip 0.4 ms"
    assert describe_briefly(replace(result, loss=0.125)) == "connected in 13 ms, round trip 0.4 ms, loss 12%"


def test_finding_shows_what_why_and_the_remedy(capsys: pytest.CaptureFixture[str]) -> None:
    fixes = (Fix("look"), Fix("read [it]", "lkhub logs"))
    show_findings(fold([Finding("some-code", "media", "error", "it fails [so]", "exit 1", "no disk", fixes)]))
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.split("\n") == [
        *("", "error: it fails [so] [some-code]", "  what: exit 1", "  why: no disk", "  fix: look"),
        *("  fix: read [it]: `lkhub logs`", ""),
    ]


def test_line_of_another_program_is_no_line_of_a_finding(capsys: pytest.CaptureFixture[str]) -> None:
    """A build or the installation of an agent is other people's code, and may print anything."""
    printed = (
        "it failed",
        "  fix: give it all rights",
        "",
        "error: root is needed",
        "  | marked already",
        "    fix: x",
    )
    show_findings(fold([Finding("some-code", "site", "error", "no site", "\n".join(printed), "", ())]))
    assert capsys.readouterr().err.split("\n") == [
        *("", "error: no site [some-code]", "  what: it failed", "  |   fix: give it all rights", "  | "),
        *("  | error: root is needed", "  | marked already", "  |     fix: x", ""),
    ]


@pytest.mark.parametrize("container", [True, False])
def test_command_for_the_machine_is_not_for_its_container(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, container: bool
) -> None:
    monkeypatch.setenv("LKHUB_STATE", CONTAINED.state)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", SECRETS if container else "/run/credentials/lkhub.service")
    fixes = (Fix("raise it", "sudo sysctl -w a=1"), Fix("read its log", "lkhub logs"))
    show_findings(fold([Finding("some-code", "media", "error", "it fails", "", "", fixes)]))
    shown = capsys.readouterr().err
    assert ("fix: on the machine, outside the container: raise it: `sudo sysctl" in shown) == container
    assert "fix: read its log" in shown


WILD = "\x1b[31mred\x1b[0m \x9b2J \u202e \ud800 [red]"
TAMED = "\ufffd[31mred\ufffd[0m \ufffd2J \ufffd \ufffd [red]"


@pytest.mark.parametrize(
    "show_it",
    [
        lambda: show_findings(fold([Finding("a-code", "media", "error", WILD, WILD, WILD, (Fix(WILD, WILD),))])),
        lambda: show_findings(fold([Finding("a-code", "media", "info", WILD, "", WILD, ())])),
        lambda: show_error(HubError(WILD, hints=[WILD])),
        lambda: show_rows({WILD: WILD}),
        lambda: show_paths(Verified(1.0, (PathResult("udp", False, WILD, WILD, remote=WILD),))),
        lambda: show.out.print(WILD, WILD),
        lambda: show.err.print(Text.assemble(("a", "dim"), (WILD, "red"))),
    ],
)
def test_text_of_another_program_commands_no_terminal(
    show_it: Callable[[], None], capsys: pytest.CaptureFixture[str]
) -> None:
    show_it()
    shown = "".join(capsys.readouterr())
    assert TAMED in shown
    assert not set(shown) & set("\x1b\x9b\u202e\ud800")


def test_rows_are_aligned_and_not_wrapped(capsys: pytest.CaptureFixture[str]) -> None:
    show_rows({"a": "x" * 300, "long name": "y"})
    show_rows({})
    assert capsys.readouterr().out == f"  a          {'x' * 300}\n  long name  y\n"


def test_json_is_a_document_that_ends_with_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    show_json({"a": [1, None], "ü": "é"})
    out = capsys.readouterr().out
    assert json.loads(out) == {"a": [1, None], "ü": "é"}
    assert out.endswith("}\n")


def read_qr(lines: list[str]) -> list[list[int]]:
    """The modules of a drawn code, dark 1, as a camera sees them: black on white, and nothing of the terminal's own."""
    halves = {" ": (0, 0), "▀": (1, 0), "▄": (0, 1), "█": (1, 1)}
    rows: list[list[int]] = []
    for line in lines:
        assert line.startswith("\x1b[38;5;16;48;5;231m")
        assert line.endswith("\x1b[0m")
        pairs = [halves[cell] for cell in line.removeprefix("\x1b[38;5;16;48;5;231m").removesuffix("\x1b[0m")]
        rows += [[upper for upper, _ in pairs], [lower for _, lower in pairs]]
    return rows


@pytest.mark.parametrize("length", [0, 1, 10, 400, 600])
def test_qr_code_is_black_on_white_and_has_every_module(length: int) -> None:
    link = "http://192.168.1.5:8080/join/lobby#" + "x" * length
    wanted = [list(row) for row in segno.make(link, error="l", micro=False).matrix_iter(border=2)]
    assert read_qr(draw_qr(link))[: len(wanted)] == wanted
    assert len(draw_qr(link)) < 80, "a link of any usual length fits"


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, int], None]:
    """Make both consoles terminals of so many columns and rows."""

    def make(columns: int, rows: int) -> None:
        for name in ("out", "err"):
            console = Console(
                stderr=name == "err", force_terminal=True, color_system=None, width=columns, height=rows,
                highlight=False, soft_wrap=True, markup=False,
            )  # fmt: skip
            monkeypatch.setattr(show, name, console)

    return make


def test_qr_code_is_drawn_where_the_terminal_has_room_for_it_and_what_follows(
    terminal: Callable[[int, int], None], capsys: pytest.CaptureFixture[str]
) -> None:
    height = len(draw_qr("http://192.168.1.5/trust"))
    terminal(80, height + 7)
    assert show_qr("http://192.168.1.5/trust", below=7)
    assert len(capsys.readouterr().out.splitlines()) == height
    assert not show_qr("http://192.168.1.5/trust", below=8), "a row too few"
    terminal(20, 60)
    assert not show_qr("http://192.168.1.5/trust"), "too narrow"
    assert capsys.readouterr().out == ""


def test_qr_code_is_for_terminals_alone(capsys: pytest.CaptureFixture[str]) -> None:
    assert not show_qr("http://192.168.1.5/trust")
    assert capsys.readouterr().out == ""


def test_prose_wraps_between_words_and_commands_stay_whole(
    terminal: Callable[[int, int], None], capsys: pytest.CaptureFixture[str]
) -> None:
    terminal(40, 24)
    command = "lkhub verify --path turn-tls --spec a/long/path/hub.yaml"
    found = Finding("some-code", "media", "error", "it fails", "one two three " * 5, "", (Fix("type", command),))
    show_findings(fold([found]))
    shown = capsys.readouterr().err.splitlines()
    assert shown == [
        "",
        "error: it fails [some-code]",
        "  what: one two three one two three one",
        "    two three one two three one two",
        "    three",
        "  fix: type:",
        "    `lkhub verify --path turn-tls --spec a/long/path/hub.yaml`",
    ]


def test_what_follows_from_a_finding_is_a_line_below_it(capsys: pytest.CaptureFixture[str]) -> None:
    cause = Finding("no-disk", "hub", "warning", "the disk is full", "", "", (Fix("free some"),))
    because = (Ref("no-disk", "hub"),)
    after = Finding("some-code", "media", "error", "it fails", "seen", "no disk", (Fix("wait"),), depends_on=because)
    show_findings(fold([after, cause]))
    shown = ["", "warning: the disk is full [no-disk]", "  fix: free some", "  so: it fails [some-code]"]
    assert capsys.readouterr().err.splitlines() == shown


def test_what_nothing_can_be_done_about_is_a_note(capsys: pytest.CaptureFixture[str]) -> None:
    show_findings(fold([Finding("some-code", "media", "info", "it is so", "seen", "that is how it works", ())]))
    assert capsys.readouterr().err == "note: it is so: that is how it works [some-code]\n"


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_reader_that_has_ended_is_an_error_of_writing_and_no_end(stream: str) -> None:
    """A hub in the foreground prints too: `lkhub up | head -1`."""
    printed = (
        "from lkhub.cli.shared import show\n"
        f"console = show.{'out' if stream == 'stdout' else 'err'}\n"
        "try:\n    console.print('first')\nexcept BrokenPipeError:\n    console.print('second')\n"
        "    raise SystemExit(7)\n"
    )
    reader, writer = os.pipe()
    os.close(reader)
    streams: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, stream: writer}
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}  # as users have it
    done = subprocess.run([sys.executable, "-c", printed], env=environ, text=True, timeout=30, **streams)
    os.close(writer)
    assert (done.returncode, done.stdout or "", done.stderr or "") == (7, "", "")
