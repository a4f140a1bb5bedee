"""How every command line of lkhub is set up."""

from typing import Any

import typer


def make_app(**settings: Any) -> typer.Typer:
    """A parser; `settings` are typer's own."""
    return typer.Typer(
        add_completion=False,
        # Boxes spoil copied text, and keep the line breaks of docstrings.
        rich_markup_mode=None,
        # A traceback with local variables would print secrets.
        pretty_exceptions_enable=False,
        **settings,
    )
