"""How the unit of an agent ended last, in words, with the last lines of its journal."""

from collections.abc import Mapping

from lkhub.errors import MachineError
from lkhub.host.exits import describe_exit
from lkhub.host.journal import read_journal
from lkhub.plan.service import name_unit

# As many as a crash report of the supervisor has, and one line more, with which systemd says that it waits.
LAST_LINES = 9
_LINE_LENGTH = 300

# A shorter value would be found in words that have nothing to do with it.
_SECRET_LENGTH = 8

# Results that say no more than how the process ended (systemd.service(5)).
_PLAIN = ("", "success", "exit-code", "signal", "core-dump")

_EXITED = "1"
"""CLD_EXITED, of waitid(2). The other codes mean that a signal ended the process; 0, that none has ended."""


def describe_end(known: Mapping[str, str]) -> str:
    """How the unit's main process ended, by the properties that systemd tells."""
    code, status = known.get("ExecMainCode", ""), int(known.get("ExecMainStatus") or 0)
    ended = None if code in ("", "0") else status if code == _EXITED else -status
    result = known.get("Result", "")
    return describe_exit(ended) + ("" if result in _PLAIN else f" (systemd: {result})")


def add_journal(how: str, process: str, variables: Mapping[str, str]) -> str:
    """`how` the process of an agent ended, with the last lines of its unit's journal where they can be read. The
    `variables` that the agent is given are named in place of their values: the key of the hub is among them."""
    unit = name_unit(process)
    try:
        lines, _ = read_journal(unit, lines=LAST_LINES)
    except MachineError as error:
        return f"{how}; {error.message}"
    if not lines:  # it may be that this user may not read it
        return how
    return "\n".join([how, f"the end of the journal of {unit}:", *(_show(line, variables) for line in lines)])


def _show(line: str, variables: Mapping[str, str]) -> str:
    parts = ((part.strip(), name) for name, value in variables.items() for part in value.splitlines())
    # A value may be the beginning of another one.
    for part, name in sorted(parts, key=lambda each: len(each[0]), reverse=True):
        if len(part) >= _SECRET_LENGTH:
            line = line.replace(part, f"[{name}]")
    return line[:_LINE_LENGTH]
