"""Errors that reach the user; each knows the exit code it ends with.

HubError
├── UnwellError    1   what was asked about is not well
├── InputError     2   what was given is wrong
│   └── SpecError      every fault of a spec, all at once (lkhub.findings.fault)
└── MachineError   3   this machine prevents it

Anything else that escapes is a bug in lkhub: exit code 70.
"""

import traceback
from collections.abc import Sequence
from pathlib import PurePath

EXIT_OK = 0
EXIT_UNWELL = 1
EXIT_INPUT = 2
EXIT_MACHINE = 3
EXIT_BUG = 70

READ_ONLY = "read-only"
"""The reason code of a file that can't be written because its file system is read-only."""


START = "`lkhub up` starts it"
ANOTHER = "if another hub is meant, name its state directory: --state DIR, or LKHUB_STATE"
"""The hints of an error about a hub that is not up."""

OTHER_USER = "the hub belongs to another user: type the command as that user, or as root"
"""The hint of an error about a hub that this user may not reach."""


class HubError(Exception):
    """A failure, with what the user can do about it.

    `hints` are what to do about it, one sentence or command each, printed after the message. `code` is the reason code,
    for code that depends on the reason; "" where none does.
    """

    exit_code = EXIT_UNWELL

    def __init__(self, message: str, *, hints: Sequence[str] = (), code: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hints = tuple(hints)
        self.code = code

    def as_json(self) -> dict[str, object] | None:
        """The JSON for a script that asked for it, on stdout; None where the message is enough."""
        return None


class UnwellError(HubError):
    """What was asked about is not well."""

    exit_code = EXIT_UNWELL


class InputError(HubError):
    """What was given is wrong: arguments, files, references."""

    exit_code = EXIT_INPUT


class MachineError(HubError):
    """This machine prevents it: a port is taken, a permission is missing, the disk is full."""

    exit_code = EXIT_MACHINE


def describe_error(error: BaseException) -> str:
    """What went wrong, on one line and without the text of an error that is not ours: that may hold a secret."""
    match error:
        case HubError():
            return error.message
        case BaseExceptionGroup():
            return "; ".join(dict.fromkeys(describe_error(each) for each in error.exceptions))
        case OSError() if error.strerror:
            name = str(error.filename or "")
            what = f"{error.strerror}: {name if name.isprintable() else repr(name)}" if name else error.strerror
            return f"{type(error).__name__} ({what})"
    frames = traceback.extract_tb(error.__traceback__)
    where = f" ({PurePath(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}{where}"


def is_refusal(error: BaseException) -> bool:
    """Whether the machine refused something, such as a file or a free descriptor. For a group: whether that is true of
    every error in it."""
    if isinstance(error, BaseExceptionGroup):
        return all(is_refusal(each) for each in error.exceptions)
    return isinstance(error, OSError)


def flatten(group: BaseExceptionGroup[BaseException]) -> tuple[list[HubError], list[BaseException]]:
    """Every error of a group and of the groups in it: first those that the user can be told, then the rest."""
    errors: list[HubError] = []
    rest: list[BaseException] = []
    for each in group.exceptions:
        if isinstance(each, BaseExceptionGroup):
            inner, others = flatten(each)
            errors += inner
            rest += others
        elif isinstance(each, HubError):
            errors.append(each)
        else:
            rest.append(each)
    return errors, rest
