"""Gathers what stands between clients and the hub: the hub's names in the DNS, and this machine's firewall. Changes
nothing."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from ipaddress import ip_address

from lkhub.checks.surroundings import PROXY_KEY, UNSEEN, Surroundings
from lkhub.errors import MachineError
from lkhub.firewall.change import Unread, judge_found
from lkhub.firewall.table import Command, FirewallRow, FirewallTable, Verdict
from lkhub.host.as_root import as_root
from lkhub.host.commands import Done, run_command
from lkhub.host.firewall import look_at_firewalls
from lkhub.host.holders import find_holder
from lkhub.host.network import list_interfaces
from lkhub.host.resolver import ask_resolver
from lkhub.host.runs_in import is_in_image
from lkhub.host.tailscale_serve import ask_served
from lkhub.hub.answerers import ask_leads
from lkhub.plan.edge import HTTPS_PORT
from lkhub.plan.leads import Lead, judge_lead
from lkhub.plan.media import IPV4_SHARED
from lkhub.plan.model import Advertised, Sightings
from lkhub.plan.paths import StatePaths
from lkhub.plan.served import Served
from lkhub.spec.address import Address
from lkhub.spec.ports import PortRange
from lkhub.state.applied import AppliedRecord, load_applied
from lkhub.state.contents import find_table

# What is not known after so many seconds counts as unknown. firewall-cmd takes a third of a second, and is run a dozen
# times.
GATHER_SECONDS = 4.0

# The programs that hold a published port of a container. Packets to such a port pass another chain of the firewall than
# those to a proxy on this machine. "": a process that this user can't see.
_NO_PROXIES = ("", "docker-proxy", "dockerd", "conmon")


def gather_surroundings(paths: StatePaths, outside: Sightings) -> Surroundings:
    """The surroundings of the hub that the applied record describes. What can't be known in time is left out.
    `outside`: which paths clients on other machines have used."""
    applied = load_applied(paths)
    if applied is None or applied.reach == "local":
        return UNSEEN
    told = tuple(Advertised(ip_address(external), ip_address(local)) for external, local in applied.told)
    with ThreadPoolExecutor() as at_once:
        judged = at_once.submit(_judge_ports, applied)
        served = at_once.submit(_list_served, applied, told)
        leads = _find_leads(paths, applied, told)
        opens, tells = _name_commands(paths, applied)
        verdicts, unread = judged.result()
        url = applied.urls.livekit
        return Surroundings(applied.reach, leads, told, verdicts, opens, outside, unread, tells, url, served.result())


def _list_served(applied: AppliedRecord, told: tuple[Advertised, ...]) -> tuple[Served, ...]:
    """The ports of the hub that Tailscale serves, if clients come through the tailnet."""
    table = find_table(applied)
    in_tailnet = applied.tls == "tailscale" or any(address.local in IPV4_SHARED for address in told)
    if table is None or not in_tailnet:
        return ()
    own = [row.ports for row in table.rows if row.protocol == "tcp"]
    return tuple(served for served in ask_served() if any(served.port in ports for ports in own))


def _name_commands(paths: StatePaths, applied: AppliedRecord) -> tuple[str, str]:
    """The commands that open the hub's ports, and that show what the firewall does with them."""
    if is_in_image():
        # The firewall is the machine's, where they are typed beside the spec, and no path of ours means anything.
        return "sudo lkhub firewall apply", "sudo lkhub firewall status"
    options = (*(("--spec", applied.spec) if applied.spec else ()), "--state", paths.root)
    return as_root("firewall", "apply", *options), as_root("firewall", "status", *options)


def _find_leads(paths: StatePaths, applied: AppliedRecord, told: tuple[Advertised, ...]) -> tuple[Lead, ...]:
    names = applied.names
    own: list[Address] = [address.local for address in told]
    if applied.reach == "public":  # there the edge listens on every interface
        own += [address for interface in list_interfaces() for address in interface.addresses]
    if not names:
        return ()
    with ThreadPoolExecutor(len(names)) as at_once:
        answers = list(at_once.map(lambda name: ask_resolver(name, GATHER_SECONDS), names))
    external = [address.external for address in told]
    leads = [
        judge_lead(name, found, external, own)
        for name, found in zip(names, answers, strict=True)
        if found is not None and (found or applied.tls != "tailscale")
    ]
    return ask_leads(paths, applied, leads)


def _judge_ports(applied: AppliedRecord) -> tuple[tuple[Verdict, ...], tuple[Unread, ...]]:
    table = find_table(applied)
    rows = (*table.rows, *_list_proxy_rows(applied, table)) if table else ()
    if table is None or not rows:
        return (), ()
    found = look_at_firewalls(table.interfaces, run=_UntilDeadline(GATHER_SECONDS))
    return judge_found(found, replace(table, rows=rows)), found.unknown


def _list_proxy_rows(applied: AppliedRecord, table: FirewallTable) -> Iterator[FirewallRow]:
    """The port of a proxy in front of the hub, where the proxy is on this machine: it connects to the hub over
    loopback, the hub's name leads to this machine, and a program other than a container's listens on the port."""
    if applied.tls != "external" or not applied.endpoints.upstream.startswith(("127.", "[::1]")):
        return
    own = {address for interface in list_interfaces() for address in interface.addresses if not address.is_loopback}
    led = own & set(ask_resolver(applied.endpoints.name, GATHER_SECONDS) or ())
    if led and find_holder("tcp", None, HTTPS_PORT).name not in _NO_PROXIES:
        sources = next((row.sources for row in table.rows), ())
        versions = frozenset(address.version for address in led)
        yield FirewallRow(
            "tcp", PortRange(HTTPS_PORT, HTTPS_PORT), "HTTPS of the proxy", "edge", PROXY_KEY, sources, versions
        )


class _UntilDeadline:
    """Runs commands, one after the other, until so many seconds are over for all of them together."""

    def __init__(self, seconds: float) -> None:
        self._until = time.monotonic() + seconds
        self._late = f"it did not answer within {seconds:g} s"

    def __call__(self, command: Command) -> Done:
        left = self._until - time.monotonic()
        if left <= 0:
            raise MachineError(self._late)
        try:
            return run_command(command, left)
        except MachineError as error:
            raise MachineError(self._late if time.monotonic() >= self._until else error.message) from error
