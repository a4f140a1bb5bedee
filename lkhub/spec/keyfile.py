"""The text of a key file, as LiveKit's key_file: YAML of `NAME: SECRET`, the current key first.

No message repeats any of it: in the most common mistakes the secret stands where the key should.
"""

from typing import Any

from lkhub.findings.catalogue.spec import secret_unusable
from lkhub.findings.fault import Fault, make_fault
from lkhub.findings.finding import Where
from lkhub.secret import Secret, SecretError
from lkhub.source.yaml import parse_plain
from lkhub.spec.keys import check_pair

_FORM = "one line `NAME: SECRET`, with a space after the colon"


def parse_key_file(raw: bytes, file: str) -> dict[str, Secret]:
    """The keys of a key file, the current one first. Raises SecretError with every problem, each at its line.

    `file` is the name of the file in the messages.
    """
    data, document = parse_plain(raw, file)
    # The document's own faults repeat the key, which may be the secret.
    faults = [_fault(file, fault.line, f"{fault.title}; {fault.hint or f'write {_FORM}'}") for fault in document.faults]
    keys: dict[str, Secret] = {}
    if isinstance(data, dict) and data:
        for key, value in data.items():
            if (key,) in document.broken:
                continue
            try:
                keys[key] = _read_pair(key, value)
            except ValueError as error:
                faults.append(_fault(file, document.line((key,)), str(error)))
    elif not faults:
        faults.append(_fault(file, document.lines.get(()), _explain_other(data)))
    if faults:
        raise SecretError(*(str(fault) for fault in sorted(faults, key=lambda fault: fault.line or 0)))
    return keys


def _fault(file: str, line: int | None, problem: str) -> Fault:
    return make_fault(secret_unusable(problem), Where(file, line))


def _read_pair(key: str, value: Any) -> Secret:
    if value is None:
        value = ""
    if not isinstance(value, str):
        raise ValueError("YAML does not read the secret as text; put it in quotes")
    check_pair(key, value, "NAME: SECRET")
    return Secret(value)


def _explain_other(data: Any) -> str:
    """What is wrong with a key file that has no pairs."""
    if isinstance(data, str) and data:
        return f"no space after the colon, so YAML sees no key and secret; write {_FORM}"
    if isinstance(data, list) and data:
        return f"a list; write {_FORM}, without a dash in front"
    if data in (None, "", {}, []):
        return f"no key in it; write {_FORM}"
    return f"not a mapping; write {_FORM}"
