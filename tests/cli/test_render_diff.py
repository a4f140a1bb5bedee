"""What `lkhub render --diff` shows."""

import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Run


def test_difference_is_shown_and_nothing_written(run: Run) -> None:
    done = run("render", "livekit", "-o", "out", "--diff")
    assert done.code == 1
    assert "+port: 7880" in done.out
    assert not Path("out").exists()
    run("render", "livekit", "-o", "out")
    assert (run("render", "livekit", "-o", "out", "--diff").code) == 0
    Path("hub.yaml").write_text("media: {signal: 7000}\n")
    done = run("render", "livekit", "-o", "out", "--diff")
    assert done.code == 1
    changed = [line for line in done.out.splitlines() if line[:1] in "+-" and line[:3] not in ("+++", "---")]
    assert changed == ["-port: 7880", "+port: 7000"]


@pytest.mark.parametrize("terminal", [True, False])
def test_difference_commands_no_terminal_and_is_whole_for_a_program(
    run: Run, monkeypatch: pytest.MonkeyPatch, terminal: bool
) -> None:
    """Somebody else may have written what is in the folder; and a program that reads it gets what is there."""
    assert run("render", "livekit", "-o", "out").code == 0
    Path("out/livekit.yaml").write_text("\x1b[2Ja\tb\n")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal)
    done = run("render", "livekit", "-o", "out", "--diff")
    assert done.code == 1
    assert ("-\x1b[2Ja\tb\n" in done.out, "-\ufffd[2Ja\tb\n" in done.out) == (not terminal, terminal)


def test_permissions_that_differ_are_a_difference(run: Run) -> None:
    Path("hub.yaml").touch()
    assert run("render", "compose", "-o", "out").code == 0
    mode = Path("out/lkhub.sh").stat().st_mode & 0o777
    Path("out/lkhub.sh").chmod(0o600)
    done = run("render", "compose", "-o", "out", "--diff")
    assert (done.code, done.out) == (1, f"out/lkhub.sh: old mode 0600\nout/lkhub.sh: new mode {mode:04o}\n")
    assert run("render", "compose", "-o", "out").code == 0
    assert (run("render", "compose", "-o", "out", "--diff").code, Path("out/lkhub.sh").stat().st_mode & 0o777) == (
        0,
        mode,
    )


@pytest.mark.parametrize("umask", [0o022, 0o002, 0o077])
@pytest.mark.parametrize(
    "typed", [("compose",), ("firewall",), ("kubernetes",), ("systemd",), ("nixos",), ("proxy",)], ids=" ".join
)
def test_checkout_of_git_is_no_difference(run: Run, typed: tuple[str, ...], umask: int) -> None:
    """Of the permissions, git keeps whether a file can be run, and the umask decides on the rest."""
    domain = "domain: a.example.com\n" if typed == ("proxy",) else ""
    tls = "{mode: external}" if domain else "{mode: off}"
    Path("hub.yaml").write_text(f"reach: lan\n{domain}tls: {tls}\n")
    assert run("render", *typed, "-o", "out").code == 0
    for path in Path("out").rglob("*"):
        if path.is_file():
            path.chmod((0o777 if path.stat().st_mode & 0o100 else 0o666) & ~umask)
    done = run("render", *typed, "-o", "out", "--diff")
    assert (done.code, done.out) == (0, "")


@pytest.mark.parametrize(
    ("target", "mode", "told"),
    [
        ("livekit", 0o600, False),
        ("livekit", 0o400, False),
        ("livekit", 0o640, True),
        ("livekit", 0o604, True),
        ("livekit", 0o700, True),
        ("systemd", 0o600, False),
        ("systemd", 0o666, False),
        ("systemd", 0o755, True),
    ],
)
def test_file_that_others_may_read_is_a_difference_where_it_is_private(
    run: Run, target: str, mode: int, told: bool
) -> None:
    assert run("render", target, "-o", "out").code == 0
    [path] = [each for each in Path("out").iterdir() if not each.name.startswith(".")]
    path.chmod(mode)
    done = run("render", target, "-o", "out", "--diff")
    assert (done.code, f"{path}: old mode {mode:04o}\n" in done.out) == (int(told), told)


def test_end_of_a_file_without_a_line_feed_is_shown(run: Run) -> None:
    Path("hub.yaml").touch()
    assert run("render", "compose", "-o", "out").code == 0
    Path("out/.dockerignore").write_text("x")
    done = run("render", "compose", "-o", "out", "--diff")
    assert "-x\n\\ No newline at end of file\n+" in done.out
