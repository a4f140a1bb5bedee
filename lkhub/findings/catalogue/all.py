"""The table of all codes, for the documentation and for tests, which need every code. A module that makes a finding
imports the code from the module of its subject instead, so that a command loads only the codes that it may need."""

from collections.abc import Iterable
from types import ModuleType
from typing import Any

from lkhub.findings.catalogue import (
    agents,
    calls,
    certificates,
    choices,
    config,
    files,
    hub,
    limits,
    lines,
    names,
    openid,
    sites,
    spec,
    store,
    tailnet,
    webhooks,
)
from lkhub.findings.declare import Code

# In the order of the documentation.
SUBJECTS = (
    calls,
    lines,
    names,
    certificates,
    limits,
    hub,
    webhooks,
    agents,
    openid,
    sites,
    store,
    choices,
    spec,
    files,
    tailnet,
    config,
)


def list_codes(subjects: Iterable[ModuleType]) -> dict[str, Code[Any]]:
    """The codes of these modules, by their names. ValueError where a code is declared twice."""
    found: dict[str, Code[Any]] = {}
    for subject in subjects:
        for code in vars(subject).values():
            if isinstance(code, Code) and found.setdefault(code.name, code) is not code:
                raise ValueError(f"{code.name} is declared twice")
    return found


CODES = list_codes(SUBJECTS)
