"""Values of a spec that YAML has no type for, and that no other module here is about. For any other value, each error
says what was expected."""

import re
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import PlainSerializer, PlainValidator, WithJsonSchema

from lkhub.secret import SecretSource, describe_schema, describe_source, parse_secret_source
from lkhub.shown import shown
from lkhub.spec.duration import Duration, parse_drain

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
SecretValue: TypeAlias = Annotated[
    SecretSource,
    PlainValidator(parse_secret_source),
    PlainSerializer(describe_source),
    WithJsonSchema(describe_schema()),
]
"""A secret of the spec: itself, `{file: PATH}` or `{env: NAME}`."""
