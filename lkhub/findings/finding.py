"""One thing that a person should know about a hub: declared data, keyed by code and subject."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

Severity = Literal["error", "warning", "info"]

# For so long a refusal is told. A client that was refused has tried again, come by another path, or given up by then.
RECENT_SECONDS = 600.0


@dataclass(frozen=True)
class Fix:
    """One way out: a sentence, and where there is one the command to type."""

    text: str
    command: str | None = None

    def as_json(self) -> dict[str, Any]:
        return {key: value for key, value in asdict(self).items() if value is not None}

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
class Finding:
    """`code` is kebab-case and never changes once released; `subject` is what it is about (a process, a
    path, a file). `depends_on` are codes of which this one is a consequence."""

    code: str
    subject: str
    severity: Severity
    title: str
    detail: str
    cause: str
    fix: tuple[Fix, ...]
    where: Mapping[str, Any] | None = None
    depends_on: tuple[str, ...] = ()

    @property
    def is_note(self) -> bool:
        """Whether it is only worth knowing: nothing can be done about it, and nothing needs to be."""
        return self.severity == "info" and not self.fix

    def with_options(self, options: str) -> "Finding":
        """With fixes for a hub that commands need `options` for, such as ` --state DIR`; "" for the default one."""
        return replace(self, fix=tuple(fix.with_options(options) for fix in self.fix))

    def as_json(self) -> dict[str, Any]:
        return {
            "code": self.code,
            "subject": self.subject,
            "severity": self.severity,
            "title": self.title,
            "detail": self.detail,
            "cause": self.cause,
            "fix": [fix.as_json() for fix in self.fix],
            "where": self.where,
            "depends_on": list(self.depends_on),
            "docs": f"docs/findings.md#{self.code}",
        }
