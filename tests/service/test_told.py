"""A record for `lkhub status` is written once, and later where it could not be."""

import asyncio
import logging

import pytest

from lkhub.service import told as module
from lkhub.service.told import Told
from tests.waiting import until

pytestmark = pytest.mark.anyio


class Disk:
    """Keeps what was written, and can be full."""

    def __init__(self) -> None:
        self.records: list[str] = []
        self.full = False

    def write(self, path: str, record: str) -> None:
        if self.full:
            raise OSError("no space left")
        self.records.append(f"{path} {record}")


async def test_record_is_written_when_it_changes() -> None:
    disk = Disk()
    told = Told("file", disk.write, "the state")
    for record in ("fails", "fails", "works", "fails"):
        told.tell(record)
    assert disk.records == ["file fails", "file works", "file fails"]


async def test_record_that_is_there_is_not_written_again() -> None:
    disk = Disk()
    Told("file", disk.write, "the state", "works").tell("works")
    assert disk.records == []


async def test_none_is_kept_without_a_path() -> None:
    disk = Disk()
    Told("", disk.write, "the state").tell("works")
    assert disk.records == []


async def test_record_that_could_not_be_written_is_written_later(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "_AGAIN_SECONDS", 0.01)
    disk = Disk()
    disk.full = True
    told = Told("file", disk.write, "the state")
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            told.tell("fails")
    assert [record.getMessage() for record in caplog.records] == ["the state can't be told to `lkhub status`: OSError"]
    keeping = asyncio.ensure_future(told.keep_up())
    try:
        disk.full = False
        await until(lambda: disk.records == ["file fails"])
    finally:
        keeping.cancel()


async def test_what_was_owed_does_not_come_after_what_is_newer() -> None:
    disk = Disk()
    told = Told("file", disk.write, "the state")
    told.tell("works")
    disk.full = True
    told.tell("fails")
    disk.full = False
    told.tell("works")
    told.catch_up()
    assert disk.records[-1] == "file works"
