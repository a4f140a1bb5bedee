"""The parser: every command."""

from typing import Annotated

import typer

from lkhub import __version__
from lkhub.cli import env, firewall, init, logs, render, serve, spec, status, token, trust, up, verify
from lkhub.cli.exits import run

app = typer.Typer(
    name="lkhub",
    no_args_is_help=True,
    add_completion=False,
    # Boxes break what is copied, and keep the line breaks of docstrings.
    rich_markup_mode=None,
    # A traceback with local variables would print secrets.
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


def _show_version(asked: bool) -> None:
    if asked:
        print(f"lkhub {__version__}")
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """A private, verified LiveKit from one spec and one command."""


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
app.command()(trust.trust)
app.add_typer(firewall.app, name="firewall")
app.add_typer(spec.app, name="spec")
app.command(hidden=True)(serve.serve)


def main() -> None:
    """Run the command line and exit."""
    run(app)
