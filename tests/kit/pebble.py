"""A real ACME server, Pebble, on a machine of the test. It refuses a failed proof at once, as Let's Encrypt does;
Caddy's own ACME server (tests.kit.acme) tries again until it succeeds.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.kit.netns import Namespace
from tests.waiting import wait_until

PORT, _MANAGEMENT_PORT = 14000, 15000


@dataclass(frozen=True)
class Pebble:
    """A running authority. It resolves names as its machine does, and connects to ports 80 and 443."""

    machine: Namespace

    def read_root(self) -> str:
        """The root of its certificates, PEM; a new one for each run."""
        return self.machine.run("curl", "-sSk", f"https://127.0.0.1:{_MANAGEMENT_PORT}/roots/0")


@contextmanager
def running(
    machine: Namespace, folder: Path, certificate: Path, key: Path, accounts: Mapping[str, str] | None = None
) -> Iterator[Pebble]:
    """Pebble, with this certificate for its own HTTPS. With `accounts` (MAC keys by id) it certifies only for these
    accounts."""
    program = shutil.which("pebble")
    assert program, "pebble is not installed: apt-get install pebble"
    config = {
        "listenAddress": f"0.0.0.0:{PORT}",
        "managementListenAddress": f"127.0.0.1:{_MANAGEMENT_PORT}",
        "certificate": str(certificate),
        "privateKey": str(key),
        "httpPort": 80,
        "tlsPort": 443,
        "externalAccountBindingRequired": accounts is not None,
        "externalAccountMACKeys": accounts or {},
    }
    (folder / "pebble.json").write_text(json.dumps({"pebble": config}))
    # Otherwise it sleeps and refuses at random, to test clients.
    environ = {**os.environ, "PEBBLE_VA_NOSLEEP": "1", "PEBBLE_WFE_NONCEREJECT": "0"}
    argv = [*machine.prefix, program, "-config", str(folder / "pebble.json")]
    with (
        open(folder / "pebble.log", "w") as log,
        subprocess.Popen(argv, stdout=log, stderr=subprocess.STDOUT, env=environ) as process,
    ):
        try:
            wait_until(lambda: _listens(machine) or process.poll() is not None, "pebble listens")
            assert process.poll() is None, (folder / "pebble.log").read_text()
            yield Pebble(machine)
        finally:
            process.terminate()
            process.wait()


def _listens(machine: Namespace) -> bool:
    return bool(machine.run("ss", "-Hltn", f"sport = :{PORT}").strip())
