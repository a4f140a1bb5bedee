"""Who issues a certificate over ACME."""

import re
from typing import Annotated, Any, Literal, TypeAlias, get_args
from urllib.parse import urlsplit

from pydantic import PlainValidator, WithJsonSchema

from lkhub.shown import shown

Known = Literal["letsencrypt", "zerossl", "google"]

DIRECTORIES: dict[str, str] = {
    "letsencrypt": "https://acme-v02.api.letsencrypt.org/directory",
    "zerossl": "https://acme.zerossl.com/v2/DV90",
    "google": "https://dv.acme-v02.api.pki.goog/directory",
}


def parse_issuer(value: Any) -> str:
    """`auto`, a name, or the HTTPS URL of an ACME directory."""
    if value == "auto" or value in get_args(Known):
        return str(value)
    if isinstance(value, str) and _is_directory(value):
        return value
    names = ", ".join(["auto", *get_args(Known)])
    raise ValueError(f"{shown(value)} is not an issuer; write {names}, or the https:// URL of an ACME directory")


def _is_directory(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme == "https" and bool(parts.hostname) and parts.port != 0 and re.search(r"\s", url) is None
    except ValueError:  # of urlsplit and of the port
        return False


Issuer: TypeAlias = Annotated[
    str,
    PlainValidator(parse_issuer),
    WithJsonSchema({"anyOf": [{"enum": ["auto", *get_args(Known)]}, {"type": "string", "format": "uri"}]}),
]
