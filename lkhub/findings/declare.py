"""How a code of the catalogue is declared: a function from typed facts to what is said of them.

The function's docstring is the documentation of the code, without its severity. mypy checks the facts at every call.
"""

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Generic, NamedTuple, ParamSpec

from lkhub.findings.finding import Finding, Fix, Ref, Severity, Where

Facts = ParamSpec("Facts")

_CODE = re.compile(r"[a-z]+[0-9]*(-[a-z0-9]+)*")


class Says(NamedTuple):
    """What a code says of its facts: the title, and the cause where it is always the same."""

    title: str
    cause: str = ""


class Statement(NamedTuple):
    """A code with its facts filled in. What it is about makes it a finding."""

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
        """The finding. `detail` is what was seen. `cause` is given where it is not the declared one, and `severity`
        where it is not the first that the code declares; ValueError for one that it does not declare."""
        severity = severity or self.severities[0]
        if severity not in self.severities:
            raise ValueError(f"{self.code} is never of severity {severity}")
        cause = self.cause if cause is None else cause
        return Finding(
            self.code, subject, severity, self.title, detail, cause, tuple(fix), where, tuple(dict.fromkeys(depends_on))
        )


class Code(Generic[Facts]):
    """A kind of finding. Called with its facts it says what is wrong. `severities` says when it has which, the usual
    one first; "" needs no condition. No data class: every command loads this module, and making one takes a
    millisecond."""

    def __init__(self, name: str, severities: Mapping[Severity, str], says: Callable[Facts, Says]) -> None:
        self.name, self.severities, self.says = name, severities, says

    def __call__(self, *args: Facts.args, **kwargs: Facts.kwargs) -> Statement:
        title, cause = self.says(*args, **kwargs)
        return Statement(self.name, tuple(self.severities), title, cause)

    @property
    def docs(self) -> str:
        """Its documentation, as Markdown: when it has which severity, what it means, why it comes, what to do."""
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
    """Declare a code of this severity, which it has `when`, and of others: `error="once it has expired"`. ValueError
    where the name is not kebab-case, or not that of a documented function."""
    if not _CODE.fullmatch(name):
        raise ValueError(f"{name} is not a code: lower-case words with dashes between them")
    severities: dict[Severity, str] = {severity: when}
    others: dict[Severity, str | None] = {"error": error, "warning": warning, "info": info}
    severities |= {other: condition for other, condition in others.items() if condition is not None}

    def make(says: Callable[Facts, Says]) -> Code[Facts]:
        if says.__name__ != name.replace("-", "_") or not says.__doc__:
            raise ValueError(f"{name} is declared by a documented function of the same name")
        return Code(name, severities, says)

    return make
