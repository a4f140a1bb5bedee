"""The table of all codes, for what needs every one: the documentation, and tests. What makes a finding imports its
code from the file of its subject, so that a command loads no more than it says."""

from collections.abc import Iterable
from types import ModuleType
from typing import Any

from lkhub.findings.catalogue import calls, certificates, choices, files, hub, limits, lines, names, spec, tailnet
from lkhub.findings.declare import Code

# In the order of the documentation.
SUBJECTS = (calls, lines, names, certificates, limits, hub, choices, spec, files, tailnet)


def list_codes(subjects: Iterable[ModuleType]) -> dict[str, Code[Any]]:
    """The codes of these modules, by their names. ValueError where one is declared twice."""
    found: dict[str, Code[Any]] = {}
    for subject in subjects:
        for code in vars(subject).values():
            if isinstance(code, Code) and found.setdefault(code.name, code) is not code:
                raise ValueError(f"{code.name} is declared twice")
    return found


CODES = list_codes(SUBJECTS)
