"""The record of what `lkhub firewall apply` has added to firewalld, for `revert`.

The firewall itself shows the same rules, so every user may read the record. Root writes it.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from lkhub.errors import MachineError
from lkhub.firewall.firewalld import Added
from lkhub.host.files import explain_os_errors, read_text, remove
from lkhub.state.document import parse_record, write_record

_MODE = 0o644


@dataclass(frozen=True)
class _Rule:
    """See lkhub.firewall.firewalld.Added."""

    permanent: bool
    zone: str
    option: Literal["port", "rich-rule"]
    value: str


@dataclass(frozen=True)
class _Record:
    firewalld: tuple[_Rule, ...]


def read_added(path: str) -> frozenset[Added]:
    """The rules that this hub has added. Raises MachineError if the record is damaged, or if another user may have
    written it."""
    text = read_text(path)
    if text is None:
        return frozenset()
    _require_own(path)
    try:
        rules = parse_record(_Record, text).firewalld
    except ValueError:
        raise MachineError(f"{path} is damaged", hints=("compare `firewall-cmd --list-all`, then remove it",)) from None
    return frozenset(Added(rule.permanent, rule.zone, rule.option, rule.value) for rule in rules)


def _require_own(path: str) -> None:
    """Root removes from the firewall what the record lists, so a record of another user is refused."""
    if os.geteuid() == 0 and _owner(path) != 0:
        raise MachineError(f"{path} was not written by root", hints=("remove it, and what it lists by hand",))


def _owner(path: str) -> int:
    with explain_os_errors(path, "read"):
        return Path(path).stat().st_uid


def write_added(path: str, added: frozenset[Added]) -> None:
    """Keep the rules for `revert`."""
    if not added:
        remove(path)
        return
    write_record(_Record(tuple(_Rule(*rule) for rule in sorted(added))), path, _MODE, (os.geteuid(), os.getegid()))
