"""Records engine/default.pgo, the profile that the engine is built with; scripts/profile runs it.

The profile records the media process under the repository's own load generator: the load of `bench.forward`, one of
many small audio rooms, and many joins. `go build` finds the file by its name and optimizes the hot code.
"""

import argparse
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from bench.load import run_load
from bench.server import engine_candidate, make_files, run_server
from bench.stock import ENGINE_SOURCE
from lkhub.host.engine import bundled_engine

PROFILE = ENGINE_SOURCE / "default.pgo"

# Everyone clones a checked-in file; a profile of this size already contains all hot code.
MAX_BYTES = 1_000_000

# About a hundred seconds of CPU time: with less, code that is only warm has too few samples to count as hot.
LOADS = (
    ("--publishers", "3", "--subscribers", "60", "--duration", "90s"),
    ("--publishers", "10", "--subscribers", "40", "--rooms", "10", "--duration", "30s"),
    ("--publishers", "8", "--subscribers", "80", "--rooms", "2", "--video-kbps", "0", "--duration", "60s"),
)


def main() -> None:
    parser = argparse.ArgumentParser(prog="scripts/profile", description="Record engine/default.pgo anew.")
    parser.add_argument("--engine", default=bundled_engine(), help="engine to record (default: the built one)")
    engine = parser.parse_args().engine
    with tempfile.TemporaryDirectory(prefix="bench-") as folder, make_files() as files:
        records = []
        for number, load in enumerate(LOADS):
            record = str(Path(folder, f"{number}.pprof"))
            candidate = engine_candidate(engine, files.folder)
            candidate = replace(candidate, command=(*candidate.command, "--cpuprofile", record))
            with run_server(candidate, files):
                report = run_load(engine, load, files.environ)
            print(f"{' '.join(load)}: {report['packets_received']} packets forwarded", file=sys.stderr)
            records.append(record)
        merged = subprocess.run(["go", "tool", "pprof", "-proto", *records], capture_output=True, check=True).stdout
    if len(merged) > MAX_BYTES:
        sys.exit(f"the profile has {len(merged)} bytes, more than {MAX_BYTES}; nothing was written")
    PROFILE.write_bytes(merged)
    print(f"{PROFILE.name}: {len(merged)} bytes", file=sys.stderr)


main()
