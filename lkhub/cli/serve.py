"""`lkhub serve`: the service, as the supervisor starts it."""

from pathlib import Path
from typing import Annotated

import typer

from lkhub.errors import InputError
from lkhub.host.files import read_input
from lkhub.render.serve import parse_serve


def serve(config: Annotated[Path, typer.Option(help="The rendered serve.json.")]) -> None:
    """Run the service: tokens, health, the web application."""
    from lkhub.service.server import run_service

    try:
        parsed = parse_serve(read_input(str(config)).decode())
    except (ValueError, TypeError):
        raise InputError(f"{config} is not a rendered serve.json") from None
    run_service(parsed)
