"""The sole place where errors become exit codes."""

import sys
import traceback
from collections.abc import Callable

from lkhub.errors import EXIT_BUG, HubError


def run(command: Callable[[], object]) -> None:
    """Run a command line and exit."""
    # What shows an error is imported when there is one: the service comes through here and carries what is imported.
    try:
        command()
    except HubError as error:
        from lkhub.cli.show import show_error

        show_error(error)
        sys.exit(error.exit_code)
    except BrokenPipeError:
        # Whoever read our output has gone (`lkhub logs | head`); there is nobody left to tell.
        sys.stderr.close()
        sys.exit(1)
    except Exception as error:
        from lkhub.cli.show import err

        frames = "".join(traceback.format_list(traceback.extract_tb(error.__traceback__)))
        err.print(f"this is a bug in lkhub: {type(error).__name__}\n{frames}")
        err.print("please report the lines above; they hold no secrets")
        sys.exit(EXIT_BUG)
