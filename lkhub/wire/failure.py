"""The part of a message that says that a request failed."""

from dataclasses import dataclass

from lkhub.errors import HubError, InputError, MachineError, UnwellError

_KINDS = {kind.exit_code: kind for kind in (UnwellError, InputError, MachineError)}


@dataclass(frozen=True)
class Failure:
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


@dataclass(frozen=True)
class FailureAnswer:
    """The answer to a request that failed. `lkhub` is the version of the supervisor's lkhub; "" from the engine, which
    has no version of its own."""

    error: Failure
    lkhub: str = ""
