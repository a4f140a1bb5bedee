"""The firewall table of a hub, in the forms that people and firewalls read."""

from collections.abc import Callable, Mapping

from lkhub.firewall.table import FirewallTable
from lkhub.render.files import RenderedFile
from lkhub.render.firewall.cloud import render_aws, render_gcp, render_hetzner
from lkhub.render.firewall.local import render_firewalld, render_nftables, render_ufw


def render_text(table: FirewallTable) -> tuple[RenderedFile, ...]:
    """The table for people: which ports to open, for which sources and purposes, and which not to, with the reason."""
    lines = [f"{table.hub}: ports to open for reach: {table.reach}"]
    rows: list[tuple[str, ...]] = [("port", "from", "purpose", "process", "spec")]
    rows += [(str(row), row.source, row.purpose, row.process, row.key) for row in table.rows]
    lines += _align(rows) if table.rows else ["  none"]
    lines += ["", "not to be opened"]
    lines += _align([(str(row), row.purpose, row.why) for row in table.closed])
    return (RenderedFile("firewall.txt", "\n".join(lines) + "\n", 0o644),)


def _align(rows: list[tuple[str, ...]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    padded = (zip(row, widths, strict=True) for row in rows)
    return [("  " + "  ".join(text.ljust(width) for text, width in row)).rstrip() for row in padded]


FORMS: Mapping[str, Callable[[FirewallTable], tuple[RenderedFile, ...]]] = {
    "text": render_text,
    "nftables": render_nftables,
    "ufw": render_ufw,
    "firewalld": render_firewalld,
    "aws": render_aws,
    "gcp": render_gcp,
    "hetzner": render_hetzner,
}


def render_firewall(table: FirewallTable) -> tuple[RenderedFile, ...]:
    """The files of all forms."""
    return tuple(file for form in FORMS.values() for file in form(table))
