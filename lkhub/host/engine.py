"""The engine program: its path, its build, and its one-shot subcommands."""

import os
import subprocess
from pathlib import Path
from typing import TypeVar

import anyio

from lkhub.errors import MachineError, describe_error
from lkhub.host.environ import tool_environ
from lkhub.wire.engine import ConfigAnswer, ConfigMessage
from lkhub.wire.failure import Failure, parse_answer

T = TypeVar("T")

# check-config parses a file and exits; a machine under load still does that well within this.
ONE_SHOT_SECONDS = 20

_BIN = Path(__file__).parent.parent / "bin" / "lkhub-engine"


def bundled_engine() -> str:
    """Path of the engine that came with this package. It may be missing: see `require_engine`."""
    return str(_BIN)


def require_engine(path: str) -> None:
    """Raise MachineError where the engine is not there or can't be run."""
    if not is_program(path):
        raise MachineError(
            f"the engine {path} is missing",
            hints=("in a source tree, `scripts/up` builds it", "a wheel from `pip wheel .` carries it"),
        )


def is_program(path: str) -> bool:
    """Whether `path` is a file that this user can run."""
    try:
        return os.path.isfile(path) and os.access(path, os.X_OK)
    except ValueError:  # a zero byte, or half a surrogate pair
        return False


def engine_build(path: str) -> str:
    """A text that changes when the engine program changes. "" where the engine is missing."""
    try:
        status = os.stat(path)
    except OSError:
        return ""
    return f"{status.st_size}:{status.st_mtime_ns}"


def check_config(engine: str, text: str) -> tuple[ConfigMessage, ...]:
    """What livekit-server would refuse in this livekit.yaml; () where it would start with this file."""
    require_engine(engine)
    return _run_one_shot(ConfigAnswer, [engine, "check-config", "-"], text).messages


async def ask_one_shot(argv: list[str], text: str, seconds: float) -> str:
    """The output of a subcommand for the input `text`, whatever its exit code. Cancelling this ends the subcommand."""
    require_engine(argv[0])
    try:
        with anyio.fail_after(seconds):
            done = await anyio.run_process(
                argv, env=tool_environ(), input=text.encode(), stderr=subprocess.DEVNULL, check=False
            )
    except TimeoutError:
        raise MachineError(f"{argv[0]} {argv[1]} did not answer within {seconds:g} s") from None
    except (OSError, ExceptionGroup) as error:  # a group where the engine ends before it has read everything
        raise MachineError(f"{argv[0]} {argv[1]} did not answer: {describe_error(error)}") from error
    return done.stdout.decode(errors="replace")


def _run_one_shot(kind: type[T], argv: list[str], text: str) -> T:
    try:
        done = subprocess.run(
            argv, env=tool_environ(), input=text, capture_output=True, text=True, timeout=ONE_SHOT_SECONDS
        )
        answer = parse_answer(kind, done.stdout)
    except (OSError, subprocess.TimeoutExpired, ValueError) as error:
        raise MachineError(f"{argv[0]} {argv[1]} did not answer: {error}") from error
    if isinstance(answer, Failure):
        raise MachineError(f"{argv[0]} {argv[1]} failed: {answer.message}")
    return answer
