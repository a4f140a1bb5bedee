"""What the snippets for all proxies have in common: the facts in them, and how their text is made."""

import string
import textwrap
from collections.abc import Iterable
from dataclasses import dataclass

from lkhub.render.files import RenderedFile

# After how long a silence a proxy may cut a connection. Signalling pings every few seconds, and TURN is refreshed every
# few minutes.
SILENCE = "1h"

# The same limit as at the hub, so that the proxy stops larger requests already (lkhub.render.caddy, MAX_API_BODY).
BODY_LIMIT_BYTES = 1 << 20

# The port at which a proxy that splits port 443 by server name forwards HTTPS to itself.
HTTPS_BEHIND_SPLIT = 8443

_SNIPPET_MODE = 0o644


@dataclass(frozen=True)
class TurnRoute:
    """TURN over TLS: clients are told `host` and `port`; `upstream` (`host:port`) is the hub's own port for it.

    `is_split`: the proxy forwards clients there by the server name that they ask for; otherwise they connect directly.
    `proves_name`: the hub gets the certificate of `host` itself.
    """

    host: str
    port: int
    upstream: str
    is_split: bool
    proves_name: bool


@dataclass(frozen=True)
class ProxySite:
    """One hub as a proxy sees it. `sites` are the names of its web sites, which the proxy forwards as it does the hub's
    own, `domain`. `upstream` (`host:port`) speaks plain HTTP. `certificate` are the files of certificate and key for
    `domain` where the spec names them."""

    hub: str
    domain: str
    sites: tuple[str, ...]
    upstream: str
    certificate: tuple[str, str] | None
    turn: TurnRoute | None

    @property
    def names(self) -> tuple[str, ...]:
        """All names that the proxy forwards."""
        return (self.domain, *self.sites)


class Text(string.Template):
    """A text with `@name` to be filled in: in configurations of proxies, `$`, `%` and braces have meanings of their
    own."""

    delimiter = "@"


def fill(template: str, **values: object) -> str:
    """The template without its indentation, filled in. Raises KeyError for a value that is missing."""
    return Text(textwrap.dedent(template).strip("\n")).substitute(values)


def fill_yaml(template: str, **values: object) -> str:
    """The template filled in, with its indentation: in YAML the indentation has a meaning."""
    return Text(template.strip("\n")).substitute(values)


def snippet(name: str, blocks: Iterable[str]) -> RenderedFile:
    """A file of blocks with an empty line between them. It holds no secrets."""
    return RenderedFile(name, "\n\n".join(block for block in blocks if block) + "\n", _SNIPPET_MODE)


def indent(text: str, spaces: int) -> str:
    return textwrap.indent(text, " " * spaces)


def explain_turn(site: ProxySite, *, can_split: bool) -> str:
    """A comment that says how TURN over TLS reaches the hub."""
    turn = site.turn
    if turn is None:
        return fill(
            """
            # TURN over TLS, for clients that reach nothing but 443/tcp, is not offered: this proxy ends TLS for
            # @domain. turn.listen in the spec gives it a port of its own.
            """,
            domain=site.domain,
        )
    if not turn.is_split:
        return fill(
            """
            # TURN over TLS does not pass this proxy: clients go straight to @host:@port, and firewalls
            # must let them.
            """,
            host=turn.host,
            port=turn.port,
        )
    if can_split:
        return ""
    return fill(
        """
        # TURN over TLS at @host:@port can't pass this proxy: it speaks HTTP alone, and hands no connection on as
        # it is. Give TURN a port of its own (turn.port: @listen in the spec, with tls.cert and tls.key), or put a
        # program in front that splits by name: nginx's stream module, HAProxy, Caddy built with caddy-l4.
        """,
        host=turn.host,
        port=turn.port,
        listen=turn.upstream.rpartition(":")[2],
    )
