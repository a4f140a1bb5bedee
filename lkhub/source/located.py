"""Plain data that remembers on which line each key stands. `lkhub.source.yaml` makes it; the two are apart so that a
command that only names keys loads no YAML parser."""

from dataclasses import dataclass, field, replace
from typing import Any

from lkhub.findings.declare import Statement
from lkhub.findings.fault import Fault, make_fault
from lkhub.findings.finding import Edit, Where
from lkhub.source.path import Path, dotted


@dataclass
class Document:
    """The data of a YAML text; `lines` maps each path to its 1-based line; `faults` are what is wrong
    with it as YAML, and `broken` the paths of values that could not be read (None in the data)."""

    file: str
    data: dict[str, Any] = field(default_factory=dict, repr=False)  # may hold secrets
    lines: dict[Path, int] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    broken: set[Path] = field(default_factory=set)

    def line(self, path: Path) -> int | None:
        """The line of `path`, or of the nearest thing around it that is in the text."""
        for length in range(len(path), 0, -1):
            if path[:length] in self.lines:
                return self.lines[path[:length]]
        return None

    def fault(self, path: Path, statement: Statement, hint: str = "", edit: Edit | None = None) -> Fault:
        """A fault at `path`, with its file and line. `hint` says what to write, there or elsewhere, and `edit` is the
        same as an edit of the spec."""
        return make_fault(statement, self.where(path), hint, edit and self._place_edit(edit))

    def where(self, path: Path) -> Where:
        return Where(self.file, self.line(path), dotted(path))

    def _place_edit(self, edit: Edit) -> Edit:
        line = next((line for path, line in self.lines.items() if dotted(path) == edit.key), None)
        return replace(edit, file=self.file, line=line)
