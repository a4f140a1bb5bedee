"""The record of the files of applications that `lkhub env --write` has written, so that a new key can follow."""

from dataclasses import dataclass
from typing import Literal

from lkhub.errors import MachineError
from lkhub.host.files import read_text
from lkhub.plan.paths import StatePaths
from lkhub.source.typed import Epoch
from lkhub.state.document import parse_record, write_record


@dataclass(frozen=True)
class WrittenFile:
    """The file at the absolute `path`, which may be a link, belonged to `uid` and `gid` when it got the API key `key`
    at `at` (epoch seconds). The secret is not on record."""

    path: str
    format: Literal["dotenv", "server-config"]
    uid: int
    gid: int
    key: str
    at: Epoch


@dataclass(frozen=True)
class _Record:
    files: tuple[WrittenFile, ...]


def read_written(paths: StatePaths) -> tuple[WrittenFile, ...]:
    """The files on record, in the order of their paths. Raises MachineError if the record can't be read: a new key
    would follow to none of the files."""
    text = read_text(paths.written)
    if text is None:
        return ()
    try:
        return parse_record(_Record, text).files
    except ValueError:
        raise MachineError(
            f"{paths.written} is damaged: it no longer says which files have the hub's key",
            hints=("remove it, then write each of the files again: `lkhub env --write FILE`",),
        ) from None


def write_written(paths: StatePaths, files: tuple[WrittenFile, ...]) -> None:
    """Raises MachineError if the record can't be written."""
    record = _Record(tuple(sorted(files, key=lambda file: file.path)))
    write_record(record, paths.written)
