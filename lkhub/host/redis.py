"""Asks a Redis server whether it would serve media."""

import socket
import ssl
from collections.abc import Iterator

from lkhub.errors import MachineError
from lkhub.plan.model import RedisPlan
from lkhub.secret import Secret
from lkhub.shown import printable

# A server in the same network answers in milliseconds.
SECONDS = 5.0

# More than any answer to these commands.
_ANSWER_BYTES = 4096


def require_redis(redis: RedisPlan, password: Secret | None) -> None:
    """Raise MachineError if the server can't be reached, or refuses this login or database: media would not start."""
    try:
        with _connect(redis) as connection:
            for command in _list_commands(redis, password):
                _ask(connection, redis, command)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        hints = (
            f"see whether it runs: `redis-cli -u {redis.url} ping`",
            "start it, or write its address as redis: redis://HOST:PORT",
        )
        message = f"can't reach Redis at {redis.address}: {printable(reason)}; media does not start without it"
        raise MachineError(message, hints=hints) from error


def _explain_tls(redis: RedisPlan, error: OSError) -> MachineError:
    """What a failed handshake means. Python's own text names a line of its source."""
    if isinstance(error, ssl.SSLCertVerificationError):
        reason = f"its certificate is refused: {printable(error.verify_message)}"
        hints = ("give it a certificate that this machine trusts, for the name in redis",)
    else:
        reason = "what answers there does not speak TLS, or not as this machine does"
        hints = ("write redis://HOST:PORT where the server has no TLS, else the port of its TLS",)
    return MachineError(
        f"can't reach Redis at {redis.address} over TLS: {reason}; media does not start without it", hints=hints
    )


def _connect(redis: RedisPlan) -> socket.socket:
    host, _, port = redis.address.rpartition(":")
    host = host.strip("[]")
    connection = socket.create_connection((host, int(port)), SECONDS)
    if not redis.tls:
        return connection
    try:
        return ssl.create_default_context().wrap_socket(connection, server_hostname=host)
    except BaseException as error:
        connection.close()
        # A server without TLS may wait for the rest of what it takes for a command.
        if isinstance(error, ssl.SSLError | TimeoutError):
            raise _explain_tls(redis, error) from error
        raise


def _list_commands(redis: RedisPlan, password: Secret | None) -> Iterator[tuple[str, ...]]:
    if password is not None:
        yield ("AUTH", *((redis.username,) if redis.username else ()), password.reveal())
    if redis.database:
        yield "SELECT", str(redis.database)
    yield ("PING",)


def _ask(connection: socket.socket, redis: RedisPlan, command: tuple[str, ...]) -> None:
    """Send one command in Redis's protocol (RESP2)."""
    words = [word.encode() for word in command]
    connection.sendall(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words))
    answer = b""
    while not answer.endswith(b"\r\n"):
        more = connection.recv(_ANSWER_BYTES)
        if not more or len(answer) > _ANSWER_BYTES:
            raise ValueError("what answers there is not Redis")
        answer += more
    if answer.startswith(b"+"):
        return
    if not answer.startswith(b"-"):
        raise ValueError("what answers there is not Redis")
    said = printable(answer[1:].decode(errors="replace").strip())
    if command[0] == "SELECT":
        hint = "write a database that it has, as in redis://HOST:PORT/0"
    elif redis.has_password:
        hint = "write the right username and password: redis: {url: …, username: NAME, password: SECRET}"
    else:
        hint = "it wants a password: redis: {url: …, password: SECRET}"
    raise MachineError(f"Redis at {redis.address} refuses: {said}; media does not start without it", hints=(hint,))
