"""The record of a store that can't be used, which the service writes."""

from dataclasses import dataclass

from lkhub.errors import MachineError
from lkhub.source.typed import Epoch
from lkhub.state.document import dump_record, find_record, write_record


@dataclass(frozen=True)
class StoreRecord:
    """The store can't be used since `failing` (epoch seconds), because of `problem` (lkhub.store.errors.Problem), which
    `text` says in words; None, "" and "" where it can. `file` is that of SQLite, or "". `made`: it was there once, so
    an empty one is not made in its place."""

    file: str
    failing: Epoch | None = None
    problem: str = ""
    text: str = ""
    made: bool = False


def write_store(path: str, record: StoreRecord) -> None:
    """Raises MachineError. A record is written over the last one where the disk is full, which is worth telling: the
    block that the last one has is enough."""
    try:
        write_record(record, path)
    except MachineError:
        try:
            with open(path, "r+b") as file:
                file.write(dump_record(record).encode())
                file.truncate()
        except OSError:
            pass
        else:
            return
        raise


def read_store(path: str) -> StoreRecord | None:
    """The record; None if there is none."""
    return find_record(StoreRecord, path)
