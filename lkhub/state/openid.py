"""The record of an OpenID provider that can't be used, which the service writes."""

from dataclasses import dataclass

from lkhub.source.typed import Epoch
from lkhub.state.document import find_record, write_record


@dataclass(frozen=True)
class OpenIdRecord:
    """The provider `issuer` does not give all that it is asked for since `failing` (epoch seconds), for the last time
    because of `problem`; None and "" where it does, or was not asked."""

    failing: Epoch | None
    problem: str
    issuer: str = ""


def write_openid(path: str, record: OpenIdRecord) -> None:
    write_record(record, path)


def read_openid(path: str) -> OpenIdRecord | None:
    """The record; None if there is none."""
    return find_record(OpenIdRecord, path)
