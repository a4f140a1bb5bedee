"""The firewalls of this machine: reading them, and carrying out changes."""

import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

from lkhub.errors import MachineError
from lkhub.firewall.change import NO_NFT, Found, Unread
from lkhub.firewall.firewalld import Added, Firewalld, Zone, parse_service, parse_zone
from lkhub.firewall.ruleset import Ruleset, parse_ruleset
from lkhub.firewall.table import Command, Step
from lkhub.firewall.ufw import Ufw, parse_ufw
from lkhub.host.commands import Done, has_program, run_command
from lkhub.source.json_text import parse_json

Run = Callable[[Command], Done]
T = TypeVar("T")

_UFW_CONF, _UFW_DEFAULTS = Path("/etc/ufw/ufw.conf"), Path("/etc/default/ufw")
_UFW_RULES = (Path("/etc/ufw/user.rules"), Path("/etc/ufw/user6.rules"))

# The names of the tables that the old iptables has loaded, one on each line; only root may read this file.
_LEGACY = (Path("/proc/net/ip_tables_names"), Path("/proc/net/ip6_tables_names"))


class NotPermittedError(MachineError):
    """Only another user, root, may look at the firewall or change it."""


def gather_firewalls(interfaces: Iterable[str], recorded: Iterable[Added] = (), run: Run = run_command) -> Found:
    """The firewalls that decide about packets arriving on these interfaces (none: on any), and the changes that this
    hub has `recorded`. Raises NotPermittedError where only root may know."""
    ruleset, problem = _read_nftables(run)
    return Found(
        ufw=_read_ufw(),
        firewalld=_read_firewalld(tuple(interfaces), {item.zone for item in recorded}, run),
        ruleset=ruleset,
        legacy=_has_legacy(),
        problem=problem,
    )


def look_at_firewalls(interfaces: Iterable[str], run: Run = run_command) -> Found:
    """As much of `gather_firewalls` as this user may know and as `run` finds out in time; the rest is in `unread`."""
    unread: list[Unread] = []

    def attempt(name: str, read: Callable[[], T], instead: T) -> T:
        try:
            return read()
        except NotPermittedError:
            unread.append(Unread(name, "only root may read it"))
        except MachineError as error:
            unread.append(Unread(name, error.message))
        return instead

    nftables: tuple[Ruleset | None, str] = (None, "")
    ruleset, problem = attempt("nftables", lambda: _read_nftables(run), nftables)
    firewalld = attempt("firewalld", lambda: _read_firewalld(tuple(interfaces), set(), run), None)
    legacy = attempt("iptables-legacy", _has_legacy, False)
    return Found(attempt("ufw", _read_ufw, None), firewalld, ruleset, legacy, problem, tuple(unread))


def _read_nftables(run: Run) -> tuple[Ruleset | None, str]:
    if sys.platform != "linux":
        return None, f"lkhub does not know the firewalls of {sys.platform}"
    if not has_program("nft"):
        return None, f"{NO_NFT}, which tells what the kernel drops (Debian's package: nftables)"
    done = run(Command(("nft", "-j", "list", "ruleset")))
    if done.code != 0:
        _require_permission(done)
        return None, f"nft does not tell what the kernel drops: {done.said}"
    try:
        return parse_ruleset(parse_json(done.out)), ""
    except (ValueError, LookupError, TypeError, AttributeError) as error:  # another version of nft
        return None, f"what nft says is not understood: {error!r}"


def _read_ufw() -> Ufw | None:
    if not has_program("ufw") or not _UFW_CONF.exists():
        return None
    settings = _read(_UFW_CONF)
    if not (off := parse_ufw(settings, "", "", "")).active and os.geteuid() != 0:
        return off  # every user may know that; the rules are for root alone
    return parse_ufw(settings, _read(_UFW_DEFAULTS), *map(_read, _UFW_RULES))


def _has_legacy() -> bool:
    return any("filter" in _read(path).split() for path in _LEGACY)


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except FileNotFoundError:
        return ""
    except PermissionError:
        raise NotPermittedError(f"only root may read {path}") from None


def _read_firewalld(interfaces: tuple[str, ...], known: set[str], run: Run) -> Firewalld | None:
    if not has_program("firewall-cmd") or run(Command(("firewall-cmd", "--state"))).code != 0:
        return None
    default = _ask_firewalld(run, "--get-default-zone").strip()
    # Packets of an interface without a zone of its own are judged by the default zone.
    found = [run(Command(("firewall-cmd", f"--get-zone-of-interface={name}"))) for name in interfaces]
    names = {done.out.strip() if done.code == 0 else default for done in found} or {default}
    zones, others = (
        tuple(_read_zone(run, name, permanent=permanent) for name in sorted(some) for permanent in (False, True))
        for some in (names, known - names)
    )
    return Firewalld(zones, others)


def _read_zone(run: Run, name: str, *, permanent: bool) -> Zone:
    words = ("--permanent",) if permanent else ()
    zone = parse_zone(_ask_firewalld(run, *words, f"--zone={name}", "--list-all"), name, permanent=permanent)
    ports = [
        port for service in zone.services for port in parse_service(_ask_firewalld(run, f"--info-service={service}"))
    ]
    return Zone(name, permanent, zone.target, zone.services, zone.ports, zone.rich_rules, tuple(ports))


def _ask_firewalld(run: Run, *words: str) -> str:
    done = run(Command(("firewall-cmd", *words)))
    if done.code != 0:
        _require_permission(done)
        raise MachineError(f"firewall-cmd {' '.join(words)} failed: {done.said}")
    return done.out


def _require_permission(done: Done) -> None:
    said = f"{done.out}{done.err}".lower()
    if any(word in said for word in ("not permitted", "must be root", "need to be root", "authorization failed")):
        raise NotPermittedError(f"only root may do that: {done.said}")


def carry_out(steps: Iterable[Step], run: Run = run_command) -> None:
    """Run every step. If a step fails, the earlier ones are undone, and MachineError says how that went."""
    done: list[Step] = []
    for step in steps:
        try:
            answer = run(step.do)
            if answer.code != 0:
                _require_permission(answer)
                raise MachineError(f"`{step.do.argv[0]}` refused: {answer.said}")
        except MachineError as error:
            left = _undo(done, run)
            if left:
                hints = tuple(f"undo by hand: {step.undo}" for step in left)
                raise MachineError(f"{error.message}; not everything before it could be undone", hints=hints) from error
            raise type(error)(f"{error.message}; the firewall is as it was", hints=error.hints) from error
        done.append(step)


def _undo(steps: list[Step], run: Run) -> list[Step]:
    """Undo the steps, the last first. Returns those that could not be undone."""
    left = []
    for step in reversed(steps):
        try:
            good = step.undo is not None and run(step.undo).code == 0
        except MachineError:
            good = False
        if not good:
            left.append(step)
    return left
