"""Faults: findings about a place in a file, such as a key of a spec."""

from collections.abc import Sequence
from dataclasses import dataclass

from lkhub.errors import InputError
from lkhub.findings.declare import Statement
from lkhub.findings.finding import Edit, Finding, Fix, Where

_NOWHERE = Where("")


@dataclass(frozen=True)
class Fault(Finding):
    """One thing that is wrong with the text of a file. The title says what is wrong and what is expected. The only fix
    says what to write instead."""

    where: Where = _NOWHERE

    @property
    def line(self) -> int | None:
        return self.where.line

    @property
    def key(self) -> str:
        return self.where.key

    @property
    def hint(self) -> str:
        return self.fix[0].text if self.fix else ""

    def __str__(self) -> str:
        where = self.where.file if self.line is None else f"{self.where.file}:{self.line}"
        what = f"{self.key}: {self.title}" if self.key else self.title
        return f"{where}: {what}" + (f"\n    hint: {self.hint}" if self.hint else "")


def make_fault(statement: Statement, where: Where, hint: str = "", edit: Edit | None = None) -> Fault:
    """The fault at a place. `hint` and `edit` say what to write there instead."""
    found = statement.about(where.key or where.file, fix=(Fix(hint, edit=edit),) if hint else ())
    return place_finding(found, where)


def place_finding(found: Finding, where: Where) -> Fault:
    """The finding as a fault at this place."""
    return Fault(
        found.code,
        found.subject,
        found.severity,
        found.title,
        found.detail,
        found.cause,
        found.fix,
        where,
        found.depends_on,
    )


class SpecError(InputError):
    """A spec has faults. `faults` has all of them, in the order of their lines."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        # Faults at the same key stay in their order: by text, the lines of a key file would sort as 1, 10, 2.
        ordered = sorted(dict.fromkeys(faults), key=lambda fault: (fault.line or 0, fault.key))
        self.faults = tuple(ordered)
        count = "1 fault" if len(ordered) == 1 else f"{len(ordered)} faults"
        lines = "\n".join(str(fault) for fault in ordered)
        super().__init__(f"{lines}\n{count} in the spec; nothing was changed")

    def as_json(self) -> dict[str, object]:
        return {"findings": [fault.as_json() for fault in self.faults]}
