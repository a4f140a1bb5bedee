"""What a process of a hub is, for the next supervisor: a record on disk, and a mark in the process's environment.

The record has everything. The mark tells of a process whose record is lost that it is one of ours: no other program has
it, whatever stands on its command line.

The next supervisor may be of another version of lkhub, an older one too. So unknown keys are ignored, and what is
missing or can't be read has the value that keeps a call running. Neither record nor mark has a secret.
"""

import contextlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from functools import cache
from typing import Any, TypeVar, get_type_hints

from pydantic import TypeAdapter

from lkhub.errors import MachineError
from lkhub.host import files
from lkhub.host.processes import ProcessId
from lkhub.plan.paths import StatePaths
from lkhub.plan.process import UNKNOWN, Fingerprint, ProcessPlan
from lkhub.source.json_text import parse_json
from lkhub.spec.duration import DEFAULT_DRAIN

Value = TypeVar("Value")

# What this version writes. A change that older versions would misread needs another name of the file, not a number.
VERSION = 1

# How long to wait for the calls of a process of which it is not known how long.
UNKNOWN_DRAIN = int(DEFAULT_DRAIN)

_KNOWN_AT_LEAST = ("name", "argv")
"""What a plan on record has to say. Without it the record is of no use."""


def keep_calls(plan: ProcessPlan) -> ProcessPlan:
    """The plan of a process of which it is not known whether it carries calls: they are waited for."""
    return replace(plan, carries_calls=True, drain=UNKNOWN_DRAIN)


@dataclass(frozen=True)
class Identity:
    """A process on record: its pid and start, the state directory that it belongs to, which version of the plan it
    runs, since when (epoch seconds), and how the files that it watches were when it took them. `unknown` are the fields
    of its plan that the record does not tell."""

    process: ProcessId
    root: str
    plan: ProcessPlan
    fingerprint: Fingerprint
    since: float
    taken: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return self.plan.name

    def fill(self, planned: Iterable[ProcessPlan]) -> "Identity":
        """With what the record does not tell taken from the plan of this name among `planned`."""
        known = {plan.name: plan for plan in planned}.get(self.name)
        if known is None:
            return self
        told = {name: getattr(known, name) for name in self.unknown}
        return replace(self, plan=replace(self.plan, **told), unknown=())

    def dump(self) -> str:
        process = {"process": asdict(self.process), "since": self.since, "taken": self.taken}
        return json.dumps(_describe(self.root, self.plan, self.fingerprint) | process, indent=2) + "\n"

    @staticmethod
    def parse(text: str) -> "Identity":
        """Raises ValueError where the text does not say which process it is of, and how that was started."""
        record = _read_object(text)
        plan, unknown = _read_plan(record)
        return Identity(
            _PROCESS.validate_python(record.get("process")),
            _read_root(record),
            plan,
            _read_or(_FINGERPRINT, record.get("fingerprint"), UNKNOWN),
            _read_or(_SINCE, record.get("since"), 0.0),
            _read_or(_TAKEN, record.get("taken"), ()),
            unknown,
        )


@dataclass(frozen=True)
class Mark:
    """What stands in the environment of a process: as it was started, without what has changed since."""

    root: str
    plan: ProcessPlan
    fingerprint: Fingerprint
    unknown: tuple[str, ...] = ()

    def dump(self) -> str:
        return json.dumps(_describe(self.root, self.plan, self.fingerprint))

    @staticmethod
    def parse(text: str) -> "Mark":
        """Raises ValueError for what is not one of ours."""
        mark = _read_object(text)
        plan, unknown = _read_plan(mark)
        return Mark(_read_root(mark), plan, _read_or(_FINGERPRINT, mark.get("fingerprint"), UNKNOWN), unknown)


_PROCESS = TypeAdapter(ProcessId)
_FINGERPRINT = TypeAdapter(Fingerprint)
_SINCE = TypeAdapter(float)
_TAKEN = TypeAdapter(tuple[str, ...])


def _describe(root: str, plan: ProcessPlan, fingerprint: Fingerprint) -> dict[str, Any]:
    return {"version": VERSION, "root": root, "plan": asdict(plan), "fingerprint": asdict(fingerprint)}


def _read_object(text: str) -> dict[str, Any]:
    document = parse_json(text)
    if not isinstance(document, dict):
        raise ValueError("not an object")
    return document


def _read_root(document: Mapping[str, Any]) -> str:
    root = document.get("root")
    if not isinstance(root, str) or not root:
        raise ValueError("no state directory")
    return root


def _read_plan(document: Mapping[str, Any]) -> tuple[ProcessPlan, tuple[str, ...]]:
    """The plan, and the names of the fields that it does not tell."""
    told = document.get("plan")
    if not isinstance(told, dict):
        raise ValueError("no plan")
    values: dict[str, Any] = {}
    unknown: list[str] = []
    for name, adapter in _plan_fields().items():
        try:
            values[name] = adapter.validate_python(told[name])
        except (LookupError, ValueError):
            unknown.append(name)
    if missing := [name for name in _KNOWN_AT_LEAST if name in unknown]:
        raise ValueError(f"no {missing[0]}")
    careful = keep_calls(ProcessPlan(values["name"], values["argv"]))
    return replace(careful, **values), tuple(unknown)


@cache
def _plan_fields() -> dict[str, TypeAdapter[Any]]:
    """Making them costs more than a hundred readings, and records are looked at every two seconds."""
    hints = get_type_hints(ProcessPlan)
    return {field.name: TypeAdapter(hints[field.name]) for field in fields(ProcessPlan)}


def _read_or(adapter: TypeAdapter[Value], value: object, default: Value) -> Value:
    try:
        return adapter.validate_python(value)
    except ValueError:
        return default


def list_records(paths: StatePaths) -> tuple[Identity, ...]:
    """The processes on record, as far as records can be read."""
    try:
        names = sorted(entry.removesuffix(".json") for entry in os.listdir(paths.run) if entry.endswith(".json"))
    except OSError:
        return ()
    return tuple(identity for name in names if (identity := read_record(paths, name)))


def read_record(paths: StatePaths, name: str) -> Identity | None:
    """The process on record under this name; None where there is no record, or where it can't be read."""
    try:
        text = files.read_text(paths.record(name))
        identity = Identity.parse(text) if text else None
    except (ValueError, MachineError):
        return None
    return identity if identity is not None and identity.plan.name == name else None


def write_record(paths: StatePaths, identity: Identity) -> None:
    """Raises MachineError where it can't be written."""
    files.write_private(paths.record(identity.plan.name), identity.dump())


def remove_record(paths: StatePaths, name: str, process: ProcessId) -> None:
    """Remove the record of this process. That of another one stays.

    One that can't be removed names a process that is gone, which does no harm.
    """
    with contextlib.suppress(MachineError):
        identity = read_record(paths, name)
        if identity is not None and identity.process == process:
            files.remove(paths.record(name))
