"""The parser, and the sole place where errors become exit codes."""

import sys
import traceback

import typer

from lkhub.cli import env, init, logs, render, serve, spec, status, token, up, verify
from lkhub.cli.show import err, show_error
from lkhub.errors import EXIT_BUG, HubError

app = typer.Typer(
    name="lkhub",
    help="A private, verified LiveKit from one spec and one command.",
    no_args_is_help=True,
    add_completion=False,
    # Boxes break what is copied, and keep the line breaks of docstrings.
    rich_markup_mode=None,
    # A traceback with local variables would print secrets.
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
app.command()(init.init)
app.command()(up.up)
app.command()(up.down)
app.command()(up.restart)
app.command()(status.status)
app.command()(logs.logs)
app.command()(verify.verify)
app.command()(token.token)
app.command()(env.env)
app.command()(render.render)
app.add_typer(spec.app, name="spec")
app.command(hidden=True)(serve.serve)


def main() -> None:
    """Run the command line and exit."""
    try:
        app()
    except HubError as error:
        show_error(error)
        sys.exit(error.exit_code)
    except BrokenPipeError:
        # Whoever read our output has gone (`lkhub logs | head`); there is nobody left to tell.
        sys.stderr.close()
        sys.exit(1)
    except Exception as error:
        frames = "".join(traceback.format_list(traceback.extract_tb(error.__traceback__)))
        err.print(f"this is a bug in lkhub: {type(error).__name__}\n{frames}")
        err.print("please report the lines above; they hold no secrets")
        sys.exit(EXIT_BUG)
