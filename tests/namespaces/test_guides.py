"""Every command of every guide, typed by a reader on the machines that the guide is for.

Each guide has a scene: the machines, the programs on them, and the network between them. A guide without a scene is
followed on a machine without a network, whose hub is up.
"""

import json
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.certificates import make
from tests.documents import ROOT
from tests.kit.acme import AUTHORITIES, certifying
from tests.kit.guide import PUBLIC, STRANGE, Desk, follow, sit_down, sit_elsewhere
from tests.kit.netns import Namespace, connect, namespace, tunnel
from tests.kit.person import taking_part
from tests.kit.redis import run_redis
from tests.kit.tailscaled import Tailscaled, run_tailscaled
from tests.namespaces.home_network import EXTERNAL, HUB, STRANGER, make_home_network
from tests.namespaces.lan import NAME_SERVER, make_lan

pytestmark = pytest.mark.long

NAME = "rtc.example.com"

# The hub of the guides that are about a home, and another machine there.
AT_HOME, BESIDE = "192.168.1.5", "192.168.1.7"

TAILNET_NAME = "hub.tail1234.ts.net"

# The firewall rules of a carefully configured server.
FIREWALL = """
table inet filter {
  chain input {
    type filter hook input priority filter; policy drop;
    ct state established,related accept
    iifname "lo" accept
    meta l4proto { icmp, ipv6-icmp } accept
    tcp dport 22 accept
  }
}
"""

# What an office lets out.
OFFICE = """
table inet office {
  chain leaving {
    type filter hook output priority filter; policy drop;
    oifname "lo" accept
    tcp dport 443 accept
  }
}
"""


@dataclass(frozen=True)
class Scene:
    """The shells, and the reader's own addresses by those of the guide."""

    hub: Desk
    elsewhere: Desk | None = None
    own: Mapping[str, str] = field(default_factory=dict)


@contextmanager
def alone() -> Iterator[Scene]:
    """A machine without a network, and a hub that is up."""
    with namespace("machine", NAME_SERVER) as machine, sit_down(machine) as desk:
        desk.type("lkhub up --detach")
        yield Scene(desk)


@contextmanager
def team() -> Iterator[Scene]:
    """A hub with ann and bob in the room `team`, who see each other. Their SDK needs an interface besides loopback."""
    with make_lan(AT_HOME, BESIDE, "eth0") as lan, sit_down(lan.hub) as desk, ExitStack() as stack:
        desk.type("lkhub up --detach")
        url = json.loads(desk.type("lkhub env --json"))["LIVEKIT_URL"]
        tokens = [desk.type(f"lkhub token --room team --identity {who}").strip() for who in ("ann", "bob")]
        ann, bob = (stack.enter_context(taking_part(desk.prefix, url, token)) for token in tokens)
        ann.wait_received("bob/audio", "bob/video")
        bob.wait_received("ann/audio", "ann/video")
        yield Scene(desk)


@contextmanager
def quickstart() -> Iterator[Scene]:
    with namespace("machine", NAME_SERVER) as machine, sit_down(machine) as desk:
        yield Scene(desk)


@contextmanager
def home() -> Iterator[Scene]:
    """A machine at home with a firewall, and another one there."""
    with make_lan(AT_HOME, BESIDE, "eth0") as lan, sit_down(lan.hub) as desk, sit_elsewhere(lan.client) as elsewhere:
        lan.hub.run("nft", "-f", "-", text=FIREWALL)
        yield Scene(desk, elsewhere)


@contextmanager
def with_a_site() -> Iterator[Scene]:
    """As `home`, with the finished files of a front end beside the spec."""
    with home() as scene:
        files = scene.hub.folder / "frontend/dist"
        files.mkdir(parents=True)
        (files / "index.html").write_text("<!doctype html><title>bmo</title>")
        (files.parent / "build.sh").write_text(
            "mkdir dist && echo '<!doctype html><title>bmo</title>' > dist/index.html"
        )
        yield scene


@contextmanager
def internet(hub: Namespace, stranger: Namespace, address: str, stranger_address: str) -> Iterator[Mapping[str, str]]:
    """The hub's name leads to `address`, and authorities certify it from the stranger's machine. Yields what makes a
    program trust them."""
    names = dict.fromkeys(AUTHORITIES, stranger_address)
    for machine in (hub, stranger):
        machine.name_hosts({**names, NAME: address})
    with tempfile.TemporaryDirectory(prefix="acme-") as folder, certifying(stranger, Path(folder)) as root:
        yield {"SSL_CERT_FILE": str(root)}


@contextmanager
def server(leaving: str = "") -> Iterator[Scene]:
    """A rented machine, and one elsewhere that lets out what the ruleset `leaving` does."""
    with ExitStack() as stack:
        lan = stack.enter_context(make_lan(PUBLIC, STRANGE, "eth0"))
        hub, stranger = lan.hub, lan.client
        trusting = stack.enter_context(internet(hub, stranger, PUBLIC, STRANGE))
        hub.run("nft", "-f", "-", text=FIREWALL)
        elsewhere = stranger
        if leaving:
            elsewhere = stack.enter_context(namespace("office", NAME_SERVER))
            connect(hub, elsewhere, "eth1", "eth0")
            hub.add_address("eth1", "11.0.0.1/24")
            elsewhere.add_address("eth0", "11.0.0.2/24")
            elsewhere.add_default_route("11.0.0.1")
            elsewhere.name_hosts({NAME: PUBLIC})
            elsewhere.run("nft", "-f", "-", text=leaving)
        desk = stack.enter_context(sit_down(hub, trusting))
        far = stack.enter_context(sit_elsewhere(elsewhere, trusting))
        yield Scene(desk, far, {"203.0.113.5": PUBLIC})


@contextmanager
def without_a_name() -> Iterator[Scene]:
    """A rented machine without a name, and a client far away."""
    with make_lan(PUBLIC, STRANGE, "eth0") as lan, sit_down(lan.hub) as desk, sit_elsewhere(lan.client) as elsewhere:
        yield Scene(desk, elsewhere, {"203.0.113.5": PUBLIC})


@contextmanager
def behind_a_router(spec: str = "") -> Iterator[Scene]:
    """A machine behind a home router that maps ports, and a stranger on its other side."""
    with (
        make_home_network() as made,
        made.routing(),
        internet(made.hub, made.stranger, EXTERNAL, STRANGER) as trusting,
        sit_down(made.hub, trusting) as desk,
        sit_elsewhere(made.stranger, trusting) as elsewhere,
    ):
        if spec:
            (desk.folder / "hub.yaml").write_text(spec)
        yield Scene(desk, elsewhere, {"203.0.113.5": EXTERNAL, "192.168.1.5": HUB})


# The commands of Tailscale's that the guide names. All it is asked for otherwise goes over tailscaled's socket.
_TAILSCALE = 'case "$1" in up|set|status|ping) exit 0;; esac; echo "tailscale: unknown command $1"; exit 1'


@contextmanager
def tailnet() -> Iterator[Scene]:
    """A machine in a tailnet, and another one in it. Between the two a wire takes the place of Tailscale's tunnel."""
    now = datetime.now(UTC)
    valid = (now - timedelta(hours=1), now + timedelta(days=60))
    root = make("root", ca=True, valid=valid)
    leaf = make("", root, names=[TAILNET_NAME], valid=valid)
    with (
        make_lan(AT_HOME, BESIDE, "eth0") as lan,
        tunnel(lan.hub, "tailscale0", "100.64.0.7/32"),
        tempfile.TemporaryDirectory(prefix="tailnet-") as folder,
        run_tailscaled(f"{folder}/sock", Tailscaled(pairs={TAILNET_NAME: (leaf,)})),
    ):
        authority = Path(folder, "root.pem")
        authority.write_text(root.pem)
        trusting = {"SSL_CERT_FILE": str(authority)}
        for machine in (lan.hub, lan.client):
            machine.name_hosts({TAILNET_NAME: "100.64.0.7"})
        environ = {**trusting, "TS_SOCKET": f"{folder}/sock", "USER": "ann"}
        with (
            sit_down(lan.hub, environ, {"tailscale": _TAILSCALE}) as desk,
            sit_elsewhere(lan.client, trusting) as elsewhere,
        ):
            yield Scene(desk, elsewhere)


@contextmanager
def with_redis() -> Iterator[Scene]:
    """As `home`, with a Redis server where Debian's listens."""
    with home() as scene, run_redis(prefix=scene.hub.prefix, port=6379):
        yield scene


PUBLIC_SPEC = f"reach: public\ndomain: {NAME}\n"

SCENES: dict[str, Callable[[], AbstractContextManager[Scene]]] = {
    "docs/quickstart.md": quickstart,
    "docs/guides/development.md": quickstart,
    "docs/guides/firewall.md": lambda: behind_a_router(PUBLIC_SPEC),
    "docs/guides/home-public.md": behind_a_router,
    "docs/guides/home-server.md": home,
    "docs/guides/no-domain.md": without_a_name,
    "docs/guides/redis.md": with_redis,
    "docs/guides/rooms.md": team,
    "docs/guides/sites.md": with_a_site,
    "docs/guides/office-firewall.md": lambda: server(OFFICE),
    "docs/guides/tailscale.md": tailnet,
    "docs/guides/vps.md": server,
}

# These have scenes of their own, with the programs that they are about.
ELSEWHERE = {
    "docs/guides/agents.md",
    "docs/guides/applications.md",
    "docs/guides/behind-a-proxy.md",
    "docs/guides/docker.md",
    "docs/guides/kubernetes.md",
    "docs/guides/nixos.md",
    "docs/guides/service.md",
    "docs/guides/turn-of-others.md",
    "docs/guides/upgrade.md",
    "docs/guides/user-service.md",
}

GUIDES = [str(page.relative_to(ROOT)) for page in sorted(ROOT.glob("docs/guides/*.md"))]


@pytest.mark.parametrize("guide", ["docs/quickstart.md", *(guide for guide in GUIDES if guide not in ELSEWHERE)])
def test_a_reader_gets_where_the_guide_leads(guide: str) -> None:
    with SCENES.get(guide, alone)() as scene:
        follow(ROOT / guide, scene.hub, scene.elsewhere, scene.own)
