"""The DNS name of a hub. Each error says what was expected."""

import re
from ipaddress import ip_address
from typing import Annotated, Any, TypeAlias

from pydantic import PlainValidator, WithJsonSchema

from lkhub.shown import shown

_LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"  # RFC 1123, section 2.1


def parse_domain(value: Any) -> str:
    """A DNS name with a dot in it, in lower case, as certificates have them."""
    text = value.lower().removesuffix(".") if isinstance(value, str) else ""
    if re.fullmatch(r"[a-z]+://.*", text):
        raise ValueError(f"{shown(value)} is a URL; write the name alone, such as rtc.example.com")
    if _is_ip(text):
        raise ValueError(f"{shown(value)} is an IP address; write a DNS name, or media.advertise for the address")
    if not text.isascii() and _is_domain(written := _to_ascii(text)):
        raise ValueError(f"{shown(value)} has letters that DNS does not know; write its ASCII form, {written}")
    if not _is_domain(text):
        raise ValueError(f"{shown(value)} is not a DNS name such as rtc.example.com")
    return text


def _is_domain(text: str) -> bool:
    # The last label begins with a letter: clients take a name that ends in a number for an IPv4 address.
    return len(text) <= 253 and re.fullmatch(rf"({_LABEL}\.)+(?=[a-z]){_LABEL}", text) is not None


def _to_ascii(name: str) -> str:
    try:
        return name.encode("idna").decode()
    except UnicodeError:
        return ""


def _is_ip(text: str) -> bool:
    try:
        return bool(ip_address(text.strip("[]")))
    except ValueError:
        return False


Domain: TypeAlias = Annotated[
    str, PlainValidator(parse_domain), WithJsonSchema({"type": "string", "format": "hostname"})
]
