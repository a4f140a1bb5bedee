"""`lkhub run-agent`: an agent, as the supervisor starts it.

The standard library parses its command line, as that of `lkhub serve`: people don't type it.
"""

import os
import sys
from argparse import ArgumentParser

from lkhub.errors import InputError
from lkhub.host.agents import run_agent as run_one
from lkhub.host.files import read_input
from lkhub.wire.agent import parse_agent


def run_agent() -> None:
    """Install an agent if that was not done yet, and become it."""
    parser = ArgumentParser("lkhub run-agent", description=run_agent.__doc__, allow_abbrev=False)
    parser.add_argument("--config", required=True, metavar="FILE", help="the rendered agent-NAME.json")
    given = parser.parse_args(sys.argv[2:])
    try:
        config = parse_agent(read_input(given.config).decode())
    except (ValueError, TypeError, LookupError):
        raise InputError(f"{given.config} is not a rendered agent-NAME.json") from None
    run_one(config, os.environ)
