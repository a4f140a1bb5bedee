"""A home network on the internet: the hub's machine behind a router that maps ports on request, with a real
miniupnpd."""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.kit.netns import Namespace, connect, namespace
from tests.namespaces.lan import NAME_SERVER
from tests.namespaces.reach import CONTROL
from tests.waiting import wait_until

ROUTER, HUB = "192.168.77.1", "192.168.77.2"

# miniupnpd maps nothing if its external address is private or for documentation. This address never leaves the
# namespaces.
EXTERNAL, STRANGER = "11.0.0.1", "11.0.0.2"

_FIREWALL = f"""
table inet filter {{
  chain forward {{
    type filter hook forward priority filter; policy drop;
    ct state established,related accept
    iifname "lan0" accept
    udp dport {CONTROL} accept
    jump miniupnpd
  }}
  chain miniupnpd {{ }}
  chain prerouting {{
    type nat hook prerouting priority dstnat;
    iifname "wan0" udp dport {CONTROL} dnat ip to {HUB}
    jump prerouting_miniupnpd
  }}
  chain postrouting {{
    type nat hook postrouting priority srcnat;
    jump postrouting_miniupnpd
    oifname "wan0" masquerade
  }}
  chain prerouting_miniupnpd {{ }}
  chain postrouting_miniupnpd {{ }}
}}
"""

_SETTINGS = """
ext_ifname=wan0
listening_ip=lan0
http_port=0
enable_natpmp={pcp}
enable_upnp={upnp}
secure_mode={secure}
min_lifetime=120
max_lifetime=86400
lease_file={folder}/leases
uuid=00000000-0000-4000-8000-000000000001
upnp_table_name=filter
upnp_nat_table_name=filter
upnp_forward_chain=miniupnpd
upnp_nat_chain=prerouting_miniupnpd
upnp_nat_postrouting_chain=postrouting_miniupnpd
allow 1-65535 192.168.77.0/24 1-65535
deny 0-65535 0.0.0.0/0 0-65535
"""


@dataclass(frozen=True)
class HomeNetwork:
    """The hub's machine behind a router that its owner controls, and a stranger's machine on the internet side."""

    router: Namespace
    hub: Namespace
    stranger: Namespace
    folder: Path

    def leases(self) -> set[str]:
        """What miniupnpd has mapped, such as `UDP:7882:192.168.77.2:7882`."""
        file = self.folder / "leases"
        return {":".join(line.split(":")[:4]) for line in file.read_text().splitlines()} if file.exists() else set()

    def restart(self) -> None:
        """Make the router forget its mappings, as a restart does. Call it between two uses of `routing`."""
        (self.folder / "leases").unlink()
        for chain in ("miniupnpd", "prerouting_miniupnpd", "postrouting_miniupnpd"):
            self.router.run("nft", "flush", "chain", "inet", "filter", chain)

    @contextmanager
    def routing(self, *, pcp: bool = True, upnp: bool = True, secure: bool = True) -> Iterator[None]:
        """Run the router's port mapping, with these protocols. `secure`: a machine may map ports only for itself."""
        words = {True: "yes", False: "no"}
        file = self.folder / "miniupnpd.conf"
        settings = {"pcp": words[pcp], "upnp": words[upnp], "secure": words[secure]}
        file.write_text(_SETTINGS.format(folder=self.folder, **settings))
        argv = [*self.router.prefix, "miniupnpd", "-d", "-f", str(file), "-P", str(self.folder / "pid")]
        log = self.folder / "log"
        with log.open("w") as output, subprocess.Popen(argv, stdout=output, stderr=output) as daemon:
            try:
                wait_until(lambda: "isten" in log.read_text(), "miniupnpd listens")
                yield
            finally:
                daemon.terminate()


@contextmanager
def make_home_network() -> Iterator[HomeNetwork]:
    """The machines, and a router that does not map ports yet."""
    if shutil.which("miniupnpd") is None:
        pytest.fail("not on PATH: miniupnpd (apt-get install miniupnpd)", pytrace=False)
    with (
        namespace("router", NAME_SERVER) as router,
        namespace("hub", NAME_SERVER) as hub,
        namespace("stranger", NAME_SERVER) as stranger,
        tempfile.TemporaryDirectory(prefix="router-") as folder,
    ):
        connect(router, hub, "lan0", "eth0")
        connect(router, stranger, "wan0", "eth0")
        for machine, interface, address in (
            (router, "lan0", ROUTER),
            (router, "wan0", EXTERNAL),
            (hub, "eth0", HUB),
            (stranger, "eth0", STRANGER),
        ):
            machine.add_address(interface, f"{address}/24")
        hub.add_default_route(ROUTER)
        router.run("sysctl", "-qw", "net.ipv4.ip_forward=1")
        router.run("nft", "-f", "-", text=_FIREWALL)
        yield HomeNetwork(router, hub, stranger, Path(folder))
