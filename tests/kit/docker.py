"""A Docker daemon in a network namespace, with images that are built without a registry."""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.kit.netns import Namespace
from tests.waiting import wait_until

BASE = "lkhub-base"
"""The image that others are built from."""

# What any base has: Python with its venv module, and authorities.
PACKAGES = "python3,python3-venv,ca-certificates"

# A build installs 40 packages, and a stop waits for calls.
COMMAND_SECONDS = 600


@dataclass(frozen=True)
class Docker:
    """A daemon with the image BASE. Its files are in `folder`, short enough for the names of sockets."""

    folder: Path

    @property
    def environ(self) -> dict[str, str]:
        # The builder that the daemon itself has: another one would be fetched.
        old = {"DOCKER_BUILDKIT": "0", "COMPOSE_DOCKER_CLI_BUILD": "0"}
        return {**os.environ, **old, "DOCKER_HOST": f"unix://{self.folder}/sock"}

    def run(self, *argv: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            argv, env=self.environ, cwd=cwd, capture_output=True, text=True, timeout=COMMAND_SECONDS, check=False
        )

    def must(self, *argv: str, cwd: Path | None = None) -> str:
        """Run a command that must succeed; its output."""
        done = self.run(*argv, cwd=cwd)
        assert done.returncode == 0, f"{' '.join(argv)}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def import_base(self) -> None:
        """Make BASE, a Debian."""
        tar = self.folder / "base.tar"
        subprocess.run(
            ["mmdebstrap", "--quiet", "--variant=minbase", f"--include={PACKAGES}", "bookworm", tar], check=True
        )
        self.must("docker", "import", str(tar), BASE)
        tar.unlink()


@contextmanager
def docker_daemon(machine: Namespace) -> Iterator[Docker]:
    """A daemon whose host's network is that of the machine, for as long as the block runs."""
    folder = Path(tempfile.mkdtemp(prefix="docker-"))
    made = Docker(folder)
    # Not `ip netns exec`, which mounts a /sys without cgroups.
    argv = ["nsenter", f"--net=/run/netns/{machine.name}", "dockerd", f"--host=unix://{folder}/sock"]
    argv += [f"--data-root={folder}/data", f"--exec-root={folder}/exec", f"--pidfile={folder}/pid"]
    try:
        with open(folder / "log", "wb") as log:
            daemon = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        try:
            wait_until(lambda: made.run("docker", "version").returncode == 0, "dockerd answers")
            folder.chmod(0o711)  # users of containers go through it to what they mount
            made.import_base()
            yield made
            if containers := made.must("docker", "ps", "--all", "--quiet").split():
                made.must("docker", "rm", "--force", *containers)
        finally:
            daemon.send_signal(signal.SIGTERM)
            daemon.wait(COMMAND_SECONDS)
    finally:
        _unmount_below(folder)
        shutil.rmtree(folder)


def _unmount_below(folder: Path) -> None:
    """What dockerd leaves: the network namespaces that it has made."""
    mounted = [Path(line.split()[4]) for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    for path in reversed([path for path in mounted if path.is_relative_to(folder)]):
        subprocess.run(["umount", path], check=True)
