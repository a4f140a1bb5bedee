"""A hub that runs, compared with its plan: the files that it reads, where it listens, and what its processes may do."""

import json
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from operator import or_
from pathlib import Path

from tests.documents import ROOT

# Arguments: the spec, the module and the name of an installation, and the name of the edge's authority, which is the
# state's own.
_DESCRIBE = """
import json, sys
from dataclasses import replace
from importlib import import_module
from lkhub.prepare.hub import plan_hub
from lkhub.render.all import render_all
installation = getattr(import_module(sys.argv[2]), sys.argv[3])
plan = plan_hub(sys.argv[1], installation.state, installation).plan
plan = replace(plan, edge=replace(plan.edge, authority=sys.argv[4]))
print(json.dumps({
    "files": {file.name: file.text for file in render_all(plan)},
    "listeners": [
        [row.protocol, str(row.address or "*"), str(row.ports.start)]
        for row in plan.listeners if row.ports.start == row.ports.end
    ],
    "drain": plan.drain,
}))
"""

# CAP_NET_BIND_SERVICE (capabilities(7)).
BIND = 1 << 10

Listener = tuple[str, str, str]
"""Protocol, address and port."""


@dataclass(frozen=True)
class Planned:
    """What a plan says. `listeners` are those of one port."""

    files: dict[str, str]
    listeners: set[Listener]
    drain: int

    def require(self, prefix: Sequence[str], rendered: Path) -> None:
        """A hub listens in the network of the command lines that begin with `prefix` where the plan says, and nowhere
        else but for itself, and the files that its processes read are those of the plan."""
        assert {name: (rendered / name).read_text() for name in self.files} == self.files
        shown = subprocess.run([*prefix, "ss", "-Hlntu"], capture_output=True, text=True, check=True).stdout
        bound: set[Listener] = set(re.findall(r"^(udp|tcp) +\S+ +\d+ +\d+ +(\S+):(\d+) ", shown, re.MULTILINE))
        assert self.listeners <= bound
        # LiveKit's own, for itself.
        assert {address for _, address, _ in bound - self.listeners} <= {"127.0.0.1"}


def describe_plan(prefix: Sequence[str], spec: Path, installation: str, rendered: Path) -> Planned:
    """The plan for an installation, named as MODULE:NAME, in the network of the command lines that begin with
    `prefix`. `rendered` are the files of the hub that runs."""
    authority = re.findall(r"lkhub-[0-9a-f]{12}", (rendered / "caddy.json").read_text())[0]
    argv = [*prefix, sys.executable, "-c", _DESCRIBE, str(spec), *installation.split(":"), authority]
    done = subprocess.run(argv, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    return Planned(told["files"], {(row[0], row[1], row[2]) for row in told["listeners"]}, told["drain"])


@dataclass(frozen=True)
class Rights:
    """Of a process: `rights` are all capabilities that it has or could get, `files` how many it may have open at
    most."""

    users: frozenset[str]
    groups: frozenset[str]
    rights: int
    no_new: bool
    files: int


def read_rights(status: str, limits: str) -> Rights:
    """From the two files in /proc (proc(5))."""
    found = dict(line.split(":", 1) for line in status.splitlines())
    sets = (int(found[name], 16) for name in ("CapPrm", "CapEff", "CapBnd", "CapAmb", "CapInh"))
    groups = [*found["Gid"].split(), *found["Groups"].split()]
    [most] = re.findall(r"^Max open files +\S+ +(\d+)", limits, re.MULTILINE)
    return Rights(
        frozenset(found["Uid"].split()),
        frozenset(groups),
        reduce(or_, sets),
        found["NoNewPrivs"].strip() == "1",
        int(most),
    )
