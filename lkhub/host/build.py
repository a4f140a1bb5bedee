"""Runs the command that builds a web site: other people's code, within limits, and as a user of its own where that is
possible."""

import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import BinaryIO

from lkhub.errors import MachineError
from lkhub.host.environ import tool_environ
from lkhub.host.files import explain_os_errors
from lkhub.host.held_signal import hold_sigterm
from lkhub.host.limits import MOST_FILE_BYTES, prepare_limits
from lkhub.host.project import own_tree
from lkhub.host.rights import adopt_left, prepare_to_become, prepare_to_gain_nothing
from lkhub.host.session import end_descendants, end_user, list_descendants
from lkhub.wire.site_build import BUILD_SECONDS

# How many lines of the output are kept for the finding, and how much of one.
_KEPT_LINES = 8
_LINE_BYTES = 500

# A line that is longer is not shown.
_READ_BYTES = 64 * 1024

# A build that prints for ever must not fill the disk.
_MOST_OUTPUT = 10 << 20

# What a build needs to know of this machine. Anything else may be a secret.
_KEPT = ("PATH", "LANG", "LANGUAGE", "TZ", "LD_LIBRARY_PATH", "SSL_CERT_FILE", "SSL_CERT_DIR")

# How long the output of a build is read that has ended: another process may hold its pipe.
REST_SECONDS = 5.0

# What fails between fork and exec does not say why.
_CANT_START = (
    "it can't be started: as root, lkhub needs the capabilities CHOWN, SETUID, SETGID, SETPCAP and KILL for it, or to "
    "run as an ordinary user"
)


@dataclass(frozen=True)
class Ended:
    """How a build ended: `problem` is "" where it succeeded. `lines` are its last lines, without secrets."""

    problem: str
    lines: tuple[str, ...]


def run_build(
    command: str,
    folder: str,
    environ: Mapping[str, str],
    secrets: Mapping[str, str],
    output: BinaryIO,
    uid: int | None,
    seconds: float = BUILD_SECONDS,
    started: Callable[[int], None] = lambda _: None,
) -> Ended:
    """Run a command line to its end in `folder`. Its environment is `environ` with `secrets`, whose values are replaced
    by their names in what it prints to `output`. It runs as the user `uid`; None: as ours. `started` is called with its
    pid. When this returns or raises, none of its processes is left. Raises MachineError where it can't be started."""
    lines: list[str] = []
    with _started(command, folder, {**environ, **secrets}, uid) as process:
        started(process.pid)
        assert process.stdout is not None
        reader = threading.Thread(target=read_output, args=(process.stdout, secrets, output, lines), daemon=True)
        reader.start()
        try:
            code = process.wait(seconds)
            problem = "" if code == 0 else _describe(code)
        except subprocess.TimeoutExpired:
            problem = f"it had not ended after {seconds / 60:.0f} minutes, and was ended"
    reader.join(REST_SECONDS)
    return Ended(problem, tuple(lines))


def build_in(
    scratch: str,
    command: str,
    variables: Mapping[str, str],
    secrets: Mapping[str, str],
    output: BinaryIO,
    uid: int | None = None,
    started: Callable[[int], None] = lambda _: None,
) -> Ended:
    """As `run_build`, in `scratch/project`, which is the copy of the project, with a HOME and a TMPDIR beside it. Of
    this process' own variables the build gets those that it needs, and `variables` come last."""
    own = {"HOME": os.path.join(scratch, "home"), "TMPDIR": os.path.join(scratch, "tmp")}
    with explain_os_errors(scratch, "write"):
        for folder in own.values():
            os.mkdir(folder)
    if uid is not None:
        own_tree(scratch, uid, uid)
    ours = {name: value for name, value in tool_environ().items() if name in _KEPT or name.startswith("LC_")}
    environ = ours | own | dict(variables)
    return run_build(command, f"{scratch}/project", environ, secrets, output, uid, started=started)


def _describe(code: int) -> str:
    # A shell says by its exit code how the command in it ended.
    number = -code if code < 0 else code - 128
    if number == signal.SIGXFSZ:
        return f"it wrote a file of more than {MOST_FILE_BYTES >> 30} GiB"
    if number == signal.SIGKILL:
        return "it was killed by signal 9, which the kernel sends where memory is short"
    return f"it was killed by signal {-code}" if code < 0 else f"it ended with exit code {code}"


@contextlib.contextmanager
def _started(
    command: str, folder: str, environ: Mapping[str, str], uid: int | None
) -> Iterator[subprocess.Popen[bytes]]:
    """The command, in a session of its own. All that it has started ends with it, also where it has ended by itself."""
    limit = prepare_limits(uid)
    renounce = prepare_to_gain_nothing() if uid is None else prepare_to_become(uid)
    adopt_left()
    others = list_descendants()

    def prepare() -> None:
        limit()
        renounce()

    with hold_sigterm() as release:
        try:
            process = subprocess.Popen(
                ["/bin/sh", "-c", command],
                cwd=folder,
                env=environ,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                umask=0o022,
                preexec_fn=prepare,  # this process has one thread
            )
        except OSError as error:
            raise MachineError(f"it can't be started: {(error.strerror or str(error)).lower()}") from error
        except subprocess.SubprocessError as error:
            raise MachineError(_CANT_START) from error
        try:
            release()
            yield process
        finally:
            end_build(process.pid, uid)
            process.wait()
            end_descendants(others)


def end_build(leader: int | None, uid: int | None) -> None:
    """Kill the session of a build whose process `leader` has not been waited for, and all processes of its user, where
    it has one of its own."""
    if leader is not None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(leader, signal.SIGKILL)
    if uid is not None:
        end_user(uid)


def read_output(pipe: BinaryIO, secrets: Mapping[str, str], output: BinaryIO, lines: list[str]) -> None:
    """Read what a build prints to its end, and write it to `output` up to a limit, with the names of `secrets` in place
    of their values. `lines` are always the last ones."""
    written = 0
    with pipe, contextlib.suppress(OSError, ValueError):
        while line := pipe.readline(_READ_BYTES):
            if len(line) == _READ_BYTES and not line.endswith(b"\n"):
                # None of it is shown: a secret may be cut in two here.
                while (rest := pipe.readline(_READ_BYTES)) and not rest.endswith(b"\n"):
                    pass
                line = b"(more than can be shown)\n"
            elif not line.endswith(b"\n"):  # the last one, which would run into what follows it in the log
                line += b"\n"
            for name, value in secrets.items():
                line = line.replace(value.encode(), f"[{name}]".encode())
            lines.append(line[:_LINE_BYTES].decode(errors="replace").rstrip())
            del lines[:-_KEPT_LINES]
            written += len(line)
            if written <= _MOST_OUTPUT:
                output.write(line)
                output.flush()
