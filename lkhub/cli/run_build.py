"""`lkhub run-build`: what the unit or the container runs in which a web site is built.

The standard library parses its command line, as that of `lkhub serve`: people don't type it.
"""

import sys
from argparse import ArgumentParser

from lkhub.host.held_signal import exit_at_sigterm
from lkhub.hub.builder import run_next_build


def run_build() -> None:
    """Make the next build of a web site that the hub gives out, and end."""
    parser = ArgumentParser("lkhub run-build", description=run_build.__doc__, allow_abbrev=False)
    parser.add_argument("--given", required=True, metavar="DIR", help="the folder with the hub's socket")
    parser.add_argument("--scratch", required=True, metavar="DIR", help="a folder of its own, on a disk")
    given = parser.parse_args(sys.argv[2:])
    exit_at_sigterm()
    run_next_build(given.given, given.scratch)
