import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lkhub.cli import logs as logs_module
from lkhub.host.files import read_tail
from lkhub.plan.paths import StatePaths
from tests.cli.conftest import Run
from tests.waiting import wait_until


@pytest.fixture
def log(paths: StatePaths) -> Path:
    Path(paths.logs).mkdir(parents=True)
    log = Path(paths.log("media"))
    log.write_text("".join(f"line {number}\n" for number in range(100)))
    return log


def test_end_of_a_log_is_shown(run: Run, log: Path) -> None:
    assert run("logs").out.splitlines() == [f"line {number}" for number in range(50, 100)]
    assert run("logs", "media", "-n", "2").out == "line 98\nline 99\n"
    assert run("logs", "-n", "1000").out == log.read_text()


def test_markup_in_a_log_is_text(run: Run, log: Path) -> None:
    log.write_text("[bold]x[/] 127.0.0.1 'a' 1.5\n")
    assert run("logs").out == "[bold]x[/] 127.0.0.1 'a' 1.5\n"


@pytest.mark.parametrize("name", ["media", "relay", "serve", "hub"])
def test_log_that_is_not_there_yet_says_so(run: Run, name: str) -> None:
    done = run("logs", name)
    assert (done.code, done.out) == (2, "")
    assert f"{name} has written nothing yet" in done.err


@pytest.fixture
def follower(log: Path, tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """`lkhub logs -f`, writing to the file `out`."""
    environ = {**os.environ, "LKHUB_STATE": str(tmp_path / "state")}
    argv = [sys.executable, "-m", "lkhub", "logs", "-f", "-n", "1"]
    with open(tmp_path / "out", "wb") as out, subprocess.Popen(argv, stdout=out, env=environ) as follower:
        yield follower
        follower.kill()


def test_log_is_followed_through_a_rotation_until_ctrl_c(
    log: Path, tmp_path: Path, follower: subprocess.Popen[bytes]
) -> None:
    seen = tmp_path / "out"
    wait_until(lambda: seen.read_text() == "line 99\n", "the last line")

    def write_more() -> bool:
        with log.open("a") as file:
            file.write("more\n")
        return "more\n" in seen.read_text()

    wait_until(write_more, "the next line")
    log.write_text("")
    log.write_text("after\n")
    wait_until(lambda: "after\n" in seen.read_text(), "the line after the rotation")
    follower.send_signal(signal.SIGINT)
    assert follower.wait(10) in (0, 130)
    assert set(seen.read_text().splitlines()) == {"line 99", "more", "after"}


def test_no_line_is_lost_between_the_end_and_what_follows(run: Run, log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def read_tail_then_write(path: str, lines: int, *, end: int) -> list[str]:
        tail = read_tail(path, lines, end=end)
        with log.open("a") as file:
            file.write("line 100\n")
        return tail

    def stop(_: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(logs_module, "read_tail", read_tail_then_write)
    monkeypatch.setattr("lkhub.cli.logs.time.sleep", stop)
    assert run("logs", "-f", "-n", "1").out == "line 99\nline 100\n"
