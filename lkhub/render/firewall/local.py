"""The firewall table for firewalls of this machine: nftables, ufw, firewalld."""

import shlex

from lkhub.firewall.nftables import comment_row, match_rows
from lkhub.firewall.table import FirewallRow, FirewallTable, show_network
from lkhub.firewall.ufw import list_ufw_commands
from lkhub.render.files import RenderedFile

# A table of its own would open nothing: a packet passes every input chain, and one drop is final.
_NFT_HEAD = """\
# Ports of the LiveKit hub {hub}. Include this file in the input chain of your own ruleset, after the rules for
# established connections and before what drops:
#
#     chain input {{
#         type filter hook input priority filter; policy drop;
#         ct state established,related accept
#         include "{path}"
#     }}
#
# In a table of its own it would have no effect: an accept ends the chain that it is in and no other.
"""


def render_nftables(table: FirewallTable) -> tuple[RenderedFile, ...]:
    """Rules to include in an input chain of family inet."""
    rules = "".join(
        f'{match} accept comment "{comment_row(row, table.tag)}"\n' for row in table.rows for match in match_rows(row)
    )
    name = f"lkhub-{table.hub}.nft"
    return (RenderedFile(name, _NFT_HEAD.format(hub=table.hub, path=f"/etc/{name}") + rules, 0o644),)


def render_ufw(table: FirewallTable) -> tuple[RenderedFile, ...]:
    """A script of `ufw allow` commands."""
    commands = [str(command) for command in list_ufw_commands(table)]
    return (_script("ufw.sh", [f"# Ports of the LiveKit hub {table.hub}, for ufw.", *commands]),)


def render_firewalld(table: FirewallTable) -> tuple[RenderedFile, ...]:
    """A service for each set of sources, and the commands that let it into the default zone."""
    files = []
    lines = [f"# Lets the LiveKit hub {table.hub} into the default zone of firewalld."]
    for number, sources in enumerate(dict.fromkeys(row.networks for row in table.rows), 1):
        name = f"lkhub-{table.hub}" if number == 1 else f"lkhub-{table.hub}-{number}"
        rows = [row for row in table.rows if row.networks == sources]
        files.append(RenderedFile(f"{name}.xml", _write_service(f"LiveKit hub {table.hub}", rows), 0o644))
        lines.append(f'firewall-cmd --permanent --new-service-from-file="$(dirname "$0")/{name}.xml"')
        if not sources:
            lines.append(f"firewall-cmd --permanent --add-service={name}")
        for source in sources:
            origin = f'family="ipv{source.version}" source address="{show_network(source)}"'
            rule = f'rule {origin} service name="{name}" accept'
            lines.append(f"firewall-cmd --permanent --add-rich-rule={shlex.quote(rule)}")
    lines.append("firewall-cmd --reload")
    return (*files, _script("firewalld.sh", lines))


def _write_service(text: str, rows: list[FirewallRow]) -> str:
    """firewalld.service(5)."""
    ports = "".join(f'  <port protocol="{row.protocol}" port="{row.ports}"/>\n' for row in rows)
    return f'<?xml version="1.0" encoding="utf-8"?>\n<service>\n  <short>{text}</short>\n{ports}</service>\n'


def _script(name: str, lines: list[str]) -> RenderedFile:
    return RenderedFile(name, "\n".join(["#!/bin/sh", lines[0], "set -eu", *lines[1:]]) + "\n", 0o755)
