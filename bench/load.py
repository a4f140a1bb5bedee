"""The load generator, and the CPU that servers use meanwhile."""

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from typing import Any

import psutil

from bench.process import pin


def run_load(
    engine: str,
    arguments: Sequence[str],
    environ: Mapping[str, str],
    servers: Sequence[psutil.Process] = (),
    cpu: int | None = None,
) -> dict[str, Any]:
    """Run `lkhub-engine load` to its end: its report, with `cpu_s`, the CPU seconds that the processes `servers` used
    together in the measured time. Raises RuntimeError if the load failed."""
    command = [*pin(cpu), engine, "load", *arguments]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, env={**os.environ, **environ}, stdout=pipe, stderr=pipe, text=True) as load:
        assert load.stdout
        assert load.stderr
        # It prints when the measured time begins ("measuring …"), and when it ends ("measured").
        marks = [_cpu_seconds(servers) for line in load.stderr if line.startswith("measur")]
        report: dict[str, Any] = json.loads(load.stdout.read())
    if load.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: {report['error']['message']}")
    if servers:
        report["cpu_s"] = round(marks[1] - marks[0], 3)
    return report


def _cpu_seconds(processes: Sequence[psutil.Process]) -> float:
    times = [process.cpu_times() for process in processes]
    return float(sum(each.user + each.system for each in times))
