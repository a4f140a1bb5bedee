"""Findings about the receivers of webhooks. Pure."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Protocol

from lkhub.findings.catalogue.webhooks import webhook_events_dead, webhook_receiver_fails
from lkhub.findings.finding import Finding, Fix
from lkhub.livekit.webhooks import may_be_the_key

# A receiver that is started anew is away for less.
FAILING_SECONDS = 60

MEND = "mend the receiver, and see whether it takes a sample"


class Receiver(Protocol):
    """What a receiver takes: lkhub.state.webhooks.ReceiverRecord."""

    @property
    def url(self) -> str: ...
    @property
    def waiting(self) -> int: ...
    @property
    def dead(self) -> int: ...
    @property
    def failing(self) -> float | None: ...
    @property
    def problem(self) -> str: ...


def check_webhooks(receivers: Iterable[Receiver], now: datetime) -> Iterator[Finding]:
    """A finding for each receiver that takes nothing, and for each that events were given up for."""
    for receiver in receivers:
        if receiver.waiting and receiver.failing and now.timestamp() - receiver.failing >= FAILING_SECONDS:
            since = f"{datetime.fromtimestamp(receiver.failing, UTC):%Y-%m-%d %H:%M:%S %Z}"
            wait = "1 event waits" if receiver.waiting == 1 else f"{receiver.waiting} events wait"
            yield webhook_receiver_fails(receiver.url).about(
                receiver.url,
                detail=f"{wait}; nothing was taken since {since}: {receiver.problem}",
                fix=(*_find_fix(receiver.problem), Fix(MEND, "lkhub webhooks test --all")),
            )
        if receiver.dead:
            yield webhook_events_dead(receiver.url, receiver.dead).about(
                receiver.url,
                fix=(
                    Fix("see which events, and why", "lkhub webhooks list"),
                    Fix("once the receiver is mended, send them again", "lkhub webhooks replay --all"),
                ),
            )


def _find_fix(problem: str) -> Iterator[Fix]:
    if may_be_the_key(problem):
        yield Fix("if its application was started with another API key, start it with the current one", "lkhub env")
