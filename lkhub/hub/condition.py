"""How well a hub is, as `lkhub status --json` says it in every version, and whether it is worse than before."""

from collections.abc import Iterator, Mapping
from typing import Any

from lkhub.shown import escape
from lkhub.state.upgrade import Condition

_PENDING = "change-pending"


def read_condition(status: Mapping[str, Any]) -> Condition:  # another version's document
    """The condition of a hub from the document of `status --json`, which may be another version's. Raises LookupError,
    TypeError or AttributeError where it is not such a document."""
    verified = status["verified"] or {}
    results = {each["path"]: each for each in verified.get("paths", ())}
    results |= {f"the {each['what']}": each for each in verified.get("web", ())}
    findings = status["findings"]
    return Condition(
        running=status["hub"]["state"] in ("running", "degraded"),
        pending=any(finding["code"] == _PENDING for finding in findings),
        down=tuple(p["name"] for p in status["processes"] if p["state"] in ("backoff", "failed", "hanging")),
        proved=tuple(name for name, each in results.items() if each["ok"] is True),
        failed={name: str(each["detail"]) for name, each in results.items() if each["ok"] is not True},
        errors={f"{f['code']} {f['subject']}": str(f["title"]) for f in findings if f["severity"] == "error"},
    )


def find_worse(before: Condition, after: Condition) -> tuple[str, ...]:
    """What was well before and is not any more, in words. What was unwell already is no part of it."""
    if before.running and not after.running:
        return ("the hub does not run",)
    return tuple(map(escape, _find_worse(before, after)))


def _find_worse(before: Condition, after: Condition) -> Iterator[str]:
    for name in after.down:
        if name not in before.down:
            yield f"{name} does not run"
    lost = [name for name in before.proved if name not in after.proved]
    for name in lost:
        yield f"{name} worked before, and does not: {after.failed.get(name) or 'it is not there any more'}"
    for key, title in after.errors.items():
        code, _, subject = key.partition(" ")
        if key not in before.errors and subject not in (*lost, *after.down):
            yield f"{title} [{code}]"
