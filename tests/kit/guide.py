"""Follows a guide as its reader does: types the commands of a page in their order on the machines that it names. `sh`
is typed on the hub's machine, `sh elsewhere` on another one. `yaml hub.yaml` is written as hub.yaml before the next
commands. The `text` after commands is their output: the commands must print each of its lines, where `…` stands for
anything and numbers may differ.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from tests.documents import ROOT, list_blocks
from tests.kit.hub import make_hub
from tests.kit.netns import Namespace

# Replacements for programs that a guide calls by name: the package without an installation, and `sudo` for root, who
# does not need it. `logs -f` and `rooms watch` never end by themselves. A reader's stdout is a terminal, where `up`
# prints the link.
_PROGRAMS = {
    "lkhub": f"""
        case " $* " in
        *" logs "*" -f "* | *" rooms watch "*) timeout 3 {shlex.quote(sys.executable)} -m lkhub "$@"; exit 0;;
        esac
        [ "$1" != up ] || set -- "$@" --link
        exec {shlex.quote(sys.executable)} -m lkhub "$@"
        """,
    "sudo": 'exec "$@"',
    "python3": f'exec {shlex.quote(sys.executable)} "$@"',  # with the packages that a guide installs
}

# Documentation addresses are not public ones, so tests replace them by other addresses: the hub's, and that of a client
# elsewhere.
PUBLIC, STRANGE = "1.2.3.4", "1.2.3.9"

# The slowest command is a first start with its calls.
BLOCK_SECONDS = 120


@dataclass
class Desk:
    """A shell on one machine that keeps its variables from block to block. `prefix` runs it in the machine's
    namespace."""

    folder: Path
    prefix: Sequence[str] = ()
    environ: Mapping[str, str] = field(default_factory=dict)
    programs: Mapping[str, str] = field(default_factory=dict)

    def type(self, text: str) -> str:
        """The whole output of the commands. They must succeed."""
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("LKHUB_", "LIVEKIT_"))}
        path = f"{self._install()}:{os.environ['PATH']}"
        environ = {**clean, **self.environ, "PATH": path, "PYTHONPATH": str(ROOT)}
        kept = shlex.quote(str(self.folder / ".variables"))
        script = f"[ ! -f {kept} ] || . {kept}\nset -e\n{text}\nexport -p > {kept}\n"
        done = subprocess.run(
            [*self.prefix, "sh", "-c", script],
            cwd=self.folder,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=BLOCK_SECONDS,
        )
        assert done.returncode == 0, f"{text}\nexit {done.returncode}\n{done.stdout}"
        return done.stdout

    def _install(self) -> Path:
        bin = self.folder / ".bin"
        bin.mkdir(exist_ok=True)
        for name, text in {**_PROGRAMS, **self.programs}.items():
            (bin / name).write_text(f"#!/bin/sh\n{text}\n")
            (bin / name).chmod(0o700)
        return bin


@contextmanager
def sit_down(
    machine: Namespace,
    environ: Mapping[str, str] = MappingProxyType({}),
    programs: Mapping[str, str] = MappingProxyType({}),
) -> Iterator[Desk]:
    """A shell on the hub's machine. There is no spec yet, and all started processes are ended."""
    with make_hub(machine.prefix) as hub:
        hub.spec.unlink()
        yield Desk(hub.folder, machine.prefix, {"LKHUB_STATE": str(hub.state), **environ}, programs)


@contextmanager
def sit_elsewhere(machine: Namespace, environ: Mapping[str, str] = MappingProxyType({})) -> Iterator[Desk]:
    with tempfile.TemporaryDirectory(prefix="elsewhere-") as folder:
        yield Desk(Path(folder), machine.prefix, environ)


def follow(page: Path, hub: Desk, elsewhere: Desk | None = None, own: Mapping[str, str] = MappingProxyType({})) -> None:
    """Do what the page says, in its order. `own` maps the page's addresses and names to the reader's own."""
    printed = ""
    for block in list_blocks(page):
        text = block.text
        for theirs, ours in own.items():
            text = text.replace(theirs, ours)
        match block.language:
            case "yaml hub.yaml":
                (hub.folder / "hub.yaml").write_text(text)
            case "sh":
                printed = hub.type(text)
            case "sh elsewhere":
                assert elsewhere, f"{block}: there is no other machine"
                _carry_files(hub.folder, elsewhere.folder)
                printed = elsewhere.type(text)
            case "text" if printed:
                missing = [line for line in text.splitlines() if not is_among(line, printed)]
                assert not missing, f"{block}: not printed: {missing}\nbut\n{printed}"
        if not block.language.startswith("sh"):
            printed = ""


def _carry_files(here: Path, there: Path) -> None:
    """The files that a reader copies to the other machine by hand."""
    for file in here.iterdir():
        if file.is_file() and not file.name.startswith(".") and file.name != "hub.yaml":
            shutil.copy(file, there)


def is_among(line: str, printed: str) -> bool:
    """Whether the line was printed, apart from numbers, spaces and the text that `…` stands for."""
    parts = [re.escape(part) for part in re.split(r"…|\d+|\s+", line.strip())]
    marks = [
        {"…": ".*"}.get(mark, r"\d+" if mark.isdigit() else r"\s+") for mark in re.findall(r"…|\d+|\s+", line.strip())
    ]
    pattern = "".join(part + mark for part, mark in zip(parts, [*marks, ""], strict=True))
    return any(re.fullmatch(pattern, shown.strip()) for shown in printed.splitlines())
