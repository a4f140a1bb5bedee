import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
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


def test_raw_log_is_shown_as_it_is(run: Run, log: Path) -> None:
    assert run("logs", "media", "--raw").out.splitlines() == [f"line {number}" for number in range(50, 100)]
    assert run("logs", "media", "--raw", "-n", "2").out == "line 98\nline 99\n"
    assert run("logs", "media", "--raw", "-n", "1000").out == log.read_text()
    log.write_text("[bold]x[/] 127.0.0.1 'a' 1.5\n")
    assert run("logs", "media", "--raw").out == "[bold]x[/] 127.0.0.1 'a' 1.5\n"


def joins(at: float, who: str, room: str = "team") -> str:
    return (
        json.dumps({"ts": at, "level": "info", "msg": "starting RTC session", "room": room, "participant": who}) + "\n"
    )


def test_events_are_shown_in_order_of_time(run: Run, log: Path, paths: StatePaths) -> None:
    now = time.time()
    log.write_text(joins(now - 4, "ann") + joins(now - 3, "x", "lkhub-verify-udp") + joins(now - 1, "[b]ben[/b]"))
    said = time.strftime("%Y-%m-%dT%H:%M:%S%z", time.localtime(now - 2))
    Path(paths.log("hub")).write_text(f"{said} the relay ended\n    its last line\n")
    told = [line.split(maxsplit=1)[1] for line in run("logs").out.splitlines()]
    assert told == [
        "media  ann joins team",
        "hub    the relay ended",
        "hub        its last line",
        "media  [b]ben[/b] joins team",
    ]
    assert [line.split(maxsplit=2)[2] for line in run("logs", "media", "-n", "1").out.splitlines()] == [
        "[b]ben[/b] joins team"
    ]


def test_another_day_is_named(run: Run, log: Path) -> None:
    log.write_text(joins(time.time(), "ann") + joins(1795821984.0 - 30 * 86400, "ben"))
    lines = run("logs").out.splitlines()
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d  media  ben joins team", lines[0])
    assert re.fullmatch(r"\d\d:\d\d:\d\d  media  ann joins team", lines[1])


@pytest.mark.parametrize("name", ["media", "relay", "serve", "hub"])
def test_log_that_is_not_there_yet_says_so(run: Run, name: str) -> None:
    done = run("logs", name)
    assert (done.code, done.out) == (2, "")
    assert f"{name} has written nothing yet" in done.err
    assert "the hub has written nothing yet" in run("logs").err


def test_process_that_this_hub_may_not_have_is_not_told_to_be_started(run: Run, log: Path) -> None:
    done = run("logs", "edge")
    assert (done.code, done.out) == (2, "")
    assert "`lkhub status` shows whether this hub has such a process" in done.err


@pytest.mark.parametrize("typed", [("logs", "nothing"), ("agents", "logs", "nothing")])
def test_file_that_no_process_has_written_is_in_no_message(run: Run, log: Path, typed: tuple[str, ...]) -> None:
    log.with_name("agent-bmo.log").touch()
    log.with_name("agent-x\nhint: `touch pwned`.log").touch()
    done = run(*typed)
    assert (done.code, "bmo" in done.err, "pwned" in done.err) == (2, True, False)


def test_raw_log_is_that_of_one_process(run: Run, log: Path) -> None:
    done = run("logs", "--raw")
    assert (done.code, done.out) == (2, "")
    assert "--raw needs the name of a process" in done.err


@pytest.fixture
def follow(log: Path, tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """`lkhub logs -f …`, writing to the file `out`."""
    environ = {**os.environ, "LKHUB_STATE": str(tmp_path / "state")}
    with open(tmp_path / "out", "wb") as out, contextlib.ExitStack() as stack:

        def start(*arguments: str) -> subprocess.Popen[bytes]:
            argv = [sys.executable, "-m", "lkhub", "logs", "-f", "-n", "1", *arguments]
            follower = stack.enter_context(subprocess.Popen(argv, stdout=out, env=environ))
            stack.callback(follower.kill)
            return follower

        yield start


def test_log_is_followed_through_a_rotation_until_ctrl_c(
    log: Path, tmp_path: Path, follow: Callable[..., subprocess.Popen[bytes]]
) -> None:
    seen = tmp_path / "out"
    follower = follow("media", "--raw")
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


def test_all_logs_are_followed_also_one_that_is_not_there_yet(
    log: Path, tmp_path: Path, paths: StatePaths, follow: Callable[..., subprocess.Popen[bytes]]
) -> None:
    seen = tmp_path / "out"
    follow()
    wait_until(lambda: "line 99" in seen.read_text(), "the last line")
    with log.open("a") as file:
        file.write(joins(time.time(), "ann")[:-10])
        file.flush()
        Path(paths.log("relay")).write_text("it failed\n")
        wait_until(lambda: "relay  it failed" in seen.read_text(), "the line of a new log")
        assert "ann" not in seen.read_text(), "half a line is not shown yet"
        file.write(joins(time.time(), "ann")[-10:])
    wait_until(lambda: "media  ann joins team" in seen.read_text(), "the line when it is whole")


def test_no_line_is_lost_between_the_end_and_what_follows(run: Run, log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def read_tail_then_write(path: str, lines: int, *, end: int, limit: int) -> list[str]:
        tail = read_tail(path, lines, end=end, limit=limit)
        with log.open("a") as file:
            file.write("line 100\n")
        return tail

    def stop(_: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(logs_module, "read_tail", read_tail_then_write)
    monkeypatch.setattr("lkhub.cli.logs.time.sleep", stop)
    assert run("logs", "media", "--raw", "-f", "-n", "1").out == "line 99\nline 100\n"


def test_folder_that_cannot_be_looked_into_is_named(run: Run) -> None:
    """As the folder of another user; root may look into that one, so here its name is too long for any folder."""
    state = "/tmp/" + "a" * 300
    for arguments in (("logs",), ("logs", "media"), ("logs", "media", "--raw")):
        done = run(*arguments, "--state", state)
        assert (done.code, done.out) == (3, "")
        assert f"can't read {state}/logs: file name too long" in done.err
