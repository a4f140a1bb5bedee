"""The packets that leave a machine, recorded on the wire by tcpdump."""

import itertools
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import IO

from tests.kit.netns import Namespace
from tests.waiting import wait_until

# Documentation addresses (RFC 5737, RFC 3849): a packet to one of them is ours, and goes the default route.
NOBODY = {4: "192.0.2.1", 6: "2001:db8:ffff::1"}
_FIRST_MARK = 9000

# What the kernel says for itself to find neighbours and routers: ARP, ICMPv6, and ICMPv6 behind a
# hop-by-hop header (multicast listener reports).
_KERNELS_OWN = "arp or icmp6 or (ip6[6] = 0 and ip6[40] = 58)"


@dataclass
class Capture:
    """A running capture of an interface. `seen` counts the packets that are dealt with."""

    output: IO[str]
    seen: int = 0
    marks: Iterator[int] = field(default_factory=lambda: itertools.count(_FIRST_MARK))

    def prove(self, sender: Namespace, *versions: int) -> None:
        """Show that a stray packet of `sender`, for each IP version, and a look-up of a name are seen."""
        for version in versions:
            self._mark(sender, version)
        look_up = "import socket; socket.getaddrinfo('stray.example', 80)"
        with subprocess.Popen([*sender.prefix, sys.executable, "-c", look_up], stderr=subprocess.DEVNULL) as asking:
            self.wait_for("stray.example")
            asking.kill()
        assert self.strangers(sender) != []

    def wait_for(self, text: str) -> None:
        """Return when a new packet is recorded whose line contains `text`."""
        wait_until(lambda: any(text in line for line in self._read()[self.seen :]), f"a packet with {text} on the wire")

    def strangers(self, sender: Namespace) -> list[str]:
        """Every packet since the last call that should not be, one line each.

        A packet of `sender` that is sent and seen at the end proves that the capture works, and that all
        packets before it have been counted.
        """
        mark = self._mark(sender, 4)
        lines = self._read()
        new, self.seen = lines[self.seen :], len(lines)
        return [line for line in new if mark not in line]

    def _mark(self, sender: Namespace, version: int) -> str:
        port = next(self.marks)
        send = f"from socket import *; socket(AF_INET{'6' * (version == 6)}, SOCK_DGRAM)"
        sender.run(sys.executable, "-c", f"{send}.sendto(b'mark', ({NOBODY[version]!r}, {port}))")
        mark = f"> {NOBODY[version]}.{port}:"
        self.wait_for(mark)
        return mark

    def _read(self) -> list[str]:
        self.output.seek(0)
        return self.output.read().splitlines()


@contextmanager
def capturing(namespace: Namespace, interface: str, allowed: tuple[str, str] | None = None) -> Iterator[Capture]:
    """Capture what passes an interface, but for packets between the two `allowed` addresses."""
    between = " or (host {} and host {})".format(*allowed) if allowed else ""
    argv = ["tcpdump", "-i", interface, "-p", "-nn", "-l", "--immediate-mode", f"not ({_KERNELS_OWN}{between})"]
    with (
        tempfile.NamedTemporaryFile("w+") as output,
        tempfile.NamedTemporaryFile("w+") as talk,
        subprocess.Popen([*namespace.prefix, *argv], stdout=output, stderr=talk) as tcpdump,
        open(output.name) as lines,
        open(talk.name) as said,
    ):
        try:
            # It listens once it has said so; before that, packets would be missed.
            wait_until(lambda: said.seek(0) == 0 and "listening on" in said.read(), "tcpdump listens")
            yield Capture(lines)
        finally:
            tcpdump.kill()
