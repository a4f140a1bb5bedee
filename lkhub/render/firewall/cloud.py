"""The firewall table for the firewalls of clouds, which stand in front of a machine."""

import json
import shlex
from typing import Any

from lkhub.firewall.table import FirewallRow, FirewallTable
from lkhub.render.files import RenderedFile
from lkhub.source.json_text import Json

_ANYONE = ("0.0.0.0/0", "::/0")


def render_aws(table: FirewallTable) -> tuple[RenderedFile, ...]:
    """IpPermissions of a security group, as `aws ec2 authorize-security-group-ingress --ip-permissions` reads them
    (EC2 API, AuthorizeSecurityGroupIngress)."""
    permissions = [_aws_permission(row, table) for row in table.rows]
    return (RenderedFile("aws.json", _dump(permissions), 0o644),)


def _aws_permission(row: FirewallRow, table: FirewallTable) -> dict[str, Json]:
    four, six = _split(row)
    # EC2 allows letters, digits, spaces and ._-:/()#,@[]+=&;{}!$* here.
    told = f"lkhub {table.hub}: {row.key}"
    permission: dict[str, Json] = {
        "IpProtocol": row.protocol,
        "FromPort": row.ports.start,
        "ToPort": row.ports.end,
    }
    if four:
        permission["IpRanges"] = [{"CidrIp": source, "Description": told} for source in four]
    if six:
        permission["Ipv6Ranges"] = [{"CidrIpv6": source, "Description": told} for source in six]
    return permission


def render_gcp(table: FirewallTable) -> tuple[RenderedFile, ...]:
    """A script of `gcloud` commands: a rule of Google Cloud has sources of one IP version alone."""
    lines = [
        "#!/bin/sh",
        f"# Ports of the LiveKit hub {table.hub}, for VMs with the network tag lkhub-{table.hub}.",
        "# Other options, such as --network or --project, go behind the name of this script.",
        "set -eu",
    ]
    names: dict[str, int] = {}
    for version in (4, 6):
        groups: dict[tuple[str, ...], list[FirewallRow]] = {}
        for row in table.rows:
            sources = _split(row)[version == 6]
            if sources:
                groups.setdefault(sources, []).append(row)
        for sources, rows in groups.items():
            base = f"lkhub-{table.hub}-ipv{version}"
            names[base] = names.get(base, 0) + 1
            name = base if names[base] == 1 else f"{base}-{names[base]}"
            words = [
                *("gcloud", "compute", "firewall-rules", "create", name, "--direction=INGRESS", "--action=ALLOW"),
                f"--rules={','.join(f'{row.protocol}:{row.ports}' for row in rows)}",
                f"--source-ranges={','.join(sources)}",
                f"--target-tags=lkhub-{table.hub}",
            ]
            lines.append(f'{shlex.join(words)} "$@"')
    return (RenderedFile("gcp.sh", "\n".join(lines) + "\n", 0o755),)


def render_hetzner(table: FirewallTable) -> tuple[RenderedFile, ...]:
    """Rules of a Hetzner Cloud firewall, as `hcloud firewall create --rules-file` reads them (Hetzner Cloud API,
    firewall rules)."""
    rules = [
        {
            "description": f"lkhub {table.hub}: {row.key}",
            "direction": "in",
            "protocol": row.protocol,
            "port": str(row.ports),
            "source_ips": [source for sources in _split(row) for source in sources],
        }
        for row in table.rows
    ]
    return (RenderedFile("hetzner.json", _dump(rules), 0o644),)


def _split(row: FirewallRow) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """IPv4 and IPv6 sources of the versions that the row has."""
    sources = row.networks or ()
    four = tuple(str(source) for source in sources if source.version == 4)
    six = tuple(str(source) for source in sources if source.version == 6)
    if not sources:
        four, six = ((_ANYONE[0],) if 4 in row.versions else ()), ((_ANYONE[1],) if 6 in row.versions else ())
    return four, six


def _dump(value: Any) -> str:
    return json.dumps(value, indent=2) + "\n"
