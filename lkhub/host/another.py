"""Another lkhub of this machine, by the folder of its copy: its commands, and what it answers."""

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from packaging.version import InvalidVersion, Version

from lkhub.errors import MachineError
from lkhub.firewall.table import Command
from lkhub.host.commands import Done, run_command
from lkhub.host.environ import tool_environ
from lkhub.host.system_user import find_ids
from lkhub.source.json_text import parse_finite_json
from lkhub.wire.failure import Failure, parse_answer
from lkhub.wire.upgrade import Look, Tried

T = TypeVar("T")

TRIES = "lkhub-try-"
"""How the names of the temporary folders of `lkhub upgrade-try` begin."""

# The folder of temporary files that every user has. TMPDIR may name one of this user's own (libpam-tmpdir).
TEMPORARY = "/tmp"  # noqa: S108

# A store of tens of megabytes is copied and migrated, and a hub started and called.
ASK_SECONDS = 180.0

# For a hub that is being tried to end in order.
END_SECONDS = 15.0

# For one that was left by a killed command. One that hangs must not keep an upgrade out.
DOWN_SECONDS = 30.0

# A status waits for a supervisor that is starting, and a verification for its calls.
STATUS_SECONDS = 120.0


class AnotherLkhub:
    """The lkhub in a folder. All methods raise MachineError where it can't be run."""

    def __init__(self, folder: str) -> None:
        self._program = f"{folder}/bin/lkhub"

    def ask_version(self) -> Version:
        done = run_command(Command((self._program, "--version")))
        try:
            return Version(done.out.split()[-1])
        except (IndexError, InvalidVersion):
            raise MachineError(f"{self._program} does not say its version: {done.said}") from None

    def ask_status(self, state: str) -> Mapping[str, Any] | None:  # another version's document
        """The document of `status --json`; None where the hub is starting or stopping."""
        return self._read(self.run("status", "--json", "--state", state))

    def verify(self, state: str) -> None:
        """Have it call the hub. `ask_status` tells what came of that."""
        self.run("verify", "--json", "--state", state)

    def run(self, *arguments: str) -> Done:
        """Run one of its commands that need no variable of ours."""
        return run_command(Command((self._program, *arguments)), STATUS_SECONDS)

    def _read(self, done: Done) -> Mapping[str, Any] | None:  # as ask_status
        try:
            document = parse_finite_json(done.out)
        except ValueError:
            return None
        return document if isinstance(document, dict) else None

    def look(self, environ: Mapping[str, str]) -> Look:
        """What it would change about the service of this user. `environ` may have variables that the spec refers to.
        Raises the HubError because of which it does not take this hub."""
        done = run_command(Command((self._program, "upgrade-look")), ASK_SECONDS, environ=environ)
        return self._answer(Look, done, "refuses this hub")

    def end_tries(self, user: str) -> None:
        """End what a `try_out` as `user` has left that was killed, and remove its files. What does not end is left."""
        uid, temporary = find_ids(user)[0] if user else os.geteuid(), TEMPORARY if user else tempfile.gettempdir()
        for path in Path(temporary).glob(f"{TRIES}*"):
            with contextlib.suppress(OSError, MachineError):
                if path.lstat().st_uid == uid and path.is_dir():
                    # With that user's rights: what is in there may name any process.
                    self._run_as(user, "down", "--now", "--state", f"{path}/state", seconds=DOWN_SECONDS)
                    shutil.rmtree(path, ignore_errors=True)

    def try_out(self, user: str) -> None:
        """Have it bring up a hub, and call it, as `user` ("": as the user who runs). Raises MachineError where that
        fails. It ends when this process does."""
        done = self._run_as(user, "upgrade-try", seconds=ASK_SECONDS)
        tried = self._answer(Tried, done, "brings up no hub")
        if tried.problem:
            raise MachineError(f"lkhub {self.ask_version()} does not carry a call: {tried.problem}")

    def _run_as(self, user: str, *arguments: str, seconds: float) -> Done:
        """Run one of its commands as another user, "" for this one, from whose own environment it needs nothing."""
        kept, given = os.pipe()
        try:
            uid, gid = find_ids(user) if user else (None, None)
            process = subprocess.Popen(
                [self._program, *arguments],
                # Its other end is ours, and closed however this process ends.
                stdin=kept,
                env={**tool_environ(), "HOME": "/", "TMPDIR": TEMPORARY} if user else tool_environ(),
                cwd="/",
                user=uid,
                group=gid,
                extra_groups=[] if user else None,
                # Without our terminal, into which another process of that user could type by this one.
                start_new_session=True,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                errors="replace",
            )
            with process:
                try:
                    out, err = process.communicate(timeout=seconds)
                except BaseException:
                    # Ctrl-C, for one. The processes of a hub that it has brought up would outlive its kill.
                    os.close(given)
                    given = -1
                    with contextlib.suppress(subprocess.TimeoutExpired):
                        process.communicate(timeout=END_SECONDS)
                    raise
                finally:
                    process.kill()
        except (OSError, subprocess.TimeoutExpired) as error:
            raise MachineError(f"{self._program} did not run to its end: {error}") from error
        finally:
            os.close(kept)
            if given >= 0:
                os.close(given)
        return Done(process.returncode, out, err)

    def _answer(self, kind: type[T], done: Done, failure: str) -> T:
        try:
            answer = parse_answer(kind, done.out)
        except ValueError:
            raise MachineError(
                f"{self._program} can't be asked: {done.said}",
                hints=("a version without `lkhub upgrade` is put in place by its own `lkhub install`",),
            ) from None
        if isinstance(answer, Failure):
            error = answer.as_error()
            raise type(error)(f"lkhub {self.ask_version()} {failure}: {error.message}", hints=error.hints)
        return answer

    def install(self, environ: Mapping[str, str], *, now: bool, held: int) -> None:
        """Have it make itself the lkhub that the service runs. `environ` may have variables that the spec refers to.
        `held` is the descriptor of a lock that it holds until it ends. Raises MachineError with what it said where it
        does not."""
        argv = [self._program, "install", *(["--now"] if now else [])]
        try:
            done = subprocess.run(
                argv,
                stdin=subprocess.DEVNULL,
                env={**tool_environ(), **environ},
                cwd="/",
                capture_output=True,
                text=True,
                errors="replace",
                pass_fds=(held,),
                check=False,
            )
        except OSError as error:
            raise MachineError(f"{self._program} can't be run: {error}") from error
        # 1: it is in place, and something about the hub is not well, which the caller judges.
        if done.returncode not in (0, 1):
            lines = [line for line in done.stderr.splitlines() if line.strip() and not line.endswith(" …")]
            hints = tuple(line.split("hint: ", 1)[1] for line in lines if line.lstrip().startswith("hint: "))
            said = "\n".join(line.removeprefix("error: ") for line in lines if not line.lstrip().startswith("hint: "))
            raise MachineError(said or f"`{' '.join(argv)}` ended with exit code {done.returncode}", hints=hints)
