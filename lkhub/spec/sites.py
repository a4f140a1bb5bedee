"""`sites`: web sites that the edge serves."""

from typing import Annotated, Any, TypeAlias

from pydantic import Field, PlainValidator, WithJsonSchema

from lkhub.shown import shown
from lkhub.spec.domain import Domain
from lkhub.spec.part import Part
from lkhub.spec.ports import Port
from lkhub.spec.types import FilePath

# A process and its log are named after the site.
MAX_NAME = 24


def _parse_policy(value: Any) -> str:
    """A Content-Security-Policy."""
    if isinstance(value, str) and value.strip() and value.isprintable() and value.isascii() and "{" not in value:
        return value
    raise ValueError(f"{shown(value)} is not a Content-Security-Policy, such as \"default-src 'self'\"")


Policy: TypeAlias = Annotated[str, PlainValidator(_parse_policy), WithJsonSchema({"type": "string", "minLength": 1})]


class Site(Part):
    """A web site: the files of a folder, over TLS. It needs a `port`, a `domain`, or both."""

    name: Annotated[str, Field(pattern=rf"^[a-z0-9]([a-z0-9-]{{0,{MAX_NAME - 2}}}[a-z0-9])?$")]
    """Name of the site: lower-case letters, digits and dashes, at most 24."""

    root: FilePath
    """The folder with the site's files; a relative path starts from the spec's folder. Files and folders whose name
    begins with a dot are not served, except `.well-known`."""

    port: Port | None = Field(default=None, examples=[3001])
    """TCP port of the site at the hub's own names and addresses, with the hub's certificate."""

    domain: Domain | None = Field(default=None, examples=["bmo.example.com"])
    """Name of the site in the DNS, on the hub's HTTPS port. It leads to this machine, or in mode external to the proxy.
    In modes acme and internal the hub gets a certificate for it too."""

    csp: Policy | None = Field(default=None, examples=["\"default-src 'self'; connect-src *\""])
    """The site's Content-Security-Policy. By default pages load what is on the site itself, and connect to the site and
    to this hub."""
