"""`lkhub keep-agent`: what the unit or the container of an agent runs.

The standard library parses its command line, as that of `lkhub serve`: people don't type it.
"""

import os
import sys
from argparse import ArgumentParser

from lkhub.errors import InputError
from lkhub.plan.agents import RUN_AGENT
from lkhub.supervise.agent_keeper import AgentKeeper


def keep_agent() -> None:
    """Keep a worker of an agent running, by what the hub gives it."""
    parser = ArgumentParser("lkhub keep-agent", description=keep_agent.__doc__, allow_abbrev=False)
    parser.add_argument("--given", required=True, metavar="DIR", help="the folder that the hub fills for this agent")
    parser.add_argument("--process", required=True, metavar="NAME", help="the process, such as agent-NAME")
    given = parser.parse_args(sys.argv[2:])
    state = os.environ.get("STATE_DIRECTORY", "")
    if not state:
        raise InputError("STATE_DIRECTORY is not set, and the agent has no folder of its own")
    # systemd makes it a link, and the folder that it leads to is the agent's.
    home = f"{os.path.realpath(state)}/agent"
    where = ("--given", given.given, "--process", given.process, "--home", home)
    argv = (sys.executable, "-P", "-m", "lkhub", RUN_AGENT, *where)
    sys.exit(AgentKeeper(given.given, argv, home).run())
