"""Which of the hub's keys each receiver of webhooks knows."""

from collections.abc import Callable, Mapping

from lkhub.host.keyfile import Keys, order_for_receiver
from lkhub.secret import Secret

SigningKey = tuple[str, Secret]


class ReceiverKeys:
    """`read_keys` gives the hub's ring, which may change at any time. `known`: by the URL of a receiver, the key with
    which it took an event last.

    A receiver knows the key that its application was started with. After a rotation that is the old one, until the
    application is started with the new one. The hub can't see that, so it signs with the key that the receiver took
    last. If the receiver refuses an event, the hub signs it with its other keys too. A receiver that has not taken an
    event yet is taken for one that knows the oldest key.
    """

    def __init__(self, read_keys: Callable[[], Keys], known: Mapping[str, str] | None = None) -> None:
        self._read_keys = read_keys
        self._known = dict(known or {})
        self._new: dict[str, str] = {}

    def list_for(self, url: str) -> list[SigningKey]:
        """The keys with which to sign for a receiver, the best one first. Raises MachineError where there are none."""
        keys = self._read_keys()
        known = self._known.get(url) or next(reversed(keys))
        return [(name, keys[name]) for name in order_for_receiver(keys, known)]

    def note_taken(self, url: str, name: str) -> None:
        """The receiver has taken an event that was signed with this key."""
        if self._known.get(url) != name:
            self._known[url] = self._new[url] = name

    def take_new(self) -> dict[str, str]:
        """What was found out since this was last called, by the URLs of receivers."""
        new, self._new = self._new, {}
        return new
