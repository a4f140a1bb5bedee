"""A real coturn: a TURN server that is not the hub's."""

import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.kit.netns import Namespace
from tests.waiting import wait_until

PORT, TLS_PORT = 3479, 5350


@dataclass(frozen=True)
class Coturn:
    """A running TURN server."""

    folder: Path

    def said(self) -> str:
        return (self.folder / "coturn.log").read_text(errors="replace")


def command(
    address: str, ports: tuple[int, int], folder: Path, more: str, certificate: Path, key: Path
) -> Sequence[str]:
    """The command that starts coturn on `ports` of `address`, for UDP and TCP, and for TLS. `more` are further lines of
    its configuration; it writes only into `folder`."""
    program = shutil.which("turnserver")
    assert program, "coturn is not installed: apt-get install coturn"
    config = folder / "coturn.conf"
    config.write_text(
        f"{more}\n"
        f"listening-ip={address}\nlistening-port={ports[0]}\ntls-listening-port={ports[1]}\nno-dtls\n"
        f"relay-ip={address}\nmin-port=40000\nmax-port=40999\nrealm=example.com\n"
        f"cert={certificate}\npkey={key}\n"
        f"no-cli\nlog-file=stdout\npidfile={folder}/coturn.pid\nuserdb={folder}/coturn.db\n"
    )
    return [program, "-c", str(config)]


@contextmanager
def coturn(
    machine: Namespace, address: str, folder: Path, login: str, certificate: Path, key: Path
) -> Iterator[Coturn]:
    """coturn on UDP, TCP and TLS of `address`. `login` are the lines of its configuration for authentication."""
    argv = [*machine.prefix, *command(address, (PORT, TLS_PORT), folder, f"{login}\nverbose", certificate, key)]
    with (
        open(folder / "coturn.log", "w") as log,
        subprocess.Popen(argv, stdout=log, stderr=subprocess.STDOUT, cwd=folder) as process,
    ):
        made = Coturn(folder)
        try:
            wait_until(lambda: _is_ready(machine) or process.poll() is not None, "coturn listens")
            assert process.poll() is None, made.said()[-4000:]
            yield made
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()


def _is_ready(machine: Namespace) -> bool:
    ports = (("-u", PORT), ("-t", PORT), ("-t", TLS_PORT))
    return all(machine.run("ss", "-Hln", kind, f"sport = :{port}").strip() for kind, port in ports)
