"""`lkhub up --detach`: the supervisor in a process of its own, apart from the terminal."""

import contextlib
import os
import select
import sys
import time
from typing import NoReturn

import anyio

from lkhub.cli.shared.exits import show_bug
from lkhub.cli.shared.foreground import describe_start
from lkhub.cli.shared.progress import Progress
from lkhub.cli.shared.show import err
from lkhub.errors import EXIT_BUG, EXIT_OK, START, HubError, MachineError, UnwellError
from lkhub.host.control import SILENCE_SECONDS, UnresponsiveError, is_stopped
from lkhub.host.files import FILE_MODE, ensure_private_dir, explain_os_errors
from lkhub.prepare.hub import PreparedHub
from lkhub.supervise.run import calmly, run_hub
from lkhub.supervise.supervisor import Supervisor
from lkhub.wire.control import Outcome, Started
from lkhub.wire.failure import Failure, FailureAnswer, parse_answer
from lkhub.wire.message import dump_message

# A process that ends closes its pipe a moment before its parent can learn how it ended.
END_SECONDS = 2.0
END_LOOK_SECONDS = 0.01


def start_detached(hub: PreparedHub, progress: Progress) -> None:
    """Start the supervisor and return when the hub is up. Raises the HubError with which it ended.

    This forks instead of starting a new program: all modules are loaded already, which saves a third of a second.
    """
    paths = hub.plan.paths
    ensure_private_dir(paths.logs)
    path = paths.log("hub")
    with explain_os_errors(path, "write"):
        log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, FILE_MODE)
    # The child's output is the log's.
    progress.clear()
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        reader, writer = os.pipe()
        pid = os.fork()
    except OSError as error:  # a limit of processes or of descriptors
        raise MachineError(f"can't start the hub's supervisor: {(error.strerror or str(error)).lower()}") from error
    if pid == 0:
        os.close(reader)
        _leave_caller(log)
        _run(hub, writer)
    os.close(log)
    os.close(writer)
    progress.tell(describe_start(hub))
    with os.fdopen(reader) as answer:
        _await_answer(reader, pid)
        _raise_failure(answer.read(), pid, path)


def _await_answer(reader: int, pid: int) -> None:
    """Return when the supervisor has reported its start, or has ended. Raises UnresponsiveError where a signal has
    stopped it, possibly for ever."""
    while not select.select([reader], [], [], SILENCE_SECONDS)[0]:
        if is_stopped(pid):
            raise UnresponsiveError(pid)


def _leave_caller(log: int) -> None:
    """Be in a session of our own, with all output in the log, and close the caller's files: a hub would hold the lock
    of a script for as long as it is up, and keep the reader of a pipe waiting."""
    os.setsid()
    _close_inherited()
    nothing = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((nothing, 0), (log, 1), (log, 2)):
        os.dup2(source, target)
    os.close(nothing)
    os.close(log)


def _close_inherited() -> None:
    # What this program has opened itself is not inheritable (PEP 446), what it was started with is.
    with contextlib.suppress(OSError):  # where there is no /dev/fd
        for fd in map(int, os.listdir("/dev/fd")):
            with contextlib.suppress(OSError):  # the descriptor of the listing itself is closed by now
                if fd > 2 and os.get_inheritable(fd):
                    os.close(fd)


def _run(hub: PreparedHub, writer: int) -> NoReturn:
    """The supervisor's process: report the start once through `writer`, and run until the hub is stopped."""

    def write(text: str) -> None:
        err.print(f"{time.strftime('%Y-%m-%dT%H:%M:%S%z')} {text}")

    code, is_up = EXIT_OK, False
    say = calmly(write)  # the command gets its answer, though no log can be written

    async def ready(_: Supervisor, outcome: Outcome | HubError) -> None:
        nonlocal is_up
        is_up = True
        say(outcome.message if isinstance(outcome, HubError) else "up")
        with contextlib.suppress(OSError):  # the command has ended; adopted processes may carry calls
            os.write(writer, dump_message(Started()).encode())
        os.close(writer)

    try:
        anyio.run(run_hub, hub, say, ready)
        if not is_up:
            raise UnwellError("the hub was stopped before it was up", hints=(START,))
    except HubError as error:
        code = error.exit_code
        say(error.message)
        with contextlib.suppress(OSError):  # the hub was up, and the command no longer waits for the report
            os.write(writer, dump_message(FailureAnswer(Failure.of(error))).encode())
    except BaseException as error:
        code = EXIT_BUG
        show_bug(error)
    finally:
        # Not a return: the callers on the stack belong to the parent process.
        sys.stderr.flush()
        os._exit(code)


def _raise_failure(answer: str, pid: int, log: str) -> None:
    if not answer:
        if number := _find_signal(pid):  # the log can't show why
            killed = f"the hub's supervisor was killed by signal {number} before the hub was up"
            raise MachineError(killed, hints=("`lkhub up` tries again, and takes over what has been started",))
        raise MachineError("the hub ended before it was up", hints=(f"the end of {log} shows why",))
    if isinstance(report := parse_answer(Started, answer), Failure):
        raise report.as_error()


def _find_signal(pid: int) -> int:
    """The signal that has ended our child; 0 if none has, or if the child still runs."""
    deadline = time.monotonic() + END_SECONDS
    while time.monotonic() < deadline:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
        time.sleep(END_LOOK_SECONDS)
    return 0
