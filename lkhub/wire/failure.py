"""The part of a message that says that a request failed."""

from typing import TypeVar

from msgspec import Struct

from lkhub.errors import HubError, InputError, MachineError, UnwellError
from lkhub.source.json_text import parse_finite_json
from lkhub.wire.message import unpack_message

T = TypeVar("T")

_KINDS = {kind.exit_code: kind for kind in (UnwellError, InputError, MachineError)}


class Failure(Struct, frozen=True):
    """Why a request failed: `message` and `hints` are for the user. `code` is the reason code, or "". The
    supervisor adds the exit code with which the command is to end."""

    message: str
    hints: tuple[str, ...] = ()
    exit_code: int = UnwellError.exit_code
    code: str = ""

    @staticmethod
    def of(error: HubError) -> "Failure":
        return Failure(error.message, error.hints, error.exit_code, error.code)

    def as_error(self) -> HubError:
        return _KINDS.get(self.exit_code, UnwellError)(self.message, hints=self.hints, code=self.code)


class FailureAnswer(Struct, frozen=True):
    """The answer to a request that failed. `lkhub` is the version of the supervisor's lkhub; "" from the engine, which
    has no version of its own."""

    error: Failure
    lkhub: str = ""


def parse_answer(kind: type[T], text: str) -> T | Failure:
    """What a one-shot of the engine answers: a Failure where it has failed. Raises ValueError for anything else."""
    answer = parse_finite_json(text)
    if isinstance(answer, dict) and "error" in answer:
        return unpack_message(FailureAnswer, answer).error
    return unpack_message(kind, answer)
