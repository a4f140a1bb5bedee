"""A Debian that systemd boots, in a network namespace: systemd-nspawn, which needs no systemd around it."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.kit.netns import Namespace
from tests.waiting import wait_until

PACKAGES = "systemd,systemd-sysv,libpam-systemd,dbus,python3,python3-venv,iproute2,procps,nftables"

_PASSING = ("/proc", "/sys", "/run", "/tmp", "/dev", "/var/log", "/var/cache", "/var/lib/systemd", "/var/tmp", "/root")

# systemd boots in a few seconds, and takes 6 s to power off; on a loaded machine several times that.
BOOT_SECONDS = 90
COMMAND_SECONDS = 180


class Booted:
    """A machine with the file system `root`, in the network of `machine`. It runs from `boot` to `power_off` or
    `cut_power`. `options` are further ones of systemd-nspawn."""

    def __init__(self, root: Path, machine: Namespace, *options: str) -> None:
        self.root = root
        self._machine, self._options = machine, options
        self._nspawn: subprocess.Popen[bytes] | None = None
        # The pid of the machine's systemd, as this machine sees it.
        self._init = 0

    @property
    def prefix(self) -> list[str]:
        """The prefix of a command line that runs it on that machine as root."""
        spaces = ("mount", "uts", "ipc", "pid", "net", "cgroup", "root", "wd")
        clean = ("PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LANG=C.UTF-8")
        return ["nsenter", f"--target={self._init}", *(f"--{space}" for space in spaces), "env", "-i", *clean]

    @property
    def mounted(self) -> str:
        """The root of the machine as this machine sees it while it runs, with what is mounted there, such as /run."""
        return f"/proc/{self._init}/root"

    def boot(self, seconds: float = BOOT_SECONDS) -> None:
        """Return when the machine has booted, within so many seconds."""
        argv = ["nsenter", f"--net=/run/netns/{self._machine.name}", "systemd-nspawn", "--quiet", "--boot"]
        argv += ["--register=no", "--keep-unit", "--console=pipe", f"--directory={self.root}", "--machine=hub"]
        argv += self._options
        # Where the machine has cgroups of both versions, systemd would not learn that a service has no process any
        # more.
        environ = {**os.environ, "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"}
        with open(f"{self.root}.console", "wb") as console:
            self._nspawn = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=console, stderr=console, env=environ, start_new_session=True
            )
        wait_until(self._has_booted, "the machine has booted", seconds)

    def _has_booted(self) -> bool:
        assert self._nspawn
        assert self._nspawn.poll() is None, Path(f"{self.root}.console").read_text(errors="replace")[-4000:]
        listed = subprocess.run(["pgrep", "-P", str(self._nspawn.pid)], capture_output=True, text=True).stdout.split()
        if not listed:
            return False
        self._init = int(listed[0])
        return self.run("systemctl is-system-running").stdout.strip() in ("running", "degraded")

    def power_off(self) -> None:
        """Shut the machine down, as at a press of its button; return when it is off."""
        assert self._nspawn
        # systemd's request to power off (systemd(1), SIGRTMIN+4).
        os.kill(self._init, signal.SIGRTMIN + 4)
        self._nspawn.wait(BOOT_SECONDS)

    def cut_power(self) -> None:
        """Kill everything that runs on the machine at once."""
        if self._nspawn and self._nspawn.poll() is None:
            # The first process of a pid namespace takes all others with it (pid_namespaces(7)).
            os.kill(self._init or self._nspawn.pid, signal.SIGKILL)
            os.killpg(self._nspawn.pid, signal.SIGKILL)
            self._nspawn.wait(BOOT_SECONDS)

    def run(self, command: str) -> subprocess.CompletedProcess[str]:
        """Run a shell's command line in root's home directory."""
        argv = [*self.prefix, "sh", "-c", f"cd /root && {command}"]
        return subprocess.run(argv, capture_output=True, text=True, timeout=COMMAND_SECONDS, check=False)

    def must(self, command: str) -> str:
        """Run a command line that must succeed; its output."""
        done = self.run(command)
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def show(self, unit: str, name: str) -> str:
        """A property of a unit."""
        return self.must(f"systemctl show --property={name} --value {unit}").strip()

    def list_files(self, *left_out: str) -> set[str]:
        """All files that last, but for caches and logs of the system, and for the folders `left_out`."""
        folders = (*_PASSING, *left_out)
        found = self.must(f"find / \\( {' -o '.join(f'-path {folder}' for folder in folders)} \\) -prune -o -print")
        # useradd and userdel keep the lists of users as they were before.
        return {line for line in found.splitlines() if not (line.startswith("/etc/") and line.endswith("-"))}


def make_root(folder: Path, *more: str) -> Path:
    """A Debian with systemd, Python, and the packages `more`, below `folder`."""
    root, packages = folder / "root", ",".join((PACKAGES, *more))
    subprocess.run(
        ["mmdebstrap", "--quiet", "--variant=minbase", f"--include={packages}", "bookworm", root], check=True
    )
    return root


@contextmanager
def booting(root: Path, machine: Namespace, *options: str) -> Iterator[Booted]:
    """A machine that has booted, for as long as the block runs."""
    made = Booted(root, machine, *options)
    try:
        made.boot()
        yield made
    finally:
        made.cut_power()
