import os
import subprocess
from pathlib import Path

import pytest

from lkhub.errors import MachineError
from lkhub.supervise.logs import rotate_log
from tests.waiting import wait_until


def test_small_log_and_none_at_all_are_left_alone(tmp_path: Path) -> None:
    log = tmp_path / "media.log"
    assert rotate_log(str(log)) is False
    log.write_text("x" * 10)
    assert rotate_log(str(log), max_bytes=10) is False
    assert [entry.name for entry in tmp_path.iterdir()] == ["media.log"]


def test_large_log_becomes_the_first_of_the_old_ones(tmp_path: Path) -> None:
    log = tmp_path / "media.log"
    log.write_text("x" * 11)
    inode = log.stat().st_ino
    assert rotate_log(str(log), max_bytes=10) is True
    assert (log.read_text(), (tmp_path / "media.log.1").read_text()) == ("", "x" * 11)
    assert log.stat().st_ino == inode, "who writes it holds it open"
    assert (tmp_path / "media.log.1").stat().st_mode & 0o777 == 0o600


def test_old_logs_move_up_and_the_oldest_goes(tmp_path: Path) -> None:
    log = tmp_path / "media.log"
    for number in range(6):
        log.write_text(str(number) * 11)
        rotate_log(str(log), max_bytes=10, kept=3)
    kept = {entry.name: entry.read_text()[:1] for entry in tmp_path.iterdir()}
    assert kept == {"media.log": "", "media.log.1": "5", "media.log.2": "4", "media.log.3": "3"}


def test_process_goes_on_at_the_new_end(tmp_path: Path) -> None:
    log = tmp_path / "media.log"
    with (
        open(log, "ab") as file,
        subprocess.Popen(
            ["/bin/sh", "-c", "echo one; read line; echo two"], stdin=subprocess.PIPE, stdout=file
        ) as writer,
    ):
        wait_until(lambda: log.read_text() == "one\n", "the first line")
        assert rotate_log(str(log), max_bytes=1)
        writer.communicate(b"\n")
    assert log.read_text() == "two\n", "no hole of zero bytes in front"


def test_log_that_cannot_be_moved_is_a_machine_error(tmp_path: Path) -> None:
    log = tmp_path / "media.log"
    log.write_text("x" * 11)
    (tmp_path / "media.log.1").mkdir()
    with pytest.raises(MachineError, match="can't rotate"):
        rotate_log(str(log), max_bytes=10, kept=1)
    assert os.path.getsize(log) == 11, "nothing is lost"
