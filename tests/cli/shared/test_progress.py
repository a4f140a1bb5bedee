import sys
from collections.abc import Callable

import pytest
from rich.console import Console

from lkhub.cli.shared import progress as progress_module
from lkhub.cli.shared.progress import Progress

Captured = pytest.CaptureFixture[str]


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Callable[[bool], Console]:
    def make(is_terminal: bool) -> Console:
        monkeypatch.setattr(sys.stderr, "isatty", lambda: is_terminal)
        console = Console(stderr=True, width=40, color_system=None)
        monkeypatch.setattr(progress_module, "err", console)
        return console

    return make


@pytest.mark.parametrize("colours", ["", "1"])
def test_elsewhere_than_on_a_terminal_each_step_is_a_line(
    screen: Callable[[bool], Console], capsys: Captured, monkeypatch: pytest.MonkeyPatch, colours: str
) -> None:
    """A container's log that was asked for colours is no screen either."""
    monkeypatch.setenv("FORCE_COLOR", colours)
    screen(False)
    with Progress() as progress:
        progress.tell("starting media")
        progress.tell("waiting", "1 s")
        progress.tell("waiting", "2 s")
    assert capsys.readouterr().err == "starting media …\nwaiting …\n"


def test_on_a_terminal_a_step_takes_the_place_of_the_one_before_and_nothing_is_left(
    screen: Callable[[bool], Console], capsys: Captured
) -> None:
    console = screen(True)
    with Progress() as progress:
        progress.tell("starting media")
        assert "starting media …" in capsys.readouterr().err
        progress.tell("waiting for a certificate of a long name", "2 s")
        shown = capsys.readouterr().err
        assert "\x1b[2K" in shown, "the line before is taken away"
        console.print("said meanwhile")
        progress.clear()
        progress.tell("calling")
    assert capsys.readouterr().err.count("said meanwhile") == 1
    console.print("after")
    assert capsys.readouterr().err == "after\n"


@pytest.mark.parametrize("is_terminal", [True, False])
def test_step_that_is_told_after_the_end_is_not_shown(
    screen: Callable[[bool], Console], capsys: Captured, is_terminal: bool
) -> None:
    """By a thread that nothing waits for, as that of a foreground `lkhub up` which was stopped."""
    screen(is_terminal)
    progress = Progress()
    progress.tell("building a site")
    progress.end()
    capsys.readouterr()
    progress.tell("building a site", "1 s")
    assert capsys.readouterr().err == ""
