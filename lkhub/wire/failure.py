"""How a message says that something failed."""

from dataclasses import dataclass

from lkhub.errors import HubError, InputError, MachineError, UnwellError

_KINDS = {kind.exit_code: kind for kind in (UnwellError, InputError, MachineError)}


@dataclass(frozen=True)
class Failure:
    """Why, for people. `code` is the reason code, "" where there is none. The supervisor says with which of lkhub's
    exit codes the command ends."""

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
    """An answer that is a failure, of a process with this version of lkhub; "" of the engine's, which has none."""

    error: Failure
    lkhub: str = ""
