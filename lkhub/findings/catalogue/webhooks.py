"""Codes of webhooks: what applications were not told."""

from lkhub.findings.declare import Says, declare


@declare("webhook-receiver-fails", "warning")
def webhook_receiver_fails(url: str) -> Says:
    """A receiver of `webhooks` has taken nothing for a minute, and events wait for it. The subject is its URL.

    **Why.** The detail has what came back: *answered 401* or *403* is a receiver that knows another API key, *answered
    404* another path, *no answer within 10 s* one that works on the event before it answers. A redirect is not
    followed. An address of this machine or of a private network takes `allow_private: true` in the spec.

    **What to do.** Mend the receiver, and see whether it takes a sample:

    ```sh
    lkhub webhooks test --all
    ```

    Nothing is lost meanwhile: each event is sent again for a day. Then, or after ten minutes where the receiver takes
    other events, it is given up ([webhook-events-dead](#webhook-events-dead)).
    """
    return Says(f"{url} takes no events", "the events wait, and are sent again for a day")


@declare("webhook-events-dead", "warning")
def webhook_events_dead(url: str, number: int) -> Says:
    """Events were given up that a receiver did not take. The subject is its URL.

    **Why.** An event is given up after a day, or after ten minutes if its receiver takes other events meanwhile: the
    events of its room wait behind it. Events for a receiver that the spec no longer has are given up after a
    minute. What was given up is kept for a week.

    **What to do.** See which they are, and why; once the receiver is mended, send them again:

    ```sh
    lkhub webhooks list
    lkhub webhooks replay --all
    ```
    """
    events = "an event was" if number == 1 else f"{number} events were"
    why = "an event is sent for a day, or for ten minutes to a receiver that takes others"
    return Says(f"{events} given up that {url} did not take", why)
