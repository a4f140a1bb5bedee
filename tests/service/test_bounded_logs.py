"""What the service logs of connections that it can't take, and how little of it."""

import asyncio
import errno
import logging
import socket
from typing import Any

from lkhub.service.bounded import LOG_LINES, FewLines, RareExhaustion
from tests.waiting import DEADLINE_SECONDS


def test_a_flood_of_lines_is_left_out_of_the_log() -> None:
    few = FewLines()

    def passed(at: float, times: int) -> int:
        record = logging.makeLogRecord({"created": at})
        return sum(few.filter(record) for _ in range(times))

    assert [passed(at, 1000) for at in (1000.0, 1000.9, 1001.0, 1500.0)] == [LOG_LINES, 0, LOG_LINES, LOG_LINES]


class Exhausted(socket.socket):
    """A listener on a machine without a free descriptor, for the first accepts."""

    refusals = 300

    def accept(self) -> tuple[socket.socket, Any]:
        if self.refusals > 0:
            self.refusals -= 1
            raise OSError(errno.EMFILE, "Too many open files")
        return super().accept()


def test_machine_without_descriptors_is_told_in_a_line_and_everybody_gets_in_afterwards() -> None:
    told: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: told.append(handler.format(record))  # type: ignore[method-assign]
    logger, rare = logging.getLogger("asyncio"), RareExhaustion()

    async def scene() -> None:
        with Exhausted() as listener:
            listener.bind(("127.0.0.1", 0))
            server = await asyncio.start_server(lambda _, writer: writer.close(), sock=listener, backlog=128)
            reader, writer = await asyncio.open_connection(*listener.getsockname())
            async with asyncio.timeout(DEADLINE_SECONDS):
                assert await reader.read() == b""
            assert listener.refusals == 0
            writer.close()
            server.close()

    logger.addFilter(rare)
    logger.addHandler(handler)
    try:
        asyncio.run(scene())
    finally:
        logger.removeHandler(handler)
        logger.removeFilter(rare)
    # asyncio tries again once for each refusal. What it says of the tries after the listener was closed is left out.
    exhausted = [line for line in told if "Invalid file descriptor" not in line]
    assert exhausted == ["no more connections can be taken: too many open files; tried again every second"]


def test_other_errors_of_asyncio_are_reported_in_full() -> None:
    error = OSError(errno.EIO, "Input/output error")
    record = logging.LogRecord("asyncio", logging.ERROR, "", 1, "a task", (), (OSError, error, None))
    rare = RareExhaustion()
    assert all(rare.filter(record) for _ in range(3))
    assert record.exc_info is not None
