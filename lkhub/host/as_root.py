"""Commands to type as root. They name the program and the state directory by absolute paths, since root has another
PATH and another home directory."""

import shlex
import sys
from pathlib import Path


def as_root(*arguments: str) -> str:
    """`lkhub ARGUMENTS` with sudo."""
    program = [str(Path(sys.argv[0]).absolute())]
    if program[0].endswith("__main__.py"):
        program = [sys.executable, "-P", "-m", "lkhub"]
    return shlex.join(["sudo", *program, *arguments])
