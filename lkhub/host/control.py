"""The client of the supervisor's control socket. `lkhub.supervise.control_server` is the server, and
`lkhub.wire.control` has the messages.

One connection carries one request and its answer over HTTP/1.0. The answer ends when the connection does, so no library
is needed to read it. Loading http.client would cost every command 13 ms and 6 MB, loading h11 7 ms and 1 MB (measured).
"""

import contextlib
import os
import socket
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar, cast

from lkhub import __version__
from lkhub.errors import START, HubError, MachineError, UnwellError
from lkhub.host import files
from lkhub.host.lock import find_holder, is_held
from lkhub.source.json_text import parse_finite_json
from lkhub.source.typed import MissingKeyError, pack, unpack
from lkhub.wire.exchange import JSON, JSON_LINES, MAX_REQUEST_BYTES, RESTART, Ping, Progress, Request, describe_too_long
from lkhub.wire.failure import FailureAnswer
from lkhub.wire.message import dump_message, has_other_version

Answer = TypeVar("Answer")

# A healthy supervisor answers within milliseconds, or within a second on a loaded machine. After so much silence the
# client checks whether the supervisor still reacts.
SILENCE_SECONDS = 3.0

# A supervisor answers a ping also while it does long work. The client waits longer for the answer to a ping than for
# the first word of an answer: a person who reads that the supervisor hangs will kill it.
PING_SECONDS = 7.0

# A supervisor checks every two seconds whether its state directory is there, and writes it again, control socket
# included. It may be busy at first.
RESTORE_SECONDS = 15.0
RESTORE_POLL_SECONDS = 0.1

SETTLE_POLL_SECONDS = 0.05

# A supervisor that was killed accepts connections until the last of its threads has ended: more than a second was
# measured on a busy machine.
BREAKING_OFF_SECONDS = 3.0

# A report has some kilobytes. What listens there may belong to another user, whose state directory was named.
MAX_LINE_BYTES = 16 * 1024 * 1024


def ask(path: str, request: Request[Answer], *, on_progress: Callable[[str], None] | None = None) -> Answer:
    """Send a request to the supervisor and return its answer. `on_progress` is called with each step that the
    supervisor reports meanwhile.

    Blocks for as long as the supervisor works. Raises NotRunningError where no supervisor listens, UnresponsiveError
    where the supervisor does not react within a few seconds, and the HubError that the supervisor answers with. Where a
    supervisor of another lkhub version gives an answer that this one can't read, the MachineError names both versions.
    """
    with _connect(path) as connection:
        # Where the connection breaks, read what the supervisor sent before that.
        with contextlib.suppress(ConnectionError):
            _send_all(connection, _write_request(request, JSON_LINES if on_progress else JSON))
        for line in _skip_head(_receive_lines(connection, path), connection):
            # `lkhub down` must not be answered with the advice to type it.
            answer = _read_answer(request, line, pid=_find_pid(connection) if request.in_every_version else None)
            if not isinstance(answer, Progress):
                return answer
            if on_progress:
                on_progress(answer.progress)
    raise BrokenOffError


def ask_settled(
    path: str,
    request: Request[Answer],
    *,
    seconds: float,
    on_wait: Callable[[], None] | None = None,
    on_progress: Callable[[str], None] | None = None,
) -> Answer:
    """`ask`, and ask again for up to `seconds` while a supervisor is starting or ending. `on_wait` is called once,
    before the first wait. Where the supervisor is still starting or ending after `seconds`, NotRunningError is
    `busy`. One that breaks off was killed, or has opened its control socket again: it is asked again too, so the
    request must be one that may be made twice."""
    deadline, waits = time.monotonic() + seconds, False
    breaks_off_until: float | None = None
    while True:
        try:
            return ask(path, request, on_progress=on_progress)
        except BrokenOffError:
            breaks_off_until = breaks_off_until or time.monotonic() + BREAKING_OFF_SECONDS
            if time.monotonic() > breaks_off_until:
                raise
        except NotRunningError as error:
            if not error.busy or time.monotonic() > deadline:
                raise
            if on_wait and not waits:
                on_wait()
            waits = True
        time.sleep(SETTLE_POLL_SECONDS)


def _connect(path: str) -> socket.socket:
    files.check_socket_path(path)
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(SILENCE_SECONDS + PING_SECONDS)
    try:
        connection.connect(path)
    except (FileNotFoundError, ConnectionRefusedError) as error:
        connection.close()
        # The supervisor may have made its socket again since the connection failed.
        is_back = isinstance(error, FileNotFoundError) and os.path.exists(path)
        if not is_back and not _await_restored(path):
            busy = is_held(lock := _lock_beside(path))
            # A supervisor that a signal has stopped neither starts nor ends soon: it is not worth waiting for.
            if busy and (holder := find_holder(lock)) and is_stopped(holder):
                raise UnresponsiveError(holder) from None
            raise NotRunningError(busy=busy) from None
        return _connect(path)
    except (BlockingIOError, TimeoutError):  # earlier connections still wait to be accepted
        connection.close()
        raise UnresponsiveError(None) from None
    except OSError:
        connection.close()
        with files.explain_os_errors(path, "connect to"):
            raise
    return connection


def _lock_beside(path: str) -> str:
    return f"{os.path.dirname(path)}/lock"


def find_server(path: str) -> int | None:
    """The pid of the process that listens on the control socket `path`. None where no process does, or where this
    system does not tell its pid."""
    with _try_connect(path) as connection:
        return _find_pid(connection) if connection else None


def is_served(path: str) -> bool:
    """Whether a process listens on the control socket `path`."""
    with _try_connect(path) as connection:
        return connection is not None


@contextlib.contextmanager
def _try_connect(path: str) -> Iterator[socket.socket | None]:
    """A connection to the process that listens on the control socket, None where none does."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(SILENCE_SECONDS)
        try:
            connection.connect(path)
            reached = True
        except OSError:
            reached = False
        yield connection if reached else None


def _await_restored(path: str) -> bool:
    """Wait until a supervisor whose state directory was removed, moved or replaced has its control socket again.
    Returns False where there is no such supervisor, or where it ends meanwhile."""
    # Imported here: it costs 11 ms, and is needed only where something is wrong or no hub has been started yet.
    from lkhub.host.lost_supervisor import find_holder_of_removed, find_listener
    from lkhub.host.processes import is_alive

    lock = _lock_beside(path)
    supervisor = find_listener(path) or (None if os.path.exists(lock) else find_holder_of_removed(lock))
    if supervisor is None:
        return False
    deadline = time.monotonic() + RESTORE_SECONDS
    while not is_served(path):
        if not is_alive(supervisor):
            return False
        if time.monotonic() > deadline:
            named = f"the hub's supervisor (pid {supervisor.pid})"
            stops = f"`kill {supervisor.pid}` stops the hub, as `lkhub down` does; `lkhub up` starts it anew then"
            raise MachineError(
                f"the state directory was removed or replaced, and {named} does not write it again", hints=(stops,)
            )
        time.sleep(RESTORE_POLL_SECONDS)
    return True


def _write_request(request: Request[Any], accept: str) -> bytes:
    body, path = (dump_message(request).encode() if request.method == "POST" else b""), request.path
    if len(body) > MAX_REQUEST_BYTES:
        raise describe_too_long()
    if request.method == "GET" and (query := "&".join(f"{key}={value}" for key, value in pack(request).items())):
        path = f"{path}?{query}"
    head = (
        f"{request.method} {path} HTTP/1.0\r\n"
        f"Host: control\r\nAccept: {accept}\r\nContent-Type: {JSON}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def _skip_head(lines: Iterator[bytes], connection: socket.socket) -> Iterator[bytes]:
    """The lines of the body. The status code is not needed: the body of a failure says what failed."""
    first = next(lines, b"HTTP/")
    if not first.startswith(b"HTTP/"):
        # A supervisor that answers without HTTP does not understand `lkhub down` either.
        raise _describe_nonsense(_find_pid(connection))
    for line in lines:
        if not line.strip():
            break
    yield from lines


def _send_all(connection: socket.socket, line: bytes) -> None:
    try:
        connection.sendall(line)
    except TimeoutError:
        raise UnresponsiveError(_find_pid(connection)) from None


def _receive_lines(connection: socket.socket, path: str) -> Iterator[bytes]:
    """The lines that the supervisor sends. There is no deadline as long as the supervisor reacts."""
    connection.settimeout(SILENCE_SECONDS)
    rest = b""
    with contextlib.suppress(ConnectionError):
        while True:
            try:
                chunk = connection.recv(64 * 1024)
            except TimeoutError:
                _require_reaction(path, _find_pid(connection))
                continue
            if not chunk:
                break
            *lines, rest = (rest + chunk).split(b"\n")
            yield from lines
            if len(rest) > MAX_LINE_BYTES:
                raise _describe_nonsense(_find_pid(connection))
    if rest:
        yield rest


def _require_reaction(path: str, pid: int | None) -> None:
    """Raise UnresponsiveError where the supervisor does not even answer a ping."""
    if pid is not None and is_stopped(pid):
        raise UnresponsiveError(pid)
    # A supervisor that accepts no connections any more is ending. The first connection then ends with it.
    with contextlib.suppress(NotRunningError, ConnectionError), _connect(path) as connection:
        connection.settimeout(PING_SECONDS)
        try:
            connection.sendall(_write_request(Ping(), JSON))
            connection.recv(1)
        except TimeoutError:
            raise UnresponsiveError(pid) from None


def _find_pid(connection: socket.socket) -> int | None:
    """The pid of the process that listens at the other end; None where it has ended, or where this system does not
    tell."""
    if not hasattr(socket, "SO_PEERCRED"):
        return None
    layout = struct.Struct("3i")  # struct ucred: pid, uid, gid (unix(7))
    pid, uid, _ = layout.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, layout.size))
    # The process that began to listen may have ended, and left the socket to another one: its pid is anybody's then.
    return pid if pid and _find_user(pid) == uid else None


def _find_user(pid: int) -> int | None:
    """The effective user of a process; None where it has ended, or where this system does not tell."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text(errors="replace").splitlines()
    except OSError:
        return None
    [user] = [line.split()[2] for line in lines if line.startswith("Uid:")]  # real, effective (proc_pid_status(5))
    return int(user)


def is_stopped(pid: int) -> bool:
    """Whether a signal (SIGSTOP, Ctrl-Z, a debugger) keeps the process from going on."""
    # Imported here: it costs 11 ms, and is needed only where something is wrong.
    from lkhub.host.processes import read_state

    return read_state(pid) in ("stopped", "tracing-stop")


def _read_answer(request: Request[Answer], line: bytes, *, pid: int | None) -> Answer | Progress:
    """The answer in a line. Raises the HubError that the line reports, and a MachineError for a line that can't be
    read. `pid`: the supervisor's, if it does not understand `lkhub down` either."""
    kind = cast(type[Answer], request.answer)
    try:
        answer = parse_finite_json(line)
        version = answer.get("lkhub", "of an earlier version")
    except (ValueError, AttributeError):
        raise _describe_nonsense(pid) from None
    both = f"the running supervisor is lkhub {version}, and this is lkhub {__version__}"
    if has_other_version(answer) and not request.in_every_version:
        raise MachineError(f"{both}, which does not know its messages", hints=RESTART)
    try:
        if "error" in answer:
            raise unpack(FailureAnswer, answer).error.as_error()
        return unpack(Progress, answer) if "progress" in answer else unpack(kind, answer)
    except MissingKeyError as error:
        message = f"the running supervisor (lkhub {version}) does not tell {error.key!r}, and this lkhub is"
        raise MachineError(f"{message} {__version__}", hints=RESTART) from None
    except ValueError:
        if version != __version__:
            raise MachineError(f"{both}, which can't read its answer", hints=RESTART) from None
        raise _describe_nonsense(pid) from None


def _describe_nonsense(pid: int | None = None) -> HubError:
    """The error for an answer that can't be read. `pid`: the supervisor's, if it does not understand `lkhub down`
    either."""
    stops = f"`kill {pid}` stops the hub, as `lkhub down` does; `lkhub up` then starts it with this version"
    return MachineError("the running supervisor gave an answer that makes no sense", hints=(stops,) if pid else RESTART)


class NotRunningError(UnwellError):
    """No supervisor listens in this state directory. `busy`: a supervisor is starting or ending there."""

    def __init__(self, *, busy: bool = False) -> None:
        self.busy = busy
        if busy:
            super().__init__("the hub is starting or stopping", hints=("try again in a moment",))
        else:
            super().__init__("the hub is not running", hints=(START,))


class BrokenOffError(MachineError):
    """The supervisor ended the connection without an answer: it has ended, or opened its control socket again."""

    def __init__(self) -> None:
        gone = "the connection to the hub's supervisor ended before it answered"
        super().__init__(gone, hints=("`lkhub logs hub` shows what it did last",))


class UnresponsiveError(UnwellError):
    """A supervisor listens, but does not react. `pid` is None where its pid is not known."""

    def __init__(self, pid: int | None) -> None:
        if pid is None:
            super().__init__("the hub's supervisor does not answer", hints=("`lkhub logs hub` shows what it did last",))
            return
        # Imported here: it costs 11 ms, and is needed only where something is wrong.
        from lkhub.host.processes import read_state

        state = read_state(pid)
        hints = [f"`kill -9 {pid}`, then `lkhub up`: calls go on meanwhile, and the new supervisor takes them over"]
        if is_stopped(pid):
            hints.insert(0, f"`kill -CONT {pid}` lets it go on")
        doing = f", {state}" if state else ""
        super().__init__(f"the hub's supervisor does not answer (pid {pid}{doing})", hints=hints)
