"""`redis`: the Redis server through which two media processes share their rooms.

No message repeats a URL, in which a password may stand.
"""

from dataclasses import dataclass
from typing import Annotated, Any, TypeAlias
from urllib.parse import unquote, urlsplit

from pydantic import PlainSerializer, PlainValidator, WithJsonSchema

from lkhub.secret import Secret, SecretSource, describe_schema, parse_secret_source

_FORM = "write redis://HOST:PORT/DATABASE, rediss:// with TLS, or {url: …, password: SECRET}"

DEFAULT_PORT = 6379


@dataclass(frozen=True)
class Redis:
    """A server. `host` is a name or an address, IPv6 without brackets; `username` is "" for Redis's own default
    user."""

    host: str
    port: int = DEFAULT_PORT
    database: int = 0
    tls: bool = False
    username: str = ""
    password: SecretSource | None = None

    @property
    def address(self) -> str:
        """HOST:PORT."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def url(self) -> str:
        """Without a login."""
        return f"redis{'s' if self.tls else ''}://{self.address}/{self.database}"


def parse_redis(value: Any) -> Redis:
    """A URL, or `{url, username, password}`. Raises ValueError with the right form for every wrong one."""
    match value:
        case Redis():
            return value
        case str():
            return _parse_url(value)
        case {"url": str(url), **rest} if not rest.keys() - {"username", "password"}:
            return _add_login(_parse_url(url), rest)
        case {"url": str()}:
            raise ValueError(f"it has url, username and password, and no other key; {_FORM}")
    raise ValueError(f"not a Redis server; {_FORM}")


def _add_login(redis: Redis, given: dict[Any, Any]) -> Redis:  # not judged yet
    username, password = redis.username, redis.password
    if "username" in given:
        if username:
            raise ValueError("the URL has a username too; keep one of them")
        username = given["username"]
        if not isinstance(username, str) or not username:
            raise ValueError("username is a name that Redis knows (ACL), or is left out")
    if "password" in given:
        if password is not None:
            raise ValueError("the URL has a password too; keep one of them")
        password = parse_secret_source(given["password"], "password")
    return _judge_login(Redis(redis.host, redis.port, redis.database, redis.tls, username, password))


def _judge_login(redis: Redis) -> Redis:
    if redis.username and redis.password is None:
        raise ValueError("a username without a password; write {url: …, username: …, password: SECRET}")
    return redis


def _parse_url(text: str) -> Redis:
    if not text.lower().startswith(("redis://", "rediss://")):
        raise ValueError(f"not a Redis server; {_FORM}")
    try:
        parts = urlsplit(text)
        # Before the port, which is then a part of the password.
        ended = "@" in parts.path + parts.query + parts.fragment
        host, port = parts.hostname, None if ended else parts.port
    except ValueError:
        raise ValueError(f"not a URL; {_FORM}") from None
    if ended:
        # The rest of the password would stay in the URL, which is no secret.
        raise ValueError("the password has a /, ? or #, which ends it; write %2F, %3F or %23, or {url: …, password: …}")
    database = parts.path.strip("/") or "0"
    if not host or not (database.isascii() and database.isdigit()):
        raise ValueError(f"not a Redis server; {_FORM}")
    if port == 0:
        raise ValueError(f"no server has port 0; {_FORM}")
    if parts.query or parts.fragment:
        raise ValueError(f"nothing may follow the database; {_FORM}")
    password = Secret(unquote(parts.password)) if parts.password else None
    tls = parts.scheme == "rediss"
    return Redis(host, port or DEFAULT_PORT, int(database), tls, unquote(parts.username or ""), password)


def _parse_given(value: Any) -> Redis:
    return _judge_login(parse_redis(value))


_URL_SCHEMA = {"type": "string", "pattern": "^rediss?://"}

RedisServer: TypeAlias = Annotated[
    Redis,
    PlainValidator(_parse_given),
    PlainSerializer(lambda redis: redis.url),
    WithJsonSchema(
        {
            "anyOf": [
                _URL_SCHEMA,
                {
                    "type": "object",
                    "properties": {
                        "url": _URL_SCHEMA,
                        "username": {"type": "string"},
                        "password": describe_schema(),
                    },
                    "required": ["url"],
                    "additionalProperties": False,
                },
            ]
        }
    ),
]
