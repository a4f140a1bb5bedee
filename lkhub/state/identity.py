"""Identifies a process of a hub for the next supervisor: by a record on disk and a mark in the process's environment.

The record has everything. The mark identifies a process whose record is lost: a program that is not of the hub has no
mark, whatever is on its command line.

The next supervisor may have another version of lkhub, also an older one. So unknown keys are ignored, and a field that
is missing or can't be read gets the value that keeps a call running. Neither record nor mark has a secret.
"""

import contextlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from functools import cache
from typing import Any, TypeVar, get_type_hints

from lkhub.errors import MachineError
from lkhub.host import files
from lkhub.host.processes import ProcessId
from lkhub.plan.paths import StatePaths
from lkhub.plan.process import UNKNOWN, Fingerprint, ProcessPlan
from lkhub.source.json_text import parse_finite_json
from lkhub.source.typed import Epoch, ShapeError, pack, unpack
from lkhub.spec.duration import DEFAULT_DRAIN

Value = TypeVar("Value")

# The version that is written. A change that older versions would misread needs another file name, not a new number.
VERSION = 1

# How many seconds to wait for the calls of a process whose drain limit is not known.
UNKNOWN_DRAIN = int(DEFAULT_DRAIN)

_KNOWN_AT_LEAST = ("name", "argv")
"""The fields of a plan without which a record is of no use."""


def keep_calls(plan: ProcessPlan) -> ProcessPlan:
    """The plan, changed so that the process counts as one that carries calls, since it is not known whether it does."""
    return replace(plan, carries_calls=True, drain=UNKNOWN_DRAIN)


@dataclass(frozen=True)
class Identity:
    """A process on record. `process` is its pid and start, `root` the state directory that it belongs to. `fingerprint`
    tells which version of the plan it runs; `since` is in epoch seconds. `taken` are the stamps of its watched files
    when it last read them. `unknown` are the fields of its plan that the record does not have. `waits`: it has
    retired, and works until its successor does; `since` is then since when."""

    process: ProcessId
    root: str
    plan: ProcessPlan
    fingerprint: Fingerprint
    since: float
    taken: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    waits: bool = False

    @property
    def name(self) -> str:
        return self.plan.name

    def fill(self, planned: Iterable[ProcessPlan]) -> "Identity":
        """The identity with its unknown fields taken from the plan of the same name in `planned`."""
        named = [plan for plan in planned if plan.name == self.name]
        if not named:
            return self
        # Of media there may be two, with other ports.
        known = next((plan for plan in named if plan.health == self.plan.health), named[0])
        told = {name: getattr(known, name) for name in self.unknown}
        return replace(self, plan=replace(self.plan, **told), unknown=())

    def dump(self) -> str:
        process = {"process": pack(self.process), "since": self.since, "taken": self.taken}
        if self.waits:
            process["waits"] = True
        return json.dumps(_describe(self.root, self.plan, self.fingerprint) | process, indent=2) + "\n"

    @staticmethod
    def parse(text: str) -> "Identity":
        """Raises ValueError if the text does not say which process it describes and how that was started."""
        record = _read_object(text)
        plan, unknown = _read_plan(record)
        return Identity(
            unpack(ProcessId, record.get("process")),
            _read_root(record),
            plan,
            _read_or(Fingerprint, record.get("fingerprint"), UNKNOWN),
            _read_or(Epoch, record.get("since"), 0.0),
            _read_or(tuple[str, ...], record.get("taken"), ()),
            unknown,
            _read_or(bool, record.get("waits"), False),
        )


@dataclass(frozen=True)
class Mark:
    """The mark in the environment of a process. It says how the process was started, without later changes."""

    root: str
    plan: ProcessPlan
    fingerprint: Fingerprint
    unknown: tuple[str, ...] = ()

    def dump(self) -> str:
        return json.dumps(_describe(self.root, self.plan, self.fingerprint))

    @staticmethod
    def parse(text: str) -> "Mark":
        """Raises ValueError if the text is not a mark of lkhub."""
        mark = _read_object(text)
        plan, unknown = _read_plan(mark)
        return Mark(_read_root(mark), plan, _read_or(Fingerprint, mark.get("fingerprint"), UNKNOWN), unknown)


def _describe(root: str, plan: ProcessPlan, fingerprint: Fingerprint) -> dict[str, object]:
    return {"version": VERSION, "root": root, "plan": pack(plan), "fingerprint": pack(fingerprint)}


def _read_object(text: str) -> dict[str, object]:
    document = parse_finite_json(text)
    if not isinstance(document, dict):
        raise ValueError("not an object")
    return document


def _read_root(document: Mapping[str, object]) -> str:
    root = document.get("root")
    if not isinstance(root, str) or not root:
        raise ValueError("no state directory")
    return root


def _read_plan(document: Mapping[str, object]) -> tuple[ProcessPlan, tuple[str, ...]]:
    """The plan, and the names of the fields that the document does not have."""
    told = document.get("plan")
    if not isinstance(told, dict):
        raise ValueError("no plan")
    values: dict[str, Any] = {}  # each has the type of its field
    unknown: list[str] = []
    for name, kind in _list_fields().items():
        try:
            values[name] = unpack(kind, told[name])
        except (LookupError, ValueError):
            unknown.append(name)
    if missing := [name for name in _KNOWN_AT_LEAST if name in unknown]:
        raise ValueError(f"no {missing[0]}")
    careful = keep_calls(ProcessPlan(values["name"], values["argv"]))
    return replace(careful, **values), tuple(unknown)


@cache
def _list_fields() -> dict[str, type[object]]:
    """The types of a plan's fields, by name."""
    hints = get_type_hints(ProcessPlan)
    return {field.name: hints[field.name] for field in fields(ProcessPlan)}


def _read_or(kind: type[Value], value: object, default: Value) -> Value:
    try:
        return unpack(kind, value)
    except ShapeError:
        return default


def list_records(paths: StatePaths) -> tuple[Identity, ...]:
    """The processes whose records can be read."""
    try:
        names = sorted(entry.removesuffix(".json") for entry in os.listdir(paths.run) if entry.endswith(".json"))
    except OSError:
        return ()
    return tuple(identity for name in names if (identity := read_record(paths, name)))


def list_retired(paths: StatePaths) -> tuple[Identity, ...]:
    """The processes on record that retired: their records have pids in their names, since another process has taken the
    place of each."""
    try:
        names = sorted(entry.removesuffix(".json") for entry in os.listdir(paths.run) if entry.endswith(".json"))
    except OSError:
        return ()
    found = (_read(paths, name) for name in names if "." in name)
    return tuple(identity for identity in found if identity is not None)


def read_record(paths: StatePaths, name: str) -> Identity | None:
    """The process on record under this name; None if there is no record or it can't be read."""
    identity = _read(paths, name)
    return identity if identity is not None and identity.plan.name == name else None


def _read(paths: StatePaths, name: str) -> Identity | None:
    try:
        text = files.read_text(paths.record(name))
        return Identity.parse(text) if text else None
    except (ValueError, MachineError):
        return None


def write_record(paths: StatePaths, identity: Identity) -> None:
    """Raises MachineError if the record can't be written."""
    files.write_private(paths.record(identity.plan.name), identity.dump())


def write_retired(paths: StatePaths, identity: Identity) -> None:
    """Raises MachineError if the record can't be written."""
    files.write_private(paths.record(_name_retired(identity)), identity.dump())


def remove_retired(paths: StatePaths, identity: Identity) -> None:
    """Remove the record of a process that retired and has ended."""
    with contextlib.suppress(MachineError):
        files.remove(paths.record(_name_retired(identity)))


def _name_retired(identity: Identity) -> str:
    return f"{identity.name}.{identity.process.pid}"


def remove_record(paths: StatePaths, name: str, process: ProcessId) -> None:
    """Remove the record of this process. A record of another process stays.

    A record that can't be removed does no harm: its process is gone.
    """
    with contextlib.suppress(MachineError):
        identity = read_record(paths, name)
        if identity is not None and identity.process == process:
            files.remove(paths.record(name))
