"""`lkhub serve`: the service, as the supervisor starts it.

It has a command line of its own, because it runs as long as the hub does and the modules of other commands would stay
in its memory.
"""

from pathlib import Path
from typing import Annotated

import typer

from lkhub.cli.shared.app import make_app
from lkhub.errors import InputError
from lkhub.host.files import read_input
from lkhub.wire.serve_config import parse_serve

app = make_app()


@app.callback()
def _group() -> None:
    """Makes `serve` a subcommand, as it is of `lkhub`."""


@app.command()
def serve(config: Annotated[Path, typer.Option(help="The rendered serve.json.")]) -> None:
    """Run the service: tokens, health, the web application."""
    # Imported here: it costs 130 ms, and `lkhub --help` loads this module too.
    from lkhub.service.server import run_service

    try:
        parsed = parse_serve(read_input(str(config)).decode())
    except (ValueError, TypeError):
        raise InputError(f"{config} is not a rendered serve.json") from None
    run_service(parsed)
