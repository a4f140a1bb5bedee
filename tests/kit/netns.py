"""Network namespaces: the machines of a test, with interfaces, routes, a firewall and a resolver. Their names contain
the pid of the test run, so that runs don't collide, and a later run can remove the namespaces of a killed one.
"""

import itertools
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from lkhub.host.processes import identify
from tests.waiting import wait_until

TOOLS = {
    "certutil": "libnss3-tools",
    "curl": "curl",
    "ip": "iproute2",
    "nft": "nftables",
    "setcap": "libcap2-bin",
    "setpriv": "util-linux",
    "ss": "iproute2",
    "tcpdump": "tcpdump",
}

# The folder from which `ip netns exec` takes a namespace's own files of /etc.
_ETC = Path("/etc/netns")

_PREFIX = "lkhub"
_numbers = itertools.count()

# Without this, the link-local address of every interface becomes usable a second or two later, and a browser aborts
# loading when an address changes.
_NO_DETECTION = "for each in all default; do echo 0 >/proc/sys/net/ipv6/conf/$each/accept_dad || true; done"

# A tun interface has a carrier for as long as a program holds it open.
_HOLD_TUN = """
import fcntl, struct, sys
tun = open("/dev/net/tun", "r+b", buffering=0)
TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x0001, 0x1000
fcntl.ioctl(tun, TUNSETIFF, struct.pack("16sH", sys.argv[1].encode(), IFF_TUN | IFF_NO_PI))
print("open", flush=True)
sys.stdin.read()
"""


def find_obstacle() -> str:
    """Why namespaces can't be made here, in one line; "" if they can."""
    if os.geteuid() != 0:
        return "namespace tests need root: run them as root, or leave them out with -m 'not namespaces'"
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    packages = sorted({TOOLS[tool] for tool in missing})
    return f"not on PATH: {', '.join(missing)} (apt-get install {' '.join(packages)})" if missing else ""


@dataclass(frozen=True)
class Namespace:
    """One network namespace with `lo` up."""

    name: str

    @property
    def prefix(self) -> list[str]:
        """The prefix of a command line that runs it in this namespace."""
        return ["ip", "netns", "exec", self.name]

    def run(self, *argv: str, text: str | None = None) -> str:
        """Run a command that must succeed and return its output; `text` is its input."""
        return _run(*self.prefix, *argv, text=text)

    def add_address(self, interface: str, address: str) -> None:
        """Bring an interface up with an address such as `198.18.0.1/24`, usable at once."""
        # Duplicate address detection would keep an IPv6 address from being used for a second or two.
        _run("ip", "-n", self.name, "address", "add", address, "dev", interface, *(["nodad"] if ":" in address else []))
        link = ["ip", "-n", self.name, "-oneline", "link"]
        _run(*link, "set", interface, "up")
        # The kernel takes up to a second to report the interface as running; before that, programs do not see it.
        running = re.compile(r" state (UP|UNKNOWN) ")
        wait_until(lambda: running.search(_run(*link, "show", interface)), f"{interface} is up in {self.name}")

    def add_bridge(self, interface: str, address: str) -> None:
        """A bridge, as managers of containers and virtual machines make them."""
        _run("ip", "-n", self.name, "link", "add", interface, "type", "bridge")
        self.add_address(interface, address)

    def add_default_route(self, via: str, metric: int = 0) -> None:
        """Set the default route to this gateway. The lowest metric is used."""
        _run("ip", "-n", self.name, "route", "add", "default", "via", via, "metric", str(metric))

    def name_hosts(self, addresses: Mapping[str, str]) -> None:
        """Set the host names, with their addresses, for programs that are started in this namespace from now on. `lo`
        stays localhost."""
        lines = ["127.0.0.1 localhost", "::1 localhost", *(f"{address} {name}" for name, address in addresses.items())]
        (_ETC / self.name).mkdir(parents=True, exist_ok=True)
        (_ETC / self.name / "hosts").write_text("\n".join(lines) + "\n")

    def pids(self) -> list[int]:
        """Processes in this namespace."""
        done = subprocess.run(["ip", "netns", "pids", self.name], capture_output=True, text=True)
        return [int(pid) for pid in done.stdout.split()]


@contextmanager
def namespace(purpose: str, resolver: str | None = None) -> Iterator[Namespace]:
    """A namespace for as long as the block runs; then its processes are killed. `resolver` is the only name server of
    programs in it; without it they have the machine's own, which can't be reached from the namespace.
    """
    made = Namespace(f"{_PREFIX}-{os.getpid()}-{_started(os.getpid())}-{next(_numbers)}-{purpose}")
    try:
        _run("ip", "netns", "add", made.name)
        _run(*made.prefix, "sh", "-c", _NO_DETECTION)
        _run("ip", "-n", made.name, "link", "set", "lo", "up")
        if resolver is not None:
            folder = _ETC / made.name
            folder.mkdir(parents=True)
            (folder / "resolv.conf").write_text(f"nameserver {resolver}\noptions timeout:1 attempts:1\n")
            # Otherwise a resolver daemon of the machine would send the queries, from another namespace.
            (folder / "nsswitch.conf").write_text("passwd: files\ngroup: files\nhosts: files dns\n")
        yield made
    finally:
        _remove(made)


def connect(one: Namespace, other: Namespace, interface: str, other_interface: str | None = None) -> None:
    """A wire between two namespaces: an interface in each, without addresses, the other end up."""
    far = other_interface or interface
    peer = ["peer", "name", far, "netns", other.name]
    _run("ip", "-n", one.name, "link", "add", interface, "type", "veth", *peer)
    for namespace, name in ((one, interface), (other, far)):
        _run("ip", "-n", namespace.name, "link", "set", name, "up")


@contextmanager
def tunnel(namespace: Namespace, interface: str, address: str) -> Iterator[None]:
    """A tun interface with a program behind it, as VPNs use them."""
    pipe = subprocess.PIPE
    argv = [*namespace.prefix, sys.executable, "-c", _HOLD_TUN, interface]
    with subprocess.Popen(argv, stdin=pipe, stdout=pipe, text=True) as holder:
        try:
            assert holder.stdout is not None
            assert holder.stdout.readline() == "open\n", f"no tun interface {interface}"
            namespace.add_address(interface, address)
            yield
        finally:
            holder.kill()


@contextmanager
def dropping(namespace: Namespace, *matches: str, verdict: str = "drop") -> Iterator[None]:
    """A firewall in the namespace that drops arriving packets which fit one of `matches` (nftables), or applies another
    `verdict` to them."""
    rules = "".join(f"  {match} counter {verdict}\n" for match in matches)
    chain = f"chain arriving {{\n  type filter hook input priority filter\n{rules}}}"
    namespace.run("nft", "-f", "-", text=f"table inet lkhub {{\n{chain}\n}}\n")
    try:
        yield
    finally:
        namespace.run("nft", "delete", "table", "inet", "lkhub")


def remove_left() -> None:
    """Remove namespaces of test runs that were killed, with the processes in them."""
    for name in {path.name for folder in (Path("/run/netns"), _ETC) if folder.is_dir() for path in folder.iterdir()}:
        prefix, *rest = name.split("-")
        if prefix == _PREFIX and len(rest) == 4 and rest[0].isdigit() and _started(int(rest[0])) != rest[1]:
            _remove(Namespace(name))


def _remove(namespace: Namespace) -> None:
    def kill_all() -> bool:
        pids = namespace.pids()
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return not pids

    wait_until(kill_all, f"no process in {namespace.name}")
    # Another test run may be removing the same namespaces.
    subprocess.run(["ip", "netns", "delete", namespace.name], capture_output=True)
    assert not Path("/run/netns", namespace.name).exists(), f"{namespace.name} can't be removed"
    shutil.rmtree(_ETC / namespace.name, ignore_errors=True)


def _started(pid: int) -> str:
    """When the process started, in ticks since boot; "" if there is no such process."""
    process = identify(pid)
    return process.started.rpartition("/")[2] if process else ""


def _run(*argv: str, text: str | None = None) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, input=text)
    assert done.returncode == 0, f"{' '.join(argv)}: {done.stderr.strip()}"
    return done.stdout
