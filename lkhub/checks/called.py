"""What is known of the hub that was called, as far as findings about a failed call depend on it. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from lkhub.checks.paths import PathResult
from lkhub.checks.surroundings import Surroundings
from lkhub.findings.finding import Finding, Ref


@dataclass(frozen=True)
class CalledHub:
    """The hub that was called: this machine's own hub, as its applied record describes it, or another server, of which
    nothing is known.

    `reach` and `tls`: reach and tls.mode of its spec, "" for another server. `name`: its host name for clients.
    `upstream`: where the edge listens for the proxy (`host:port`, mode external). `web`: where the web application
    listens. `ports`: for each path the port that it needs, as `7882/udp`. `turn`: the TURN endpoint that clients are
    told. `turn_upstream`: the edge's own port for TURN over TLS, to which a proxy may forward (mode external).
    `external_turn`: the external TURN servers that its spec names (turn.external), as `host:port`. `given_tokens`: the
    user gave the tokens; else they were made for this call. `unannounced`: the address of a proxy that lately forwarded
    TURN over TLS to the hub without the PROXY protocol. `uncertified`: the findings that say why the hub has no
    certificate for its name.

    The rest maps what explains a failed call to the finding about it. `closed`: the ports that this machine's own
    firewall closes to clients, as `7882/udp`. `astray`: the names that lead to no address of the hub. `down`: the
    processes that do not stay up. `hanging`: the processes that did not answer when the calls were made. `full`: the
    paths whose relay has no port left.
    """

    reach: str = ""
    tls: str = ""
    name: str = ""
    upstream: str = ""
    web: str = ""
    ports: Mapping[str, str] = field(default_factory=dict)
    turn: str = ""
    turn_upstream: str = ""
    external_turn: tuple[str, ...] = ()
    given_tokens: bool = False
    unannounced: str = ""
    uncertified: tuple[Finding, ...] = ()
    closed: Mapping[str, Ref] = field(default_factory=dict)
    astray: Mapping[str, Ref] = field(default_factory=dict)
    down: Mapping[str, Ref] = field(default_factory=dict)
    hanging: Mapping[str, Ref] = field(default_factory=dict)
    full: Mapping[str, Ref] = field(default_factory=dict)

    def within(self, around: Surroundings) -> "CalledHub":
        """The same hub, with what its surroundings say of its ports and names."""
        return replace(self, closed=around.closed_ports, astray=around.astray)

    @property
    def is_own(self) -> bool:
        return bool(self.reach)

    @property
    def is_proxied(self) -> bool:
        """Whether the hub expects a proxy in front."""
        return self.tls == "external"

    @property
    def has_split(self) -> bool:
        """Whether the hub expects the proxy to forward TURN over TLS as well, by its name."""
        return self.is_proxied and self.turn.rpartition(":")[2] != self.turn_upstream.rpartition(":")[2]

    @property
    def turn_name(self) -> str:
        """The host of the TURN endpoint."""
        return self.turn.rpartition(":")[0]

    def uses_external_turn(self, result: PathResult) -> bool:
        """Whether the path used only external TURN servers. The hub's own processes say nothing about these."""
        urls = (result.relay or result.evidence.get("relay", "")).split(", ")
        return all(url.partition("?")[0].partition(":")[2] in self.external_turn for url in urls)

    def port_of(self, result: PathResult) -> str:
        """The port that a path needs, as `7882/udp`: the port that was tried, else the spec's, else ""."""
        protocol, _, end = result.evidence.get("remote", "").split(",")[0].partition(" ")
        if end:
            return f"{end.rpartition(':')[2]}/{protocol}"
        return self.ports.get(result.path, "")


FOREIGN = CalledHub()
"""A server of which nothing is known: another machine's hub, or a LiveKit that is no hub."""
