"""Columns on stdout."""

from collections.abc import Sequence

from rich.cells import cell_len
from rich.text import Text

from lkhub.cli.shared.show import out
from lkhub.shown import tame_line

# A longer text moves the rest of its own row, and no other row.
MAX_WIDTH = 40

GAP = "  "


def show_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print the rows below their heads; without rows nothing. A text may be another program's: none begins a row."""
    if not rows:
        return
    rows = [[tame_line(text) for text in row] for row in rows]
    widths = [min(MAX_WIDTH, max(map(cell_len, column))) for column in zip(heads, *rows, strict=True)]
    for number, row in enumerate((heads, *rows)):
        cells = [text + " " * (width - cell_len(text)) for text, width in zip(row, widths, strict=True)]
        out.print(Text(GAP.join(cells).rstrip(), style="" if number else "dim"))
