"""Reports the steps of work that takes a while."""

from typing import Protocol


class Progress(Protocol):
    """What the steps of the work are reported to. The command line shows them on stderr."""

    def tell(self, step: str, detail: str = "") -> None:
        """Report the step that begins now, or a new detail of the step that goes on."""

    def warn(self, text: str) -> None:
        """Report something that a person should know. The work goes on."""
