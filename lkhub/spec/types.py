"""Values of a spec that YAML has no type for, and that no other module here is about. For any other value, each error
says what was expected."""

import re
from typing import Annotated, Any, Literal, TypeAlias
from urllib.parse import SplitResult, urlsplit

from pydantic import PlainSerializer, PlainValidator, WithJsonSchema

from lkhub.secret import SecretSource, describe_schema, describe_source, parse_secret_source
from lkhub.shown import shown
from lkhub.spec.duration import Duration, parse_drain, parse_lifetime

Reach: TypeAlias = Literal["local", "lan", "public"]
TlsMode: TypeAlias = Literal["off", "internal", "acme", "files", "tailscale", "external"]


def parse_email(value: Any) -> str:
    """An e-mail address; only typing errors are found, not whether the address exists."""
    if isinstance(value, str) and re.fullmatch(r"[^@\s]+@[^@\s]+", value):
        return value
    raise ValueError(f"{shown(value)} is not an e-mail address")


def parse_file_path(value: Any) -> str:
    """The path of a file, there or not."""
    if isinstance(value, str) and value.strip() and value.isprintable():
        return value
    raise ValueError(f"{shown(value)} is not the path of a file")


def parse_web_url(value: Any) -> str:
    """An http or https URL with a host, and without a user or a fragment."""
    parts = _split_web_url(value)
    if parts is None:
        raise ValueError("not a URL of http or https; write https://HOST/PATH")  # it may hold a secret
    if parts.username is not None:
        raise ValueError("has a user or a password, and neither would be sent; write https://HOST/PATH")
    if "#" in value:
        raise ValueError("has a fragment, which would not be sent; write it without # and what follows")
    return str(value)


def _split_web_url(value: Any) -> SplitResult | None:
    if not isinstance(value, str) or not value.isprintable() or re.search(r"\s", value):
        return None
    try:
        parts = urlsplit(value)
        return parts if parts.scheme in ("http", "https") and parts.hostname and parts.port != 0 else None
    except ValueError:
        return None


def parse_origin(value: Any) -> str:
    """A web page's origin: scheme, host and port alone."""
    parts = _split_web_url(value)
    # Origins are compared as they are, so `*` would stand for no other.
    if parts is None or parts.username is not None or "*" in parts.netloc:
        raise ValueError("not the origin of a web page; write https://HOST, one for each origin")
    url = str(value).rstrip("/").lower()
    if url != f"{parts.scheme}://{parts.netloc.lower()}":
        raise ValueError(f"{shown(value)} has more than an origin; write https://HOST")
    if not url.isascii():
        raise ValueError(f"{shown(value)} is not as browsers send it; write the host in ASCII (xn--…)")
    # Browsers leave out the port that the scheme has by itself.
    return url.removesuffix(":443" if url.startswith("https:") else ":80")


def parse_glob(value: Any) -> str:
    """A pattern of names: `*` stands for any characters, `?` for one, `[…]` for one of several."""
    if isinstance(value, str) and value and value.isprintable():
        return value
    if value == "":
        raise ValueError("empty; write a pattern of names, such as voice-*")
    raise ValueError(f"{shown(value)} is not a pattern of names, such as voice-*")


Email: TypeAlias = Annotated[str, PlainValidator(parse_email), WithJsonSchema({"type": "string", "format": "email"})]
FilePath: TypeAlias = Annotated[
    str, PlainValidator(parse_file_path), WithJsonSchema({"type": "string", "minLength": 1})
]
Drain: TypeAlias = Annotated[
    Duration,
    PlainValidator(parse_drain),
    PlainSerializer(str),
    WithJsonSchema({"type": "string", "pattern": r"^\d{1,6}[smhd]$"}),
]
Lifetime: TypeAlias = Annotated[
    Duration,
    PlainValidator(parse_lifetime),
    PlainSerializer(str),
    WithJsonSchema({"type": "string", "pattern": r"^\d{1,6}[smhd]$"}),
]
WebUrl: TypeAlias = Annotated[
    str, PlainValidator(parse_web_url), WithJsonSchema({"type": "string", "pattern": "^https?://"})
]
Origin: TypeAlias = Annotated[
    str, PlainValidator(parse_origin), WithJsonSchema({"type": "string", "pattern": "^https?://"})
]
Glob: TypeAlias = Annotated[str, PlainValidator(parse_glob), WithJsonSchema({"type": "string", "minLength": 1})]
SecretValue: TypeAlias = Annotated[
    SecretSource,
    PlainValidator(parse_secret_source),
    PlainSerializer(describe_source),
    WithJsonSchema(describe_schema()),
]
"""A secret of the spec: itself, `{file: PATH}` or `{env: NAME}`."""
