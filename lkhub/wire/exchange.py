"""What all requests to the supervisor have in common, and `Ping`, which every version knows.

The other requests are in `lkhub.wire.control`.
"""

from typing import ClassVar, Generic, TypeVar

from msgspec import Struct

from lkhub import __version__
from lkhub.errors import InputError

Answer = TypeVar("Answer")

# A request has a path and the environment variables that the spec refers to. A variable may contain a key file, which
# may be as long as any file that a spec names (lkhub.host.files.MAX_INPUT_BYTES).
MAX_REQUEST_BYTES = 1024 * 1024

JSON = "application/json"
JSON_LINES = "application/x-ndjson"

RESTART = ("`lkhub down`, then `lkhub up`, starts the hub with this version",)


class Request(Struct, Generic[Answer], frozen=True):
    """A request. A subclass defines its HTTP method and path, and the class of the answer. `in_every_version`: request
    and answer are the same in every version of the messages."""

    method: ClassVar[str] = "POST"
    path: ClassVar[str]
    in_every_version: ClassVar[bool] = False
    answer: ClassVar[type]


class Progress(Struct, frozen=True):
    """One line for the user about what the supervisor is doing."""

    progress: str


class Pong(Struct, frozen=True):
    """The supervisor runs."""


class Ping(Request[Pong], frozen=True):
    """Whether the supervisor answers. It does nothing else."""

    method = "GET"
    path = "/ping"
    answer = Pong
    in_every_version = True


def describe_too_long() -> InputError:
    """The error for a request over MAX_REQUEST_BYTES."""
    return InputError(
        f"the variables that the spec refers to are too long: the supervisor takes {MAX_REQUEST_BYTES:,} bytes in all",
        hints=("put what is long into a file, and name it with {file: PATH}",),
    )


def describe_unknown(what: str) -> InputError:
    """The error for a request that this version does not know."""
    return InputError(f"the running supervisor (lkhub {__version__}) can't do that: {what}", hints=RESTART)


def describe_other_version() -> InputError:
    """The error of a request whose messages are of another version."""
    return InputError(
        f"the running supervisor is lkhub {__version__}, which does not know the messages of this lkhub", hints=RESTART
    )


def describe_missing(key: str) -> InputError:
    """The error for a request that lacks a key."""
    return InputError(f"the running supervisor (lkhub {__version__}) needs to be told {key!r}", hints=RESTART)
