"""Two machines on one wire: a hub on one of them, and clients on the other."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace

from lkhub.livekit.tokens import Grant, join_grant, sign
from lkhub.secret import Secret
from tests.kit.call import LISTENER, SPEAKER, Call, calling
from tests.kit.hub import Hub, make_hub
from tests.kit.links import root_of
from tests.kit.netns import Namespace, connect, namespace

# A namespace is a machine for itself, so the hub has its default ports.
PORTS = {"udp": 7882, "signal": 7880, "turn": 3478, "web": 8080, "relay": 30000}

# The network for tests of devices (RFC 2544), which no LAN uses.
HUB, CLIENT = "198.18.0.1", "198.18.0.2"
HUB_URL = f"wss://{HUB}"
HUB_SPEC = f"reach: lan\nmedia: {{advertise: {HUB}}}\n"
PLAIN_SPEC = f"{HUB_SPEC}tls: {{mode: off}}\n"

# Firewalls in front of the hub. With 443/tcp alone media goes through the edge: signalling and TURN over TLS share it.
NO_UDP = "iifname lan0 meta l4proto udp"
ONLY_443 = (NO_UDP, "iifname lan0 tcp dport != 443")

# No name server answers there (RFC 5737), so queries appear on the wire of the machine's default route.
NAME_SERVER = "192.0.2.53"


@dataclass(frozen=True)
class Lan:
    """The hub's machine and a client's, each the other's default gateway: every packet that one of them sends is on the
    wire between them."""

    hub: Namespace
    client: Namespace

    def name_hosts(self, addresses: Mapping[str, str]) -> None:
        """Let both find these names at these addresses."""
        for machine in (self.hub, self.client):
            machine.name_hosts(addresses)


@contextmanager
def make_lan(hub_at: str = HUB, client_at: str = CLIENT, interface: str = "lan0") -> Iterator[Lan]:
    """Two machines at addresses of one /24, and what both call their end of the wire."""
    with namespace("hub", NAME_SERVER) as hub, namespace("client", NAME_SERVER) as client:
        connect(hub, client, interface)
        hub.add_address(interface, f"{hub_at}/24")
        client.add_address(interface, f"{client_at}/24")
        hub.add_default_route(client_at)
        client.add_default_route(hub_at)
        yield Lan(hub, client)


@contextmanager
def somebody_on(machine: Namespace, interface: str, own: str, theirs: str) -> Iterator[Namespace]:
    """Another machine on the wire of an interface of `machine`, which has the address `own` there, in one /24."""
    with namespace("somebody") as made:
        connect(machine, made, interface)
        machine.add_address(interface, f"{own}/24")
        made.add_address(interface, f"{theirs}/24")
        yield made


@contextmanager
def hub_on(lan: Lan) -> Iterator[Hub]:
    """A hub on its machine of a LAN, up and not verified."""
    with make_hub(lan.hub.prefix, PORTS) as made:
        made.spec.write_text(HUB_SPEC)
        made.up("--no-verify")
        yield made


def on_client(hub: Hub, client: Namespace) -> Hub:
    """The same `lkhub` typed on the client's machine, with what `lkhub env` prints in the environment, the hub's root
    trusted where it has one, and nothing of the hub's state."""
    folder = hub.folder / "client"
    folder.mkdir(exist_ok=True)
    root = root_of(hub)
    trust = {"SSL_CERT_FILE": str(root)} if root.exists() else {}
    return replace(hub, prefix=client.prefix, folder=folder, environ={**hub.environ, **hub.env(), **trust})


@contextmanager
def call_from(client: Hub, room: str) -> Iterator[Call]:
    """A call of two people on the machine of `client`, which `on_client` made."""
    url, key, secret = (client.environ[f"LIVEKIT_{name}"] for name in ("URL", "API_KEY", "API_SECRET"))
    tokens = (sign(Grant(identity, join_grant(room)), key, Secret(secret)) for identity in (SPEAKER, LISTENER))
    trusted = [f"SSL_CERT_FILE={client.environ['SSL_CERT_FILE']}"] if "SSL_CERT_FILE" in client.environ else []
    with calling([*client.prefix, "env", *trusted], url, *tokens) as call:
        yield call
