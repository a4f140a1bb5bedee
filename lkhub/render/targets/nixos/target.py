"""`lkhub render nixos`."""

from collections.abc import Mapping

from lkhub.errors import InputError
from lkhub.firewall.table import FirewallTable, firewall_table
from lkhub.plan.model import Plan, Protocol
from lkhub.plan.service import INSTALLED
from lkhub.render.files import RenderedFile
from lkhub.render.targets.nixos.language import Expression, write_nix
from lkhub.render.targets.nixos.module import render_module
from lkhub.render.targets.target import Given, Target
from lkhub.source.path import dotted
from lkhub.source.yaml import parse_document

MODULE, HUB = "lkhub.nix", "hub.nix"


def render_nixos(plan: Plan, given: Given) -> tuple[RenderedFile, ...]:
    """The module, and the configuration of this hub that imports it. InputError for a secret in the spec's text, which
    every user of the machine could read."""
    settings = parse_document(given.spec, "hub.yaml").data
    if plan.written_out:
        raise InputError(
            f"everybody may read the store of Nix, and the spec has secrets in it: "
            f"{', '.join(map(dotted, plan.written_out))}",
            hints=("write {file: PATH}: systemd passes the file on, which may be for root alone",),
        )
    return (
        RenderedFile(MODULE, render_module(plan), 0o644),
        RenderedFile(HUB, _render_hub(settings, firewall_table(plan, given.interfaces)), 0o644),
    )


def _render_hub(settings: Mapping[str, object], table: FirewallTable) -> str:
    configuration: dict[str, object] = {
        "imports": Expression(f"[ ./{MODULE} ]"),
        "services.lkhub": {"enable": True, "settings": settings},
        "networking.firewall": _list_ports(table, "tcp", "TCP") | _list_ports(table, "udp", "UDP"),
    }
    lines = "\n".join(f"  {key} = {write_nix(value, '  ')};" for key, value in configuration.items() if value)
    return f"# Written by lkhub from hub.yaml: a configuration of NixOS imports it.\n{{\n{lines}\n}}\n"


def _list_ports(table: FirewallTable, protocol: Protocol, name: str) -> dict[str, object]:
    ports = sorted({row.ports for row in table.rows if row.protocol == protocol}, key=lambda each: each.start)
    single = [each.start for each in ports if each.start == each.end]
    ranges = [{"from": each.start, "to": each.end} for each in ports if each.start != each.end]
    found = {f"allowed{name}Ports": single, f"allowed{name}PortRanges": ranges}
    return {key: value for key, value in found.items() if value}


def _render(plan: Plan, given: Given, _: str | None) -> tuple[RenderedFile, ...]:
    return render_nixos(plan, given)


NIXOS = Target(
    "nixos",
    "a module of NixOS, and the hub's configuration for it; evaluated, and never booted.",
    _render,
    installation=INSTALLED,
    starts=True,
)
