"""The record of what the receivers of webhooks take, which the service writes."""

from dataclasses import dataclass

from lkhub.source.typed import Epoch
from lkhub.state.document import find_record, write_record


@dataclass(frozen=True)
class ReceiverRecord:
    """A receiver. `url` is as it may be shown. `waiting` and `dead` are numbers of events. It has taken nothing since
    `failing` (epoch seconds), for the last time because of `problem`; None and "" where it takes what it gets."""

    url: str
    waiting: int = 0
    dead: int = 0
    failing: Epoch | None = None
    problem: str = ""


@dataclass(frozen=True)
class WebhooksRecord:
    """The receivers of the spec in force."""

    receivers: tuple[ReceiverRecord, ...] = ()


def write_webhooks(path: str, record: WebhooksRecord) -> None:
    write_record(record, path)


def read_webhooks(path: str) -> tuple[ReceiverRecord, ...]:
    """The receivers; none if there is no record."""
    record = find_record(WebhooksRecord, path)
    return record.receivers if record else ()
