"""`lkhub run-agent`: an agent, as the supervisor or `lkhub keep-agent` starts it.

The standard library parses its command line, as that of `lkhub serve`: people don't type it.
"""

import os
import sys
from argparse import ArgumentParser

from lkhub.errors import InputError
from lkhub.host.agents import run_agent as run_one
from lkhub.host.agents import run_given
from lkhub.host.files import read_input
from lkhub.wire.agent import GIVEN_FILE, parse_agent, parse_given


def run_agent() -> None:
    """Install an agent if that was not done yet, and become it."""
    parser = ArgumentParser("lkhub run-agent", description=run_agent.__doc__, allow_abbrev=False)
    told = parser.add_mutually_exclusive_group(required=True)
    told.add_argument("--config", metavar="FILE", help="the rendered agent-NAME.json")
    told.add_argument("--given", metavar="DIR", help="the folder that the hub fills for this agent")
    parser.add_argument("--process", metavar="NAME", help="with --given: the process, such as agent-NAME")
    parser.add_argument("--home", metavar="DIR", help="with --given: a folder of the agent's own")
    given = parser.parse_args(sys.argv[2:])
    if given.config:
        try:
            config = parse_agent(read_input(given.config).decode())
        except (ValueError, TypeError, LookupError):
            raise InputError(f"{given.config} is not a rendered agent-NAME.json") from None
        run_one(config, os.environ)
        return
    if not given.process or not given.home:
        parser.error("--given needs --process and --home")
    path = f"{given.given}/{GIVEN_FILE}"
    try:
        agent = parse_given(read_input(path).decode())
        port = agent.ports[given.process]
    except (ValueError, TypeError, LookupError):
        raise InputError(f"{path} is not what a hub gives to {given.process}") from None
    run_given(agent, port, given.given, given.home, os.environ)
