"""`lkhub reload`: what the unit of `lkhub install` runs at `systemctl reload`.

Apart from `lkhub up`, which prepares the hub itself first: of the service's processes only the supervisor can read the
secrets that systemd passes on.
"""

import os
import sys
from argparse import ArgumentParser

from lkhub.cli.shared.outcome import show_outcome
from lkhub.host.files import read_input
from lkhub.hub.running import ask_running
from lkhub.plan.paths import StatePaths
from lkhub.prepare.secrets import list_referenced
from lkhub.spec.load import load_spec
from lkhub.wire.control import ApplyRequest


def reload() -> None:
    """Have the running hub take its spec over."""
    parser = ArgumentParser("lkhub reload", description=reload.__doc__, allow_abbrev=False)
    parser.add_argument("--spec", required=True, metavar="FILE", help="the spec, an absolute path")
    parser.add_argument("--state", required=True, metavar="DIR", help="the hub's state directory, an absolute path")
    given = parser.parse_args(sys.argv[2:])
    loaded = load_spec(read_input(given.spec), given.spec)
    loaded.require_sound()
    request = ApplyRequest(given.spec, list_referenced(loaded.spec, os.environ))
    outcome = ask_running(StatePaths(given.state), request, on_progress=print)
    show_outcome(outcome, now="`lkhub install --now`")
