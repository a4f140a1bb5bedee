"""What a command that takes a while is doing, while it does it: on stderr."""

from rich.live import Live
from rich.text import Text

from lkhub.cli.shared.show import err, is_screen, say


class Progress:
    """One line at the bottom of a terminal that the next step replaces; elsewhere each step is a line that stays."""

    def __init__(self) -> None:
        self._live: Live | None = None
        self._step = ""
        self._over = False

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_: object) -> None:
        self.clear()

    def tell(self, step: str, detail: str = "") -> None:
        """Show the step that begins now. `detail` may change during the step, and is shown on terminals alone."""
        if self._over:
            return
        if not is_screen(err):
            if step != self._step:
                err.print(f"{step} …")
        else:
            if self._live is None:
                # Without a thread of its own: the supervisor is forked from this process.
                self._live = Live(console=err, auto_refresh=False, transient=True)
                self._live.start()
            shown = Text(f"{step} …{f' {detail}' if detail else ''}", style="dim", no_wrap=True, overflow="ellipsis")
            self._live.update(shown, refresh=True)
        self._step = step

    def warn(self, text: str) -> None:
        """Print a warning that stays, in place of the line."""
        self.clear()
        say(text, "warning", "yellow")

    def clear(self) -> None:
        """Remove the line. The next step shows it again."""
        if self._live is not None:
            self._live.stop()
            self._live = None
        self._step = ""

    def end(self) -> None:
        """Remove the line for good: a thread that nothing waits for may still tell steps, and what it drew would stay,
        without a cursor."""
        self._over = True
        self.clear()
