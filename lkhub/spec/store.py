"""`store`: the database of the application service.

No message repeats a URL, in which a password may stand.
"""

from dataclasses import dataclass
from typing import Annotated, Any, TypeAlias
from urllib.parse import parse_qsl, unquote, urlsplit

from pydantic import PlainSerializer, PlainValidator, WithJsonSchema

from lkhub.secret import Secret, SecretSource, describe_schema, parse_secret_source

_FORM = "write sqlite, postgresql://USER@HOST/DATABASE, or {url: …, password: SECRET}"


@dataclass(frozen=True)
class SqliteStore:
    """A file in the state directory."""

    def __str__(self) -> str:
        return "sqlite"


@dataclass(frozen=True)
class PostgresStore:
    """A database of PostgreSQL. `url` has no password."""

    url: str
    password: SecretSource | None = None


def parse_store(value: Any) -> SqliteStore | PostgresStore:
    """`sqlite`, a URL, or `{url, password}`. Raises ValueError with the right form for every wrong one."""
    match value:
        case SqliteStore() | PostgresStore():
            return value
        case "sqlite":
            return SqliteStore()
        case str():
            return _parse_url(value)
        case {"url": str(url), "password": password, **rest} if not rest:
            store = _parse_url(url)
            if store.password is not None:
                raise ValueError("the URL has a password too; keep one of them")
            return PostgresStore(store.url, parse_secret_source(password, "password"))
        case {"url": str(url), **rest} if not rest:
            return _parse_url(url)
    raise ValueError(f"not a store; {_FORM}")


def _parse_url(text: str) -> PostgresStore:
    if not text.lower().startswith(("postgresql://", "postgres://")):
        raise ValueError(f"not a database; {_FORM}")
    try:
        parts = urlsplit(text)
        # Before the port, which is then a part of the password.
        ended = "@" in parts.path + parts.fragment or (not parts.path and "@" in parts.query)
        user, password, port = parts.username, parts.password, None if ended else parts.port
    except ValueError:
        raise ValueError(f"not a URL; {_FORM}") from None
    if ended:
        # The rest of the password would stay in the URL, which is no secret.
        raise ValueError("the password has a /, ? or #, which ends it; write %2F, %3F or %23, or {url: …, password: …}")
    if not parts.path.strip("/"):
        raise ValueError(f"not a database; {_FORM}")
    if port == 0:
        raise ValueError(f"no database has port 0; {_FORM}")
    if any(name == "password" for name, _ in parse_qsl(parts.query, keep_blank_values=True)):
        # The service's configuration has the URL, and a file of its own has the password.
        raise ValueError(f"the password is in the URL's query, where it is no secret; {_FORM}")
    host = parts.netloc.rpartition("@")[2]
    netloc = f"{user}@{host}" if user else host
    query = f"?{parts.query}" if parts.query else ""  # urlunsplit would take the // from a URL without a host
    return PostgresStore(f"postgresql://{netloc}{parts.path}{query}", Secret(unquote(password)) if password else None)


Store: TypeAlias = Annotated[
    SqliteStore | PostgresStore,
    PlainValidator(parse_store),
    PlainSerializer(lambda store: str(store) if isinstance(store, SqliteStore) else store.url),
    WithJsonSchema(
        {
            "anyOf": [
                {"const": "sqlite"},
                {"type": "string", "pattern": "^postgres(ql)?://"},
                {
                    "type": "object",
                    "properties": {
                        "url": {"type": "string", "pattern": "^postgres(ql)?://"},
                        "password": describe_schema(),
                    },
                    "required": ["url"],
                    "additionalProperties": False,
                },
            ]
        }
    ),
]
