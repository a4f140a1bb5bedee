"""A record that the service keeps for `lkhub status`."""

import asyncio
import logging
from collections.abc import Callable
from typing import Generic, TypeVar

import anyio.to_thread

from lkhub.errors import MachineError

Record = TypeVar("Record")

_AGAIN_SECONDS = 5.0

log = logging.getLogger(__name__)


class Told(Generic[Record]):
    """Calls `write` with `path` and a record that differs from the last one that was written. No record is kept where
    `path` is "". `what` names its content in the log. `written` is what is on record already."""

    def __init__(
        self, path: str, write: Callable[[str, Record], None], what: str, written: Record | None = None
    ) -> None:
        self._path, self._write, self._what = path, write, what
        self._written = written
        self._owed: Record | None = None  # what could not be written

    def tell(self, record: Record) -> None:
        """Put it on record, now or, such as after a full disk, by `catch_up`."""
        if not self._path:
            return
        if record == self._written:
            self._owed = None
            return
        try:
            self._write(self._path, record)
            self._written, self._owed = record, None
        except (OSError, MachineError) as error:
            if record != self._owed:
                log.warning("%s can't be told to `lkhub status`: %s", self._what, type(error).__name__)
            # What is on record is not known: a write that failed may have removed it.
            self._written, self._owed = None, record

    def catch_up(self) -> None:
        """Write what could not be written, such as while the state directory was read-only."""
        if self._owed is not None:
            self.tell(self._owed)

    async def keep_up(self) -> None:
        """Catch up, soon after the disk can be written again, until cancelled."""
        while True:
            await asyncio.sleep(_AGAIN_SECONDS)
            if self._owed is not None:
                await anyio.to_thread.run_sync(self.catch_up)
