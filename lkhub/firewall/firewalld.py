"""A hub's rows in firewalld: ports of a zone, or rich rules where only some networks may come in.

They are added to both the running and the permanent configuration, without a reload: a reload would drop changes that
other programs made in the running configuration alone. Rules in firewalld carry no comment, so a record must say what
was added.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

from lkhub.firewall.table import Command, FirewallRow, FirewallTable, Step, Verdict, show_network
from lkhub.spec.ports import PortRange


class Added(NamedTuple):
    """What was added to a zone: a port such as `443/tcp`, or a rich rule."""

    permanent: bool
    zone: str
    option: Literal["port", "rich-rule"]
    value: str


@dataclass(frozen=True)
class Zone:
    """A zone of the running or of the permanent configuration. `service_ports` are those of its services."""

    name: str
    permanent: bool
    target: str
    services: tuple[str, ...]
    ports: tuple[str, ...]
    rich_rules: tuple[str, ...]
    service_ports: tuple[str, ...] = ()


@dataclass(frozen=True)
class Firewalld:
    """A running firewalld: the zones that clients' packets are judged by, and others that this hub has rules in."""

    zones: tuple[Zone, ...]
    others: tuple[Zone, ...] = ()


def parse_zone(text: str, name: str, *, permanent: bool) -> Zone:
    """From `firewall-cmd --zone=NAME --list-all`."""
    values = dict(re.findall(r"^  ([\w -]+): ?(.*)$", text, re.MULTILINE))
    return Zone(
        *(name, permanent, values.get("target", "default")),
        services=tuple(values.get("services", "").split()),
        ports=tuple(values.get("ports", "").split()),
        rich_rules=tuple(line.strip() for line in text.partition("rich rules:")[2].splitlines() if line.strip()),
    )


def parse_service(text: str) -> tuple[str, ...]:
    """The ports from `firewall-cmd --info-service=NAME`."""
    found = re.search(r"^  ports: ?(.*)$", text, re.MULTILINE)
    return tuple(found[1].split()) if found else ()


def judge_firewalld(firewalld: Firewalld, table: FirewallTable) -> tuple[Verdict, ...]:
    """For each row, whether firewalld lets it through now."""
    running = [zone for zone in firewalld.zones if not zone.permanent]
    return tuple(_judge_row(row, running) for row in table.rows)


def _judge_row(row: FirewallRow, zones: Iterable[Zone]) -> Verdict:
    for zone in zones:
        if not _lets_in(zone, row):
            return Verdict(row, False, f"the zone {zone.name} of firewalld does not list it")
        for rule in zone.rich_rules:
            if re.search(r"\b(drop|reject)\b", rule) and "source address" not in rule:
                return Verdict(row, None, f"a rich rule of the zone {zone.name} may refuse it: {rule}")
    return Verdict(row, True, "")


def _lets_in(zone: Zone, row: FirewallRow) -> bool:
    if zone.target == "ACCEPT" or any(_covers(port, row) for port in (*zone.ports, *zone.service_ports)):
        return True
    return all(value in zone.rich_rules for option, value in _list_entries(row) if option == "rich-rule") and bool(
        row.networks
    )


def _covers(port: str, row: FirewallRow) -> bool:
    text, _, protocol = port.partition("/")
    start, _, end = text.partition("-")
    if protocol != row.protocol or not start.isdigit():
        return False
    return int(start) <= row.ports.start and row.ports.end <= int(end or start)


def _list_entries(row: FirewallRow) -> Iterator[tuple[Literal["port", "rich-rule"], str]]:
    """The entries that a zone needs to let the row in."""
    if not row.networks:
        yield "port", str(row)
    for source in row.networks:
        yield "rich-rule", write_rich_rule(show_network(source), source.version, row.ports, row.protocol)


def write_rich_rule(source: str, version: int, ports: PortRange, protocol: str) -> str:
    """A rich rule in the form in which firewalld itself writes it (firewalld.richlanguage(5))."""
    return f'rule family="ipv{version}" source address="{source}" port port="{ports}" protocol="{protocol}" accept'


def plan_firewalld(
    firewalld: Firewalld, table: FirewallTable, recorded: frozenset[Added]
) -> tuple[tuple[Step, ...], frozenset[Added]]:
    """The steps after which every zone has the rows, and what this hub then has in firewalld."""
    there = _list_there(firewalld)
    wanted = frozenset(
        Added(zone.permanent, zone.name, option, value)
        for zone in firewalld.zones
        for row in table.rows
        if not _lets_in(_without(zone, recorded), row)
        for option, value in _list_entries(row)
    )
    steps = [*_list_steps((recorded & there) - wanted, "remove"), *_list_steps(wanted - there, "add")]
    # An entry that is there but not recorded was not added by lkhub, and stays.
    return tuple(steps), (wanted & recorded) | (wanted - there)


def unplan_firewalld(firewalld: Firewalld, recorded: frozenset[Added]) -> tuple[Step, ...]:
    """The steps that remove all that this hub added, and nothing else."""
    return tuple(_list_steps(recorded & _list_there(firewalld), "remove"))


def _list_there(firewalld: Firewalld) -> frozenset[Added]:
    return frozenset(
        Added(zone.permanent, zone.name, option, value)
        for zone in (*firewalld.zones, *firewalld.others)
        for option, values in _list_values(zone)
        for value in values
    )


def _list_values(zone: Zone) -> tuple[tuple[Literal["port", "rich-rule"], tuple[str, ...]], ...]:
    return (("port", zone.ports), ("rich-rule", zone.rich_rules))


def _without(zone: Zone, recorded: frozenset[Added]) -> Zone:
    ports, rules = (
        tuple(value for value in values if Added(zone.permanent, zone.name, option, value) not in recorded)
        for option, values in _list_values(zone)
    )
    return Zone(zone.name, zone.permanent, zone.target, zone.services, ports, rules, zone.service_ports)


def _list_steps(added: Iterable[Added], verb: Literal["add", "remove"]) -> Iterator[Step]:
    """One command for each zone and kind, since each takes a second."""
    groups: dict[tuple[bool, str, Literal["port", "rich-rule"]], list[str]] = {}
    for item in sorted(added):
        groups.setdefault((item.permanent, item.zone, item.option), []).append(item.value)
    back = {"add": "remove", "remove": "add"}[verb]
    for (permanent, zone, option), values in groups.items():
        words = ("firewall-cmd", *(("--permanent",) if permanent else ()), f"--zone={zone}")
        yield Step(
            Command((*words, *(f"--{verb}-{option}={value}" for value in values))),
            Command((*words, *(f"--{back}-{option}={value}" for value in values))),
        )
