"""`lkhub upgrade-try`: what the lkhub that runs asks a new one before it puts it in place: a hub of the new one's, on
ports that are free, and a call through it. Nothing of the running hub is touched.

People don't type it, so it is not among the commands. The answer is a message (`lkhub.wire.upgrade`). It ends when its
stdin does, so that nothing is left where the command that asks is killed.
"""

import os
import signal
import socket
import sys
import tempfile
import threading
from contextlib import ExitStack

import anyio
import anyio.to_thread

from lkhub.checks.surroundings import UNSEEN
from lkhub.errors import EXIT_OK, HubError
from lkhub.host.files import write_private
from lkhub.hub.status import Verified
from lkhub.hub.verify import verify_hub
from lkhub.prepare.hub import PreparedHub, prepare_hub
from lkhub.supervise.run import run_hub
from lkhub.supervise.supervisor import Supervisor
from lkhub.wire.control import Outcome
from lkhub.wire.failure import Failure, FailureAnswer
from lkhub.wire.message import dump_message
from lkhub.wire.upgrade import Tried

# One path is enough: it has media, signalling and the service in it. The others need ports of the operator's spec.
_SPEC = """\
name: upgrade-try
media: {{signal: {signal}, udp: {udp}, tcp: off}}
turn: {{enabled: false}}
web: {web}
"""


def upgrade_try() -> None:
    """Bring up a hub for this machine alone, call through it, and end it."""
    threading.Thread(target=_end_with_stdin, daemon=True).start()
    code = EXIT_OK
    try:
        answer: Tried | FailureAnswer = Tried(_try())
    except HubError as error:
        answer, code = FailureAnswer(Failure.of(error)), error.exit_code
    print(dump_message(answer), end="")
    sys.stdout.flush()
    # The thread waits for an end that need not come.
    os._exit(code)


def _end_with_stdin() -> None:
    while os.read(0, 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


def _try() -> str:
    with tempfile.TemporaryDirectory(prefix="lkhub-try-") as folder:
        spec, state = f"{folder}/hub.yaml", f"{folder}/state"
        signal_port, web, udp = find_free_ports()
        write_private(spec, _SPEC.format(signal=signal_port, udp=udp, web=web))
        hub = prepare_hub(spec, state, {})
        problems: list[str] = []
        anyio.run(run_hub, hub, _say, _make_ready(hub, problems))
        return problems[0] if problems else "it was ended before its call was over"


def _make_ready(hub: PreparedHub, problems: list[str]):  # type: ignore[no-untyped-def]
    async def ready(supervisor: Supervisor, _: Outcome | HubError) -> None:
        try:
            verified = await anyio.to_thread.run_sync(verify_hub, hub.plan.paths, UNSEEN, abandon_on_cancel=True)
            problems.append(describe_failure(verified))
        except HubError as error:
            problems.append(error.message)
        finally:
            supervisor.tasks.cancel_scope.cancel()

    return ready


def describe_failure(verified: Verified) -> str:
    """Why the calls of a verification failed, "" where they got through."""
    failed = [f"a call through {path.path} failed: {path.detail}" for path in verified.paths if path.ok is not True]
    failed += [f"its {part.what} failed: {part.detail or part.reason}" for part in verified.web if part.ok is False]
    return "; ".join(failed) if failed else "" if verified.paths else "no path was tried"


def _say(text: str) -> None:
    print(text, file=sys.stderr)


def find_free_ports() -> tuple[int, int, int]:
    """Two TCP ports and a UDP port of loopback that are free at this moment."""
    with ExitStack() as stack:
        found = []
        for kind in (socket.SOCK_STREAM, socket.SOCK_STREAM, socket.SOCK_DGRAM):
            opened = stack.enter_context(socket.socket(socket.AF_INET, kind))
            opened.bind(("127.0.0.1", 0))
            found.append(opened.getsockname()[1])
        return found[0], found[1], found[2]
