import contextlib
import errno
import os
import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import BinaryIO

import pytest

from lkhub.errors import MachineError
from lkhub.supervise.watch.logs import MAX_BYTES, rotate_log, rotate_logs
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


def test_of_a_log_that_is_a_flood_the_end_is_kept(tmp_path: Path) -> None:
    log = tmp_path / "agent-bmo.log"
    log.write_text("x" * 1000 + "the end of it")
    assert rotate_log(str(log), max_bytes=10)
    assert (log.read_text(), (tmp_path / "agent-bmo.log.1").read_text()) == ("", "xxxxxxxthe end of it")


def test_log_that_is_written_without_a_pause_does_not_fill_the_disk(tmp_path: Path) -> None:
    """The copy does not run after its end."""
    log = tmp_path / "agent-bmo.log"
    with open(log, "ab") as file, subprocess.Popen(["/usr/bin/yes"], stdout=file) as writer:
        wait_until(lambda: log.stat().st_size > 3_000_000, "the flood")
        try:
            assert rotate_log(str(log), max_bytes=1_000_000)
        finally:
            writer.kill()
    assert (tmp_path / "agent-bmo.log.1").stat().st_size == 2_000_000


def test_log_that_cannot_be_moved_is_a_machine_error(tmp_path: Path) -> None:
    log = tmp_path / "media.log"
    log.write_text("x" * 11)
    (tmp_path / "media.log.1").mkdir()
    with pytest.raises(MachineError, match="can't rotate"):
        rotate_log(str(log), max_bytes=10, kept=1)
    assert os.path.getsize(log) == 11, "nothing is lost"


def test_every_large_log_is_rotated_and_all_that_could_not_be_are_told(tmp_path: Path) -> None:
    logs = [tmp_path / f"{name}.log" for name in ("media", "relay", "serve")]
    for log in logs:
        log.write_bytes(bytes(MAX_BYTES + 1))
    for log in logs[:2]:
        (log.with_name(f"{log.name}.new")).mkdir()
    with pytest.raises(MachineError, match=r"can't rotate .*/media\.log[^\n]*\ncan't rotate .*/relay\.log[^\n]*$"):
        rotate_logs([str(log) for log in logs])
    assert [os.path.getsize(log) for log in logs] == [MAX_BYTES + 1, MAX_BYTES + 1, 0]


# --- a full disk


class Full:
    """A disk with `size` bytes, partly used by the files in the folder."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        self.folder, self.size, self.eaten = folder, 0, 0
        monkeypatch.setattr(shutil, "copyfileobj", self.copy)
        monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=self.free))

    @property
    def free(self) -> int:
        return self.size - self.eaten - sum(entry.stat().st_size for entry in self.folder.iterdir())

    def copy(self, source: BinaryIO, target: BinaryIO) -> None:
        content = source.read()
        target.write(content[: max(self.free, 0)])
        target.flush()
        if len(content) > target.tell():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def read(self) -> dict[str, str]:
        return {entry.name: entry.read_text() for entry in self.folder.iterdir()}


@pytest.fixture
def full(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Full:
    return Full(monkeypatch, tmp_path)


def test_full_disk_costs_the_oldest_log_and_no_other(full: Full) -> None:
    for number, letter in enumerate("dcba"):
        (full.folder / f"x.log{f'.{number}' if number else ''}").write_text(letter * 20)
    full.size = 4 * 20
    assert rotate_log(str(full.folder / "x.log"), max_bytes=10)
    assert full.read() == {"x.log": "", "x.log.1": "d" * 20, "x.log.2": "c" * 20, "x.log.3": "b" * 20}
    assert full.free == 20


@pytest.mark.parametrize("old", [{}, {"x.log.1": "c" * 5}, {"x.log.1": "c" * 5, "x.log.2": "b" * 19}], ids=len)
def test_full_disk_on_which_there_is_no_room_loses_nothing_however_often_it_is_tried(
    full: Full, old: dict[str, str]
) -> None:
    before = {"x.log": "d" * 20, **old}
    for name, text in before.items():
        (full.folder / name).write_text(text)
    full.size = sum(map(len, before.values()))
    for _ in range(4):
        with pytest.raises(MachineError, match="the disk is full"):
            rotate_log(str(full.folder / "x.log"), max_bytes=10)
    assert full.read() == before


def test_flood_that_has_filled_the_disk_makes_room_again(full: Full) -> None:
    (full.folder / "x.log").write_text("d" * 1000)
    full.size = 1000
    assert rotate_log(str(full.folder / "x.log"), max_bytes=10)
    assert full.read() == {"x.log": "", "x.log.1": "d" * 20}


def test_disk_that_is_full_no_more_is_used_at_once(full: Full) -> None:
    (full.folder / "x.log").write_text("d" * 20)
    full.size = 20
    with pytest.raises(MachineError):
        rotate_log(str(full.folder / "x.log"), max_bytes=10)
    full.size = 60
    assert rotate_log(str(full.folder / "x.log"), max_bytes=10)
    assert full.read() == {"x.log": "", "x.log.1": "d" * 20}


@pytest.mark.namespaces
def test_disk_that_is_really_full(tmp_path: Path) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", tmp_path], check=True)
    try:
        log = tmp_path / "media.log"
        for name, size in (("media.log.2", 12_000), ("media.log.1", 12_000), ("media.log", 12_000)):
            (tmp_path / name).write_text(name[-1] * size)
        with contextlib.suppress(OSError), open(tmp_path / "rest", "wb", buffering=0) as rest:
            while True:
                rest.write(b"x" * 512)
        assert rotate_log(str(log), max_bytes=10_000)
        assert (log.read_text(), log.with_suffix(".log.1").read_text()) == ("", "g" * 12_000)
        assert log.with_suffix(".log.2").read_text() == "1" * 12_000
        log.write_text("there is room again")
    finally:
        subprocess.run(["umount", tmp_path], check=True)
