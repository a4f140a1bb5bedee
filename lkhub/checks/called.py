"""Which hub was called, as far as what is said about a failed call depends on it. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from lkhub.checks.paths import PathResult
from lkhub.checks.surroundings import Surroundings
from lkhub.findings.finding import Finding, Ref


@dataclass(frozen=True)
class CalledHub:
    """The hub that was called: this machine's own, by the record of what is in force, or somebody else's, of which
    nothing is known.

    `reach` and `tls` are of its spec, "" where it is somebody else's. `name` is where clients find it. `upstream` is
    where the edge listens for the proxy (`host:port`, mode external), `web` where its web application
    does. `ports` are the ports that paths need, as `7882/udp`. `turn` is the host and port that clients are told
    for TURN over TLS, and `turn_upstream` the edge's own port for it, which a proxy may lead to (mode external).
    `others` are TURN servers of others that its spec names (turn.external), as `host:port`. `given_tokens`: they
    were not made here and now. `unannounced`: the address of a proxy that lately led TURN over TLS to the hub
    without saying where its clients are. `uncertified`: why it has no certificate for its name. `closed` are ports
    that this machine's own firewall closes to clients, as `7882/udp`, each with the finding that says so. So are
    `astray` the names that lead to other machines alone, `down` the processes that do not stay up, `hanging` those
    that did not answer when the calls were made, and `full` the paths whose relay has nothing left.
    """

    reach: str = ""
    tls: str = ""
    name: str = ""
    upstream: str = ""
    web: str = ""
    ports: Mapping[str, str] = field(default_factory=dict)
    turn: str = ""
    turn_upstream: str = ""
    others: tuple[str, ...] = ()
    given_tokens: bool = False
    unannounced: str = ""
    uncertified: tuple[Finding, ...] = ()
    closed: Mapping[str, Ref] = field(default_factory=dict)
    astray: Mapping[str, Ref] = field(default_factory=dict)
    down: Mapping[str, Ref] = field(default_factory=dict)
    hanging: Mapping[str, Ref] = field(default_factory=dict)
    full: Mapping[str, Ref] = field(default_factory=dict)

    def within(self, around: Surroundings) -> "CalledHub":
        """With what is known of the way to it."""
        return replace(self, closed=around.closed_ports, astray=around.astray)

    @property
    def is_own(self) -> bool:
        return bool(self.reach)

    @property
    def is_proxied(self) -> bool:
        """Whether a proxy is expected in front of it."""
        return self.tls == "external"

    @property
    def has_split(self) -> bool:
        """Whether a proxy is expected to lead TURN over TLS to the hub, too."""
        return self.is_proxied and self.turn.rpartition(":")[2] != self.turn_upstream.rpartition(":")[2]

    @property
    def turn_name(self) -> str:
        """The host that clients are told for TURN over TLS."""
        return self.turn.rpartition(":")[0]

    def is_of_others(self, result: PathResult) -> bool:
        """Whether a path led to TURN servers of others alone, of which nothing that runs here says anything."""
        urls = (result.relay or result.evidence.get("relay", "")).split(", ")
        return all(url.partition("?")[0].partition(":")[2] in self.others for url in urls)

    def port_of(self, result: PathResult) -> str:
        """The port that a path needs, as `7882/udp`: the one that was tried, else the spec's, else ""."""
        protocol, _, end = result.evidence.get("remote", "").split(",")[0].partition(" ")
        if end:
            return f"{end.rpartition(':')[2]}/{protocol}"
        return self.ports.get(result.path, "")


FOREIGN = CalledHub()
