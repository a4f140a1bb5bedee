"""One thing that a person should know about a hub: declared data, keyed by code and subject."""

from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

Severity = Literal["error", "warning", "info"]

# For so long a refusal is told. A client that was refused has tried again, come by another path, or given up by then.
RECENT_SECONDS = 600.0


@dataclass(frozen=True)
class Edit:
    """The edit of a file that is a fix: `value` is what the dotted `key` has to say, None to take the key out. `line`
    is where the key stands, 1-based, None where it does not yet."""

    key: str
    value: str | int | bool | None
    file: str = ""
    line: int | None = None

    def as_json(self) -> dict[str, object]:
        return {"file": self.file, "line": self.line, "key": self.key, "value": self.value}


@dataclass(frozen=True)
class Fix:
    """One way out: a sentence, and where there is one the command to type, or the edit to make."""

    text: str
    command: str | None = None
    edit: Edit | None = None

    def as_json(self) -> dict[str, object]:
        edit = self.edit and self.edit.as_json()
        found: dict[str, object] = {"text": self.text, "command": self.command, "edit": edit}
        return {key: value for key, value in found.items() if value is not None}

    def with_options(self, options: str) -> "Fix":
        """With its `lkhub` commands followed by `options`, but for one that says which hub it is about."""
        if not options or self.command is None:
            return self
        commands = self.command.split(" && ")
        return replace(self, command=" && ".join(_add_options(command, options) for command in commands))


def _add_options(command: str, options: str) -> str:
    words = command.split()
    return command if words[0] != "lkhub" or {"--state", "--url"} & set(words) else f"{command}{options}"


@dataclass(frozen=True)
class Where:
    """The place in a file that a finding is about. `line` is 1-based, None where the whole file is meant; `key` is
    dotted (`media.udp`), "" where it is about no key."""

    file: str
    line: int | None = None
    key: str = ""

    def as_json(self) -> dict[str, object]:
        place: dict[str, object] = {"file": self.file, "line": self.line}
        return place | ({"key": self.key} if self.key else {})


class Ref(NamedTuple):
    """Which finding: codes are not unique, a code with its subject is."""

    code: str
    subject: str


@dataclass(frozen=True)
class Finding:
    """`code` is kebab-case and never changes once released; `subject` is what it is about (a process, a
    path, a file). `depends_on` are findings of which this one is a consequence.

    Made by the codes of `lkhub.findings.catalogue`.
    """

    code: str
    subject: str
    severity: Severity
    title: str
    detail: str
    cause: str
    fix: tuple[Fix, ...]
    where: Where | None = None
    depends_on: tuple[Ref, ...] = ()

    @property
    def ref(self) -> Ref:
        return Ref(self.code, self.subject)

    @property
    def sentence(self) -> str:
        """What it says, on one line: the title, and what to do."""
        return "; ".join((self.title, *(fix.text for fix in self.fix)))

    @property
    def is_note(self) -> bool:
        """Whether it is only worth knowing: nothing can be done about it, and nothing needs to be."""
        return self.severity == "info" and not self.fix

    def with_options(self, options: str) -> "Finding":
        """With fixes for a hub that commands need `options` for, such as ` --state DIR`; "" for the default one."""
        return replace(self, fix=tuple(fix.with_options(options) for fix in self.fix))

    def as_json(self) -> dict[str, object]:
        return {
            "code": self.code,
            "subject": self.subject,
            "severity": self.severity,
            "title": self.title,
            "detail": self.detail,
            "cause": self.cause,
            "fix": [fix.as_json() for fix in self.fix],
            "where": self.where and self.where.as_json(),
            "depends_on": list(dict.fromkeys(cause.code for cause in self.depends_on)),
            "docs": f"docs/findings.md#{self.code}",
        }
