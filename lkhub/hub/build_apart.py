"""Gives the build of a web site out, to a process in a sandbox of its own (lkhub/hub/builder.py): the hub's end."""

import contextlib
import os
import select
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from lkhub.errors import MachineError
from lkhub.host.build import REST_SECONDS, read_output
from lkhub.host.build_socket import find_user, offered, receive, send
from lkhub.host.trees import opened
from lkhub.plan.service import name_unit
from lkhub.shown import quote
from lkhub.wire.message import dump_message, parse_message
from lkhub.wire.site_build import (
    BUILD_SECONDS,
    COME_SECONDS,
    COPY_SECONDS,
    MOST_TRIES,
    BuildRequest,
    BuildResult,
    SiteBuild,
    name_site_process,
)

# The other end ends a build that takes too long, and says so. `up` waits a little longer (lkhub/hub/builds.py).
ANSWER_SECONDS = COPY_SECONDS + BUILD_SECONDS + REST_SECONDS


class NotBegunError(MachineError):
    """Nothing has asked for the build."""


@dataclass(frozen=True)
class Built:
    """How a build ended: see `Ended` (lkhub/host/build.py). `folder` is the descriptor of the folder with `project` in
    it, which is of no use after a failure. The files that the build has made are of the user `uid`; None: anybody's."""

    problem: str
    lines: tuple[str, ...]
    folder: int = -1
    uid: int | None = None


@contextlib.contextmanager
def give_out(
    build: SiteBuild, project: str, request: BuildRequest, output: BinaryIO, come: float = COME_SECONDS
) -> Iterator[Built]:
    """Have a builder build the folder `project`, which it may read. What the build prints goes to `output` as in
    `run_build`. `come` is how many seconds the builder may take to ask for it. Raises MachineError."""
    with contextlib.ExitStack() as stack:
        offer = stack.enter_context(offered(build.given))
        deadline: float | None = None
        for _ in range(MOST_TRIES):
            builder = stack.enter_context(_accept(offer, build, come))
            # For all tries together: `up` would not wait for more.
            deadline = deadline or time.monotonic() + ANSWER_SECONDS
            lines: list[str] = []
            try:
                result, descriptors = _ask(builder, project, request, output, lines, deadline)
            except TimeoutError:
                why = f"has not answered within {ANSWER_SECONDS / 60:.0f} minutes"
                raise MachineError(f"{_name(build)} was given the build, and {why}") from None
            except OSError:
                builder.close()
                continue
            for descriptor in descriptors:
                stack.callback(os.close, descriptor)
            problem = quote(result.problem)
            if not problem and not descriptors:
                continue
            try:
                yield Built(problem, tuple(lines), descriptors[0] if descriptors else -1, find_user(builder))
            except MachineError as error:
                if _has_ended(builder):
                    raise MachineError(f"{_name(build)} has ended while its files were copied") from error
                raise
            return
        raise MachineError(f"{_name(build)} was given the build {MOST_TRIES} times, and has not answered")


def _accept(offer: socket.socket, build: SiteBuild, seconds: float) -> socket.socket:
    offer.settimeout(seconds)
    try:
        return offer.accept()[0]
    except TimeoutError:
        why = f"it was not begun, since {_name(build)} has not asked for it within {seconds:.0f} s"
        raise NotBegunError(why) from None


def _name(build: SiteBuild) -> str:
    """What asks for the build, for people."""
    name = name_site_process(build.name)
    return f"the service {name} of the compose file" if build.builder == "container" else f"the unit {name_unit(name)}"


def _has_ended(builder: socket.socket) -> bool:
    """Whether the other end, which waits until its files are copied, has closed the connection."""
    poll = select.poll()
    poll.register(builder, select.POLLRDHUP)
    return bool(poll.poll(0))


def _ask(
    builder: socket.socket,
    project: str,
    request: BuildRequest,
    output: BinaryIO,
    lines: list[str],
    deadline: float,
) -> tuple[BuildResult, list[int]]:
    """Raises OSError where the builder ends before it answers, and for what is no answer; TimeoutError where there is
    none in time."""
    read, write = os.pipe()
    pipe = os.fdopen(read, "rb")
    try:
        with opened(project) as folder:
            builder.settimeout(max(deadline - time.monotonic(), 0.1))  # 0 would not wait at all
            send(builder, dump_message(request).encode(), (folder, write))
    finally:
        os.close(write)
    reader = threading.Thread(target=read_output, args=(pipe, request.secrets, output, lines), daemon=True)
    reader.start()
    message, descriptors = receive(builder, 1, deadline - time.monotonic())
    try:
        result = parse_message(BuildResult, message)
    except ValueError as error:
        for descriptor in descriptors:
            os.close(descriptor)
        raise ConnectionError("this is no answer") from error
    reader.join(REST_SECONDS)
    return result, descriptors
