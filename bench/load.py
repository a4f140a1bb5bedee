"""The load generator, and what a server uses meanwhile."""

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from typing import Any

import psutil

from bench.server import pin


def run_load(
    engine: str,
    arguments: Sequence[str],
    environ: Mapping[str, str],
    server: psutil.Process | None = None,
    cpu: int | None = None,
) -> dict[str, Any]:
    """Run `lkhub-engine load` to its end: its report, with `cpu_s`, the CPU seconds that the process `server`
    used in the measured time. Raises RuntimeError where the load failed."""
    command = [*pin(cpu), engine, "load", *arguments]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, env={**os.environ, **environ}, stdout=pipe, stderr=pipe, text=True) as load:
        assert load.stdout
        assert load.stderr
        # It says when the measured time begins ("measuring …"), and when it ends ("measured").
        marks = [_cpu_seconds(server) for line in load.stderr if server and line.startswith("measur")]
        report: dict[str, Any] = json.loads(load.stdout.read())
    if load.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: {report['error']['message']}")
    if server:
        report["cpu_s"] = round(marks[1] - marks[0], 3)
    return report


def _cpu_seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)
