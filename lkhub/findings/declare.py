"""How a code of the catalogue is declared: as a function that turns typed facts into a title and a cause.

The function's docstring is the code's documentation, except for its severities. mypy checks the facts at every call.
"""

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Generic, NamedTuple, ParamSpec

from lkhub.findings.finding import Finding, Fix, Ref, Severity, Where

Facts = ParamSpec("Facts")

_CODE = re.compile(r"[a-z]+[0-9]*(-[a-z0-9]+)*")


class Says(NamedTuple):
    """What a code says about its facts: the title, and the cause if the code always has the same one."""

    title: str
    cause: str = ""


class Statement(NamedTuple):
    """A code with its facts filled in. It becomes a finding with the subject that it is about."""

    code: str
    severities: tuple[Severity, ...]
    title: str
    cause: str

    def about(
        self,
        subject: str,
        *,
        detail: str = "",
        cause: str | None = None,
        severity: Severity | None = None,
        fix: Sequence[Fix] = (),
        where: Where | None = None,
        depends_on: Sequence[Ref] = (),
    ) -> Finding:
        """The finding about `subject`. `detail` is what was seen. `cause` replaces the cause of the code, and
        `severity` its usual severity. ValueError for a severity that the code does not declare."""
        severity = severity or self.severities[0]
        if severity not in self.severities:
            raise ValueError(f"{self.code} is never of severity {severity}")
        cause = self.cause if cause is None else cause
        return Finding(
            self.code, subject, severity, self.title, detail, cause, tuple(fix), where, tuple(dict.fromkeys(depends_on))
        )


class Code(Generic[Facts]):
    """A kind of finding. A call with its facts gives the statement of what is wrong. `severities` has for each severity
    the condition for it, "" for none; the first severity is the usual one. This is no data class, since every command
    loads this module, and creating a data class takes a millisecond."""

    def __init__(self, name: str, severities: Mapping[Severity, str], says: Callable[Facts, Says]) -> None:
        self.name, self.severities, self.says = name, severities, says

    def __call__(self, *args: Facts.args, **kwargs: Facts.kwargs) -> Statement:
        title, cause = self.says(*args, **kwargs)
        return Statement(self.name, tuple(self.severities), title, cause)

    @property
    def docs(self) -> str:
        """The code's documentation, as Markdown: its severities and their conditions, what it means, why, what to
        do."""
        when = ", ".join(
            f"*{name.capitalize() if number == 0 else name}{f'* {text}' if text else '*'}"
            for number, (name, text) in enumerate(self.severities.items())
        )
        lead = f"{when[:-1]}.*" if when.endswith("*") else f"{when}."
        return f"{lead} {inspect.cleandoc(self.says.__doc__ or '')}"


def declare(
    name: str,
    severity: Severity,
    when: str = "",
    *,
    error: str | None = None,
    warning: str | None = None,
    info: str | None = None,
) -> Callable[[Callable[Facts, Says]], Code[Facts]]:
    """Declare the code `name`. Its usual severity is `severity`, and `when` is the condition for it. Further severities
    are named with their conditions, as `error="once it has expired"`. ValueError where the name is not kebab-case, or
    where the decorated function has another name."""
    if not _CODE.fullmatch(name):
        raise ValueError(f"{name} is not a code: lower-case words with dashes between them")
    severities: dict[Severity, str] = {severity: when}
    others: dict[Severity, str | None] = {"error": error, "warning": warning, "info": info}
    severities |= {other: condition for other, condition in others.items() if condition is not None}

    def make(says: Callable[Facts, Says]) -> Code[Facts]:
        if says.__name__ != name.replace("-", "_"):
            raise ValueError(f"{name} is declared by a function of the same name")
        return Code(name, severities, says)

    return make
