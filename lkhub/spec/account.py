"""An account that an ACME issuer knows before it is asked: external account binding (RFC 8555, section 7.3.4).

No message repeats what was given: where the key's name should stand, people put the key.
"""

import base64
import binascii
import re
from dataclasses import dataclass
from typing import Annotated, Any, TypeAlias

from pydantic import PlainSerializer, PlainValidator, WithJsonSchema

from lkhub.secret import (
    Reading,
    Secret,
    SecretError,
    SecretSource,
    describe_schema,
    parse_secret_source,
    require_secret,
)

FORM = "write {key_id: ID, mac_key: SECRET}, where SECRET may be {file: PATH} or {env: NAME}"

# The forms that issuers use: UUIDs, hex, base64url, URLs. Caddy would take braces for placeholders.
_KEY_ID = re.compile(r"[!-z|~]+")


def parse_mac_key(text: str) -> Secret:
    """The key as acmez takes it, base64url without padding (acme/account.go); issuers also give other forms of base64.
    Raises SecretError for anything else."""
    plain = text.rstrip("=").translate(str.maketrans("+/", "-_"))
    try:
        key = base64.b64decode(plain + "=" * (-len(plain) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not key:
        raise SecretError("the mac_key is not base64; copy it whole, as the issuer gives it out")
    return Secret(plain)


def _read_mac_key(text: str) -> Secret:
    return parse_mac_key(require_secret(text).reveal())


@dataclass(frozen=True)
class ExternalAccount:
    """`key_id` names the account, `mac_key` proves that it belongs to this operator."""

    key_id: str
    mac_key: Annotated[SecretSource, Reading(_read_mac_key)]


def parse_external_account(value: Any) -> ExternalAccount:
    """`{key_id, mac_key}`. Raises ValueError with the right form for every wrong one."""
    match value:
        case ExternalAccount():
            return value
        case {"key_id": str(key_id), "mac_key": mac_key, **rest} if not rest and _KEY_ID.fullmatch(key_id):
            return ExternalAccount(key_id, parse_secret_source(mac_key, "mac_key"))
        case {"key_id": int() | float(), "mac_key": _, **rest} if not rest:
            raise ValueError("the key_id is a number to YAML; put it in quotes")
    raise ValueError(f"not an account with an issuer; {FORM}")


_SCHEMA: dict[str, object] = {
    "type": "object",
    "properties": {"key_id": {"type": "string"}, "mac_key": describe_schema()},
    "required": ["key_id", "mac_key"],
    "additionalProperties": False,
}

Account: TypeAlias = Annotated[
    ExternalAccount,
    PlainValidator(parse_external_account),
    PlainSerializer(lambda account: account.key_id),
    WithJsonSchema(_SCHEMA),
]
