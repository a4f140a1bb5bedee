"""The result of a benchmark: every single run, and the table made from them."""

import json
import os
import platform
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import psutil

RESULTS = Path(__file__).parent / "results"
PAGE = Path(__file__).parents[1] / "docs" / "benchmarks.md"

# How busy the machine was with other work: read before the benchmark starts anything.
LOAD_BEFORE = os.getloadavg()[0]
QUIET = 1.0


@dataclass(frozen=True)
class Result:
    """`how` describes the benchmark in a sentence or two; `runs` has the single measurements in their order; `head` and
    `rows` are the table for readers."""

    name: str
    how: str
    runs: Sequence[dict[str, Any]]
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    machine: str = field(default_factory=lambda: describe_machine())
    at: float = field(default_factory=time.time)

    def save(self) -> Path:
        """Write one JSON file; its path."""
        RESULTS.mkdir(exist_ok=True)
        path = RESULTS / f"{time.strftime('%Y%m%dT%H%M%S', time.gmtime(self.at))}-{self.name}.json"
        path.write_text(json.dumps(asdict(self), indent=2) + "\n")
        return path

    def markdown(self) -> str:
        """The table, with where and how it was measured."""
        lines = [self.head, ["---"] * len(self.head), *self.rows]
        table = "\n".join(f"| {' | '.join(row)} |" for row in lines)
        day = time.strftime("%Y-%m-%d", time.gmtime(self.at))
        return f"{self.how}\n\n{table}\n\n{self.machine}, {day}."


def write_page(result: Result) -> None:
    """Replace this benchmark's part of docs/benchmarks.md, between its two markers."""
    begin, end = f"<!-- {result.name} -->\n", f"<!-- /{result.name} -->"
    before, rest = PAGE.read_text().split(begin)
    _, after = rest.split(end)
    PAGE.write_text(f"{before}{begin}{result.markdown()}\n{end}{after}")


def describe_machine() -> str:
    """The machine in general terms: nothing that names it."""
    cores = psutil.cpu_count() or 1
    memory = psutil.virtual_memory().total / 2**30
    kernel = ".".join(platform.release().split("-")[0].split(".")[:2])
    busy = f"; busy with other work (load average {LOAD_BEFORE:.1f})" if LOAD_BEFORE > QUIET else ""
    return f"{cores} cores of {_cpu_model()}, {memory:.0f} GiB, {platform.system()} {kernel}{busy}"


def _cpu_model() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
