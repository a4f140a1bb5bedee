"""A finding: one thing that a person should know about a hub, as data. Its code and its subject identify it."""

import re
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

Severity = Literal["error", "warning", "info"]

# For so long a finding about a refusal is shown. By then the client has tried again, come by another path, or given up.
RECENT_SECONDS = 600.0


APPLY = "lkhub up"
"""The command of fixes that applies a spec."""


# A command that is about a hub, and does not say which. `install` and `upgrade` are about the service.
_ABOUT_HUB = re.compile(r"lkhub (?!(?:init|plan|spec|check|install|uninstall|upgrade)\b|-)(?!.* --(?:state|url)\b).+")

# One that says by which spec the hub runs.
_HAS_SPEC = re.compile(r".* --(?:spec|dev)\b")


class Typed(NamedTuple):
    """How commands about one hub are typed: with `options` that name it, as ` --state DIR`, "" for the default hub; and
    with `apply` in place of `lkhub up`, which a service refuses. `spec` is for `lkhub up` alone, as ` --spec FILE` or
    ` --dev`, "" where it takes the hub's spec by itself."""

    options: str = ""
    apply: str = APPLY
    spec: str = ""

    def type(self, commands: str) -> str:
        """Commands, with ` && ` between them, as they are typed. What a command says already it gets no option for."""
        return " && ".join(map(self._type, commands.split(" && ")))

    def _type(self, command: str) -> str:
        if re.match(rf"{APPLY}\b(?!.* --dev\b)", command):
            if self.apply != APPLY:
                # `lkhub install` has no other hub to name, and always returns.
                return f"{self.apply}{command.removeprefix(APPLY).replace(' --detach', '')}"
            if not _HAS_SPEC.match(command):
                command = f"{command}{self.spec}"
        return f"{command}{self.options}" if _ABOUT_HUB.fullmatch(command) else command


DEFAULT_HUB = Typed()
"""Commands about the default hub, which is no service."""


@dataclass(frozen=True)
class Edit:
    """A fix that is an edit of a file. `value` is the value that the dotted `key` has to get, None to take the key out.
    `line` is the line of the key, 1-based, None where the file lacks the key."""

    key: str
    value: str | int | bool | None
    file: str = ""
    line: int | None = None

    def as_json(self) -> dict[str, object]:
        return {"file": self.file, "line": self.line, "key": self.key, "value": self.value}


@dataclass(frozen=True)
class Fix:
    """One way to solve the problem: a sentence, and the command to type or the edit to make, if there is one."""

    text: str
    command: str | None = None
    edit: Edit | None = None

    def as_json(self) -> dict[str, object]:
        edit = self.edit and self.edit.as_json()
        found: dict[str, object] = {"text": self.text, "command": self.command, "edit": edit}
        return {key: value for key, value in found.items() if value is not None}

    def as_typed(self, typed: Typed) -> "Fix":
        """The fix with its `lkhub` commands as they are typed."""
        return self if self.command is None else replace(self, command=typed.type(self.command))


@dataclass(frozen=True)
class Where:
    """The place in a file that a finding is about. `line` is 1-based, None for the whole file. `key` is dotted
    (`media.udp`), "" where the place is no key."""

    file: str
    line: int | None = None
    key: str = ""

    def as_json(self) -> dict[str, object]:
        place: dict[str, object] = {"file": self.file, "line": self.line}
        return place | ({"key": self.key} if self.key else {})


class Ref(NamedTuple):
    """Identifies a finding. Several findings may have the same code, but not the same code and subject."""

    code: str
    subject: str


@dataclass(frozen=True)
class Finding:
    """What is wrong, or worth knowing. `code` is kebab-case and never changes once released. `subject` is what the
    finding is about: a process, a path, a file. `detail` is what was seen. `depends_on` are the findings of which this
    finding is a consequence.

    Findings are made with the codes of `lkhub.findings.catalogue`.
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
        """The finding on one line: the title, and what to do."""
        return "; ".join((self.title, *(fix.text for fix in self.fix)))

    @property
    def is_note(self) -> bool:
        """Whether the finding is only worth knowing: nothing can be done about it, and nothing needs to be done."""
        return self.severity == "info" and not self.fix

    def as_typed(self, typed: Typed) -> "Finding":
        """The finding with the commands of its fixes as they are typed."""
        return replace(self, fix=tuple(fix.as_typed(typed) for fix in self.fix))

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
