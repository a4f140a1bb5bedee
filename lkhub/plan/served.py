"""A TCP port of this machine that Tailscale serves by itself."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Served:
    """`option` is the one of `tailscale serve` that made it: https, http, tcp or tls-terminated-tcp. `kept`: until a
    command ends it; otherwise for as long as one runs in a terminal."""

    port: int
    option: str
    kept: bool = True
