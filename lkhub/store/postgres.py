"""Connections to PostgreSQL that wait for no answer for ever."""

from typing import Any

from psycopg import Connection, OperationalError

# How long a server of PostgreSQL may take for an answer, in seconds: longer than a statement waits for a lock. A server
# that is stopped, or whose disk hangs, takes requests and answers none, and its machine acknowledges every packet.
ANSWER_SECONDS = 10.0

# How often psycopg lets Python see a signal meanwhile: its own default, in seconds.
_INTERVAL_SECONDS = 0.1


class BoundedConnection(Connection[Any]):
    """A connection that is closed where no answer comes. Whether its transaction was committed is not known then."""

    def wait(self, gen: Any, interval: float = _INTERVAL_SECONDS, timeout: float | None = None) -> Any:
        """As Connection.wait, through which every answer is waited for."""
        try:
            return super().wait(gen, interval, ANSWER_SECONDS if timeout is None else timeout)
        except OperationalError as error:
            if error.sqlstate is None:  # not the server's words
                self.close()
            raise
