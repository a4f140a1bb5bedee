"""What hears of work that takes a while."""

from typing import Protocol


class Progress(Protocol):
    """A listener; the command line shows what it hears on stderr."""

    def tell(self, step: str, detail: str = "") -> None:
        """The step that begins now, or more of the one that goes on."""

    def warn(self, text: str) -> None:
        """Something that a person should know, and that ends nothing."""
