"""Fixtures for tests of processes and of certificate files."""

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from lkhub.host.certificates import judge_certificate
from lkhub.host.processes import start
from tests.certificates import NOW, Made, make
from tests.host.started import Run

NAME = "rtc.example.com"

ROOT = make("Root", ca=True, organization="Test")
INTERMEDIATE = make("R13", ROOT, ca=True, path_length=0, organization="Test")


@dataclass(frozen=True)
class CertificateFiles:
    """The two files, in one folder, and the faults found in them."""

    folder: Path

    @property
    def cert(self) -> Path:
        return self.folder / "fullchain.pem"

    @property
    def key(self) -> Path:
        return self.folder / "privkey.pem"

    def write(self, *chain: Made, key: str | None = None) -> None:
        self.cert.write_text("".join(made.pem for made in chain))
        self.key.write_text(chain[0].key_pem if key is None else key)

    def judge(self, *names: str, cert: Path | None = None) -> str:
        """`SEVERITY CODE: MESSAGE; HINT`, a line for each problem, with the folder's path shown as DIR."""
        problems = judge_certificate(str(cert or self.cert), str(self.key), names or (NAME,), NOW)
        assert [p.subject for p in problems] == [
            "tls.key" if p.code.startswith("key") else "tls.cert" for p in problems
        ]
        lines = [f"{p.severity} {p.code}: {p.sentence}" for p in problems]
        return "\n".join(lines).replace(str(self.folder), "DIR")


@pytest.fixture
def files(tmp_path: Path) -> CertificateFiles:
    return CertificateFiles(tmp_path)


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    """Start shell commands; whatever still runs in the end is killed."""
    started: list[subprocess.Popen[bytes]] = []

    def run_one(script: str, *arguments: str) -> subprocess.Popen[bytes]:
        child = start(["/bin/sh", "-c", script, *arguments], str(tmp_path / "log"), os.environ)
        started.append(child)
        return child

    yield run_one
    for child in started:
        # Each is in a session of its own: the whole group, as a shell leaves what it has started.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()
