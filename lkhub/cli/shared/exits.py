"""The sole place where errors become exit codes."""

import os
import sys
import traceback
from collections.abc import Callable

from lkhub.errors import EXIT_BUG, HubError, flatten


def run(command: Callable[[], object]) -> None:
    """Run a command line and exit."""
    _open_closed_streams()
    # What shows an error is imported when there is one: the service comes through here and carries what is imported.
    try:
        command()
    except HubError as error:
        from lkhub.cli.shared.show import show_error, show_json

        if "--json" in sys.argv[1:] and (data := error.as_json()):
            show_json(data)
        show_error(error)
        sys.exit(error.exit_code)
    except BrokenPipeError:
        # Whoever read our output has gone (`lkhub logs | head`); there is nobody left to tell.
        sys.stderr.close()
        sys.exit(1)
    except Exception as error:
        show_bug(error)
        sys.exit(EXIT_BUG)


def _open_closed_streams() -> None:
    """Lead standard streams that were closed when we were started, as by `2>&-`, to nowhere. What is opened next would
    take their places, and what we say would fail."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # the first that is free is this one
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(number, "w" if number else "r", closefd=False))


def show_bug(error: BaseException) -> None:
    """Say where in lkhub it was, of every error of a group, without what it says: that may hold a secret. What the user
    can be told stands before it."""
    from lkhub.cli.shared.show import err, show_error

    group = error if isinstance(error, BaseExceptionGroup) else BaseExceptionGroup("", [error])
    errors, bugs = flatten(group)
    for each in errors:
        show_error(each)
    for bug in bugs:
        frames = "".join(traceback.format_list(traceback.extract_tb(bug.__traceback__)))
        err.print(f"this is a bug in lkhub: {type(bug).__name__}\n{frames}")
    err.print("please report the lines above; they hold no secrets")
