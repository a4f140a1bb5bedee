"""How a command asks the supervisor, and the request that every version knows.

Apart from what is asked (`lkhub.wire.control`): commands that only see whether a supervisor is there start 14 ms sooner
without the classes of its answers.
"""

from dataclasses import dataclass
from typing import ClassVar, Generic, TypeVar

from lkhub import __version__
from lkhub.errors import InputError

Answer = TypeVar("Answer")

# A request names a path and has the variables that the spec refers to. A key file in one of them may be as long as
# any file that a spec names (lkhub.host.files.MAX_INPUT_BYTES).
MAX_REQUEST_BYTES = 1024 * 1024

JSON = "application/json"
JSON_LINES = "application/x-ndjson"

RESTART = ("`lkhub down`, then `lkhub up`, starts the hub with this version",)


@dataclass(frozen=True)
class Request(Generic[Answer]):
    """A request; a subclass says how it is asked for and of which class the answer is."""

    method: ClassVar[str] = "POST"
    path: ClassVar[str]
    answer: ClassVar[type]


@dataclass(frozen=True)
class Progress:
    """What the supervisor does meanwhile, one line for people."""

    progress: str


@dataclass(frozen=True)
class Pong:
    """The supervisor is there."""


@dataclass(frozen=True)
class Ping(Request[Pong]):
    """Whether the supervisor answers at all. It does nothing for it."""

    method = "GET"
    path = "/ping"
    answer = Pong


def describe_too_long() -> InputError:
    """The error of a request over MAX_REQUEST_BYTES."""
    return InputError(
        f"the variables that the spec refers to are too long: the supervisor takes {MAX_REQUEST_BYTES:,} bytes in all",
        hints=("put what is long into a file, and name it with {file: PATH}",),
    )


def describe_unknown(what: str) -> InputError:
    """The error of a request that this version does not know."""
    return InputError(f"the running supervisor (lkhub {__version__}) can't do that: {what}", hints=RESTART)


def describe_missing(key: str) -> InputError:
    """The error of a request that lacks a key."""
    return InputError(f"the running supervisor (lkhub {__version__}) needs to be told {key!r}", hints=RESTART)
