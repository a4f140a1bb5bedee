"""`lkhub serve`: the service, as the supervisor starts it.

The standard library parses its command line: the service runs as long as the hub does, and the parser of the other
commands would stay in its memory (1.3 MiB).
"""

import sys
from argparse import ArgumentParser

from lkhub.errors import InputError
from lkhub.host.files import read_input
from lkhub.wire.serve_config import parse_serve


def serve() -> None:
    """Run the service: tokens, health, the web application."""
    parser = ArgumentParser("lkhub serve", description=serve.__doc__, allow_abbrev=False)
    parser.add_argument("--config", required=True, metavar="FILE", help="the rendered serve.json")
    parser.add_argument(
        "--listen-fd", type=int, action="append", default=[], metavar="NUMBER", help="a socket that already listens"
    )
    given = parser.parse_args(sys.argv[2:])
    config = given.config
    try:
        parsed = parse_serve(read_input(config).decode())
    except (ValueError, TypeError):
        raise InputError(f"{config} is not a rendered serve.json") from None
    # Imported here: it costs 130 ms, which a wrong command line need not wait for.
    from lkhub.service.server import run_service

    run_service(parsed, given.listen_fd)
