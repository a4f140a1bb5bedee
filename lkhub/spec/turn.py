"""TURN servers of other operators, as the spec names them, with coturn's REST secret or a user name and credential.

No message repeats what was given but the names of keys: a secret may stand anywhere in an entry that is wrong.
"""

import re
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import PlainSerializer, PlainValidator, WithJsonSchema

from lkhub.secret import SecretSource, describe_schema, parse_secret_source
from lkhub.spec.ports import parse_port

TurnProtocol = Literal["udp", "tcp", "tls"]

# RFC 7065, section 3.2.
_DEFAULT_PORTS = {"turn": 3478, "turns": 5349}

_URL = re.compile(r"(turns?):(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9.-]+)(?::([0-9]{1,9}))?(?:\?transport=(udp|tcp))?")
_URL_FORM = "write turns:HOST:PORT, or turn:HOST:PORT?transport=udp"
_FORM = "write {url: turns:HOST:PORT, secret: SECRET}, or {url: …, username: NAME, credential: SECRET}"


@dataclass(frozen=True)
class SharedSecret:
    """A secret that the TURN server knows too (coturn's `static-auth-secret`). Credentials with an expiry are made from
    it."""

    secret: SecretSource


@dataclass(frozen=True)
class Login:
    """One user name and credential for all clients."""

    username: str
    credential: SecretSource


@dataclass(frozen=True)
class ExternalTurn:
    """One TURN server. An IPv6 `host` is in brackets."""

    host: str
    port: int
    protocol: TurnProtocol
    auth: SharedSecret | Login

    @property
    def secret(self) -> SecretSource:
        """The secret part, in either form."""
        return self.auth.secret if isinstance(self.auth, SharedSecret) else self.auth.credential

    @property
    def url(self) -> str:
        scheme, transport = ("turns", "tcp") if self.protocol == "tls" else ("turn", self.protocol)
        return f"{scheme}:{self.host}:{self.port}?transport={transport}"


def parse_external_turn(value: Any) -> ExternalTurn:
    """`{url, secret}` or `{url, username, credential}`. Raises ValueError with the right form for every wrong one."""
    if isinstance(value, ExternalTurn):
        return value
    match value:
        case {"url": url, "secret": secret, **rest} if not rest:
            return ExternalTurn(*_parse_url(url), SharedSecret(parse_secret_source(secret)))
        case {"url": url, "username": str(username), "credential": credential, **rest} if username and not rest:
            return ExternalTurn(*_parse_url(url), Login(username, parse_secret_source(credential, "credential")))
        case {"url": _, "username": _, "credential": _, "secret": _}:
            raise ValueError("both a secret and a credential; keep the one that the TURN server asks for")
        case {"url": _}:
            raise ValueError(f"how to log in is missing, or something else stands there too; {_FORM}")
    raise ValueError(f"not a TURN server; {_FORM}")


def _parse_url(value: Any) -> tuple[str, int, TurnProtocol]:
    if isinstance(value, str) and value.startswith(("turn://", "turns://")):
        raise ValueError(f"a TURN URL has no //; {_URL_FORM}")
    found = _URL.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise ValueError(f"not a TURN URL; {_URL_FORM}")
    scheme, host, port, transport = found.groups()
    if scheme == "turns" and transport == "udp":
        raise ValueError("LiveKit has no words for TURN over DTLS; write turns:HOST:PORT, which is over TLS")
    protocol: TurnProtocol = "tls" if scheme == "turns" else "tcp" if transport == "tcp" else "udp"
    return host, parse_port(port or _DEFAULT_PORTS[scheme]), protocol


_URL_SCHEMA = {"type": "string", "pattern": "^turns?:"}
_SCHEMA: dict[str, object] = {
    "anyOf": [
        {
            "type": "object",
            "properties": {"url": _URL_SCHEMA, "secret": describe_schema()},
            "required": ["url", "secret"],
            "additionalProperties": False,
        },
        {
            "type": "object",
            "properties": {"url": _URL_SCHEMA, "username": {"type": "string"}, "credential": describe_schema()},
            "required": ["url", "username", "credential"],
            "additionalProperties": False,
        },
    ]
}

External: TypeAlias = Annotated[
    ExternalTurn,
    PlainValidator(parse_external_turn),
    PlainSerializer(lambda server: server.url),
    WithJsonSchema(_SCHEMA),
]
