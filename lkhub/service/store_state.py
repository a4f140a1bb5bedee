"""What `lkhub status` is told of the store."""

import logging
import time

from lkhub.errors import MachineError
from lkhub.state.store import StoreRecord, read_store, write_store
from lkhub.store.errors import StoreError

log = logging.getLogger(__name__)


class StoreState:
    """The record at `path`; none is kept where that is "". `file` is that of SQLite, or "".

    `made`: the store was there before, also before this process was started."""

    def __init__(self, path: str = "", file: str = "") -> None:
        self._path, self._file = path, file
        self._since: float | None = None
        self._owed: StoreRecord | None = None  # what could not be written
        before = read_store(path) if path else None
        self.made = before is not None and before.made and before.file == file
        self._write(StoreRecord(file, made=self.made))  # a full disk has space for another only where one was

    def note_success(self) -> None:
        """The store can be used."""
        self._since, self.made = None, True
        self._write(StoreRecord(self._file, made=True))

    def note_failure(self, error: StoreError) -> None:
        """The store can't be used."""
        self._since = self._since or time.time()
        self._write(StoreRecord(self._file, self._since, error.problem, str(error), self.made))

    @property
    def is_behind(self) -> bool:
        """Whether the last record could not be written."""
        return self._owed is not None

    def catch_up(self) -> None:
        """Write what could not be written, such as while the state directory was read-only."""
        if self._owed:
            self._write(self._owed)

    def _write(self, record: StoreRecord) -> None:
        if not self._path:
            return
        try:
            write_store(self._path, record)
            self._owed = None
        except (OSError, MachineError) as problem:
            if record != self._owed:
                log.warning("the state of the store can't be told to `lkhub status`: %s", type(problem).__name__)
            self._owed = record
