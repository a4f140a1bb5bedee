"""A machine of a tailnet, with a stand-in for its tailscaled, and another device of the tailnet. Between the two a wire
takes the place of Tailscale's tunnel."""

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.certificates import Made, make
from tests.documents import ROOT
from tests.kit.netns import Namespace, tunnel
from tests.kit.tailscaled import Tailscaled

NAME = "hub.tail1234.ts.net"
ADDRESS = "100.64.0.7"

SPEC = (ROOT / "examples/sovereign-hub/hub.yaml").read_text()
"""Of a home server in a tailnet."""

_SHAKE_HANDS = """
import socket, ssl, sys
name, trusted = sys.argv[1:]
with socket.create_connection((name, 443)) as plain:
    with ssl.create_default_context(cafile=trusted).wrap_socket(plain, server_hostname=name) as wrapped:
        print(ssl.DER_cert_to_PEM_cert(wrapped.getpeercert(True)))
"""


@dataclass(frozen=True)
class Tailnet:
    """`daemon` gives certificates to root alone. `root` is the authority of `certificate`, and `trusted` its file."""

    daemon: Tailscaled
    device: Namespace
    root: Made
    certificate: Made
    trusted: Path

    def shake_hands(self) -> str:
        """The certificate that the hub shows to the other device, which trusts the authority alone."""
        return self._run(sys.executable, "-c", _SHAKE_HANDS, NAME, str(self.trusted)).strip()

    def verify(self, variables: Sequence[str]) -> str:
        """Call the hub from the other device, with the key in these variables."""
        lkhub = (sys.executable, "-m", "lkhub", "verify", "--url", f"wss://{NAME}", "--path", "udp")
        return self._run("env", f"SSL_CERT_FILE={self.trusted}", *variables, *lkhub)

    def _run(self, *argv: str) -> str:
        done = subprocess.run([*self.device.prefix, *argv], capture_output=True, text=True, timeout=120, cwd=ROOT)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@contextmanager
def tailnet(machine: Namespace, device: Namespace, folder: Path) -> Iterator[Tailnet]:
    """The tailnet of two machines that have a wire, each with its end in `eth0`."""
    now = datetime.now(UTC)
    valid = (now - timedelta(hours=1), now + timedelta(days=60))
    root = make("root", ca=True, valid=valid)
    leaf = make("", root, names=[NAME], valid=valid)
    trusted = folder / "root.pem"
    trusted.write_text(root.pem)
    with tunnel(machine, "tailscale0", f"{ADDRESS}/32"):
        device.run("ip", "route", "replace", ADDRESS, "dev", "eth0")
        for each in (machine, device):
            each.name_hosts({NAME: ADDRESS})
        daemon = Tailscaled(addresses=(ADDRESS,), pairs={NAME: (leaf,)}, operators=set())
        yield Tailnet(daemon, device, root, leaf, trusted)
