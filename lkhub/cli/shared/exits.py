"""The sole place where errors become exit codes."""

import errno
import gc
import os
import sys
import traceback
from collections.abc import Callable
from typing import NoReturn

from lkhub.cli.shared.output import drop_output, notice_lost_terminals
from lkhub.errors import EXIT_BUG, EXIT_MACHINE, HubError, MachineError, flatten

# A file that could not be written for these reasons is named by another error. What is left is the output.
_FULL = (errno.ENOSPC, errno.EDQUOT)


def run(command: Callable[[], object]) -> None:
    """Run a command line and exit."""
    # What loads modules makes objects that stay, among which the collector finds nothing: 20 of the 400 ms of `up`.
    gc.set_threshold(10_000)
    _open_closed_streams()
    notice_lost_terminals()
    try:
        _run(command)
    finally:
        _finish_output()


def _run(command: Callable[[], object]) -> None:
    try:
        command()
    except HubError as error:
        # Imported here: it costs 12 ms. The service runs through here too, and would keep it in memory.
        from lkhub.cli.shared.show import show_error
        from lkhub.cli.shared.show_json import show_json

        if "--json" in sys.argv[1:] and (data := error.as_json()):
            show_json(data)
        show_error(error)
        sys.exit(error.exit_code)
    except BrokenPipeError:
        # The program that read our output has ended (`lkhub logs | head`), so there is nothing to report to.
        sys.stderr.close()
        sys.exit(1)
    except Exception as error:
        if isinstance(error, OSError) and error.errno in _FULL:
            _refuse_output(error)
        if isinstance(error, FileNotFoundError) and _is_folder_gone():
            _refuse_folder()
        show_bug(error)
        sys.exit(EXIT_BUG)


def _finish_output() -> None:
    """Write what is still buffered, and exit where that fails: Python itself would exit 120, with a message of its
    own."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        drop_output(sys.stdout)
        sys.exit(1)
    except OSError as error:
        drop_output(sys.stdout)
        _refuse_output(error)


def _refuse_output(error: OSError) -> NoReturn:
    # Imported here: it costs 12 ms.
    from lkhub.cli.shared.show import show_error

    show_error(MachineError(f"can't write the output: {os.strerror(error.errno or 0).lower()}"))
    sys.exit(EXIT_MACHINE)


def _is_folder_gone() -> bool:
    try:
        os.getcwd()
    except FileNotFoundError:
        return True
    return False


def _refuse_folder() -> NoReturn:
    # Imported here: it costs 12 ms.
    from lkhub.cli.shared.show import show_error

    hint = "`cd` into the folder that has taken its place, or into another one, and type the command again"
    show_error(MachineError("the current folder was removed", hints=(hint,)))
    sys.exit(EXIT_MACHINE)


def _open_closed_streams() -> None:
    """Open /dev/null for standard streams that were closed when we were started, as by `2>&-`. Otherwise the next files
    that are opened would take their descriptors, and our output would fail."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # the first that is free is this one
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(number, "w" if number else "r", closefd=False))


def show_bug(error: BaseException) -> None:
    """Show where in lkhub each error of a group was raised, but not its text, which may hold a secret. Errors that the
    user can be told come first."""
    # Imported here: it costs 12 ms. The service runs through here too, and would keep it in memory.
    from lkhub.cli.shared.show import err, show_error

    group = error if isinstance(error, BaseExceptionGroup) else BaseExceptionGroup("", [error])
    errors, bugs = flatten(group)
    for each in errors:
        show_error(each)
    for bug in bugs:
        frames = "".join(traceback.format_list(traceback.extract_tb(bug.__traceback__)))
        err.print(f"this is a bug in lkhub: {type(bug).__name__}\n{frames}")
    err.print("please report the lines above; they hold no secrets")
