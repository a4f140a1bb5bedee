"""Makes the builds of web sites that a hub gives out: what runs in the sandbox, which has nothing else of the hub's."""

import contextlib
import os
import select
import signal
import socket
import tempfile
import threading
import time
from collections.abc import Iterator

from lkhub.errors import MachineError
from lkhub.host.build import build_in
from lkhub.host.build_socket import connect, receive, send
from lkhub.host.files import explain_os_errors
from lkhub.host.project import copy_opened
from lkhub.host.service_manager import tell_manager
from lkhub.host.trees import let_all_read, remove_tree
from lkhub.wire.message import dump_message, parse_message
from lkhub.wire.site_build import BuildRequest, BuildResult

_POLL_SECONDS = 0.5


def run_next_build(given: str, scratch: str) -> None:
    """Wait until the hub gives a build out at its socket in the folder `given`, and make it in the folder `scratch`,
    which is for this alone, and emptied first. Returns when the hub has what was built: this process has to end then,
    with all that other people's code may have left in its unit or its container. To be called in the main thread, where
    SIGTERM ends the program."""
    for entry in os.scandir(scratch):
        if entry.stat(follow_symlinks=False).st_uid == os.geteuid():
            remove_tree(scratch, entry.name)
    tell_manager(READY=1)
    hub = _wait_for_hub(given)
    if hub is None:
        return
    with hub, contextlib.suppress(ConnectionError):  # the hub was stopped meanwhile
        message, (project, output) = receive(hub, 2)
        request = parse_message(BuildRequest, message)
        try:
            with explain_os_errors(scratch, "write"):
                folder = tempfile.mkdtemp(dir=scratch)
        except MachineError as error:
            for descriptor in (project, output):
                os.close(descriptor)
            send(hub, dump_message(BuildResult(error.message)).encode(), ())
            return
        with _opened(folder) as handle:
            problem = _build(hub, request, project, output, folder)
            _let_hub_read(f"{folder}/project", request.output)
            send(hub, dump_message(BuildResult(problem)).encode(), () if problem else (handle,))
            hub.recv(1)  # until the hub has copied the files


def _wait_for_hub(given: str) -> socket.socket | None:
    """None where the folder is no longer the hub's: this process is started anew with that one."""
    while (hub := connect(given)) is None:
        tell_manager(WATCHDOG=1)
        time.sleep(_POLL_SECONDS)
        if not os.path.isdir(given) or os.stat(given).st_nlink == 0:
            return None
    return hub


def _build(hub: socket.socket, request: BuildRequest, project: int, output: int, folder: str) -> str:
    """Why the build failed, "" where it succeeded."""
    over = threading.Event()

    def watch(_: int) -> None:
        # The process is started by now: Python must not fork with a second thread.
        threading.Thread(target=_end_with, args=(hub, over), daemon=True).start()

    with os.fdopen(output, "wb", buffering=0) as lines:
        try:
            copy_opened(project, f"{folder}/project")
            os.close(project)
            return build_in(folder, request.command, request.variables, request.secrets, lines, started=watch).problem
        except MachineError as error:
            return error.message
        finally:
            over.set()


def _end_with(hub: socket.socket, over: threading.Event) -> None:
    """End this program, and with it the build, when the hub has closed the connection: it is stopped, or asks anew.
    Until then systemd is told that the program goes on: a build is of the same user, and can stop it by a signal."""
    poll = select.poll()
    poll.register(hub, 0)
    while not poll.poll(_POLL_SECONDS * 1000):
        tell_manager(WATCHDOG=1)
    if not over.is_set():
        os.kill(os.getpid(), signal.SIGTERM)


@contextlib.contextmanager
def _opened(folder: str) -> Iterator[int]:
    """The folder of a build, which the hub may enter. The build may rename it, and not what is opened."""
    os.chmod(folder, 0o755)  # noqa: S103 (nothing else reaches it)
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield handle
    finally:
        os.close(handle)


def _let_hub_read(project: str, output: str) -> None:
    """The hub is another user, and says what is missing."""
    with contextlib.suppress(OSError):
        path = project
        for step in ("", *output.split("/")):
            path = os.path.join(path, step)
            if not os.path.islink(path):
                os.chmod(path, 0o755)  # noqa: S103
        let_all_read(path)
