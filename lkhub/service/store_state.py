"""What `lkhub status` is told of the store."""

import time

from lkhub.service.told import Told
from lkhub.state.store import StoreRecord, read_store, write_store
from lkhub.store.errors import StoreError


class StoreState:
    """The record at `path`; none is kept where that is "". `file` is that of SQLite, or "".

    `made`: the store was there before, also before this process was started."""

    def __init__(self, path: str = "", file: str = "") -> None:
        self._file = file
        self._since: float | None = None
        self.told = Told(path, write_store, "the state of the store")
        before = read_store(path) if path else None
        self.made = before is not None and before.made and before.file == file
        self.told.tell(StoreRecord(file, made=self.made))  # a full disk has space for another only where one was

    def note_success(self) -> None:
        """The store can be used."""
        self._since, self.made = None, True
        self.told.tell(StoreRecord(self._file, made=True))

    def note_failure(self, error: StoreError) -> None:
        """The store can't be used."""
        self._since = self._since or time.time()
        self.told.tell(StoreRecord(self._file, self._since, error.problem, str(error), self.made))
