"""Text of a spec → `Spec`, with every fault at once.

A spec with faults still becomes a `Spec`, with the default in place of each wrong value. So later checks (ports that
collide, files that are missing) can add their faults to the same list.
"""

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from lkhub.findings.catalogue.spec import key_unknown, value_wrong
from lkhub.findings.declare import Statement
from lkhub.findings.fault import Fault, SpecError, place_finding
from lkhub.findings.finding import Edit, Finding
from lkhub.shown import shown
from lkhub.source.located import Document
from lkhub.source.path import Path
from lkhub.source.yaml import parse_document
from lkhub.spec.keys import explain_keys
from lkhub.spec.model import Spec
from lkhub.spec.raw import find_refused
from lkhub.spec.references import may_be_secret


@dataclass
class LoadedSpec:
    """A spec, the document it came from, and what is wrong with it so far.

    `broken` has the paths whose value was replaced by its default.
    """

    spec: Spec
    document: Document
    faults: list[Fault]
    broken: set[Path] = field(default_factory=set)

    def is_broken(self, path: Path) -> bool:
        """Whether the value at `path` is a default that stands in for a broken one."""
        return any(path[: len(broken)] == broken for broken in self.broken)

    def add(self, path: Path, statement: Statement, hint: str = "", edit: Edit | None = None) -> None:
        """Add a fault at `path`, unless the value there is broken already. `edit` is what `hint` says, as an edit of
        the spec, where the right value is known."""
        if not self.is_broken(path):
            self.faults.append(self.document.fault(path, statement, hint, edit))

    def place(self, path: Path, finding: Finding) -> None:
        """Add a finding about the value at `path` as a fault, unless the value is broken already."""
        if not self.is_broken(path):
            self.faults.append(place_finding(finding, self.document.where(path)))

    def require_sound(self) -> Spec:
        """The spec, or SpecError with all faults."""
        if self.faults:
            raise SpecError(self.faults)
        return self.spec


def load_spec(raw: bytes, file: str = "hub.yaml") -> LoadedSpec:
    """Read a spec. Never raises for any bytes; see `LoadedSpec.faults`."""
    document = parse_document(raw, file)
    faults = list(document.faults)
    broken = set(document.broken)
    bundled = document.data.get("engine", "bundled") == "bundled"
    for path, statement, hint in find_refused(document.data.get("livekit"), bundled=bundled):
        faults.append(document.fault(("livekit", *path), statement, hint))
        broken.add(("livekit", *path))
    for path in _find_empty(document.data, Spec):
        if path not in document.broken:
            hint = "write a value, or leave the key out for its default"
            faults.append(document.fault(path, value_wrong("empty"), hint))
            broken.add(path)
    # An unreadable item stays in its list for one round, so that the other items keep their numbers.
    data = _without(document.data, {path for path in broken if isinstance(path[-1], str)})
    while True:
        try:
            return LoadedSpec(Spec.model_validate(data), document, faults, broken)
        except ValidationError as error:
            # Each round removes at least one value, so this ends with the empty document at the latest.
            for details in error.errors(include_url=False, include_input=True):
                path = _path_in(data, details["loc"])
                if path in document.broken:
                    continue
                if details["type"] == "missing" and details["loc"] in broken:
                    # It is not missing: a fault about it was found before, and its value taken out.
                    broken.add(path)
                    continue
                if path[:1] == ("keys",) and details["type"] != "value_error":
                    # A mistyped key in here may be the secret itself: neither key nor value is repeated.
                    path, statement, hint = ("keys",), value_wrong(explain_keys(data["keys"])), ""
                elif details["type"] == "extra_forbidden":
                    statement, hint = _explain_unknown(path)
                else:
                    problem, hint = _explain(details, path)
                    statement = value_wrong(problem)
                faults.append(document.fault(path, statement, hint))
                broken.add(path)
            data = _without(data, broken)


def _find_empty(data: Any, model: type[BaseModel], above: Path = ()) -> Iterator[Path]:
    """Every key without a value, except `keys`, which has a message of its own.

    In the model None means "not given", so without this check an empty key would silently become the default.
    """
    for key, info in model.model_fields.items():
        if not isinstance(data, dict) or key not in data or key == "keys":
            continue
        if data[key] is None:
            yield (*above, key)
        elif part := _part_in(info.annotation):
            yield from _find_empty(data[key], part, (*above, key))
            for index, item in enumerate(data[key] if isinstance(data[key], list) else ()):
                yield from _find_empty(item, part, (*above, key, index))


def _part_in(annotation: Any) -> type[BaseModel] | None:
    """The class of the spec's part that this type is, or is a list of."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((part for inner in get_args(annotation) if (part := _part_in(inner))), None)


def _path_in(data: Any, loc: Path) -> Path:
    """The longest start of `loc` that is in the data: pydantic appends steps of its own for unions."""
    path: Path = ()
    for step in loc:
        in_list = isinstance(data, list) and isinstance(step, int) and step < len(data)
        if not (in_list or (isinstance(data, dict) and step in data)):
            break
        data = data[step]
        path = (*path, step)
    return path


def _without(data: Any, broken: set[Path]) -> Any:
    """`data` without the broken paths. A list with a broken item is removed as a whole: the items that remain would
    have other numbers than in the text."""
    removed = {tuple(takewhile(lambda step: isinstance(step, str), path)) for path in broken}

    def copy(value: Any, path: Path) -> Any:
        if not isinstance(value, dict):
            return value
        return {key: copy(below, (*path, key)) for key, below in value.items() if (*path, key) not in removed}

    return {} if () in removed else copy(data, ())


def _explain(details: ErrorDetails, path: Path) -> tuple[str, str]:
    """The problem and a hint for one pydantic error, in lkhub's words."""
    context = details.get("ctx", {})
    match details["type"]:
        case "value_error":
            return str(context["error"]), ""
        case "literal_error":
            expected = str(context["expected"]).replace("'", "").replace(" or ", ", ")
            return f"{shown(details['input'])} is not one of: {expected}", ""
        case "string_pattern_mismatch":
            return f"{shown(details['input'])} does not fit; use lower-case letters, digits and dashes", ""
        case "model_type" | "model_attributes_type" | "dict_type" if _takes_secret(path):
            # What stands in the place of a mapping with a secret may be that secret.
            return "a mapping of keys is expected", ""
        case "model_type" | "model_attributes_type" | "dict_type" if isinstance(path[-1], int):
            # Not shown: it may be the URL of a receiver of webhooks, and have a secret in it.
            return "a mapping of keys is expected", f"write {{{_first_key(path)}: …}}"
        case "model_type" | "model_attributes_type" | "dict_type":
            return f"{shown(details['input'])}, but a mapping of keys is expected", ""
        case "bool_type" if details["input"] in ("true", "false"):
            return f"{details['input']} is in quotes", "write it without the quotes"
        case "bool_type":
            return f"{shown(details['input'])} is not true or false", ""
        case "string_type":
            return f"{shown(details['input'])} is not text", ""
        case "int_type" if isinstance(details["input"], str) and details["input"].isdecimal():
            return f"{shown(details['input'])} is in quotes, but a number is expected", "write it without the quotes"
        case "int_type":
            return f"{shown(details['input'])} is not a whole number", ""
        case "string_too_short":
            return "empty; write a value", ""
        case "greater_than_equal":
            return f"{shown(details['input'])} is less than {context['ge']}", ""
        case "less_than_equal":
            return f"{shown(details['input'])} is more than {context['le']}", ""
        case "missing":
            return f"{details['loc'][-1]} is missing", ""
        case "tuple_type" if _part_in(_annotation_at(path)):
            return (
                "a list of mappings is expected",
                f"begin each with a dash and its first key: - {_first_key(path)}: …",
            )
        case "tuple_type":
            # Not shown: a list of TURN servers holds secrets, and what stands in its place may be one.
            return "a list is expected", "write [a, b]"
    return details["msg"], ""


# The similarity (difflib's ratio) from which a key is taken for a slip: one letter too many or too few in a short word.
_SLIP = 0.85


def _explain_unknown(path: Path) -> tuple[Statement, str]:
    model = _model_at(path[:-1])
    assert model
    known = list(model.model_fields)
    # A slip of the pen, `mode` for `modes`, is likelier than a key that stands in the wrong part.
    if near := difflib.get_close_matches(str(path[-1]), known, n=1, cutoff=_SLIP):
        return key_unknown(), f"did you mean {near[0]}?"
    # A key of one item of a list is not one for the whole hub: `name` of a room's preset is not the hub's name.
    if not any(isinstance(step, int) for step in path) and (elsewhere := _find_field(str(path[-1]), Spec)):
        return key_unknown("unknown key here"), f"it belongs at {elsewhere}"
    return key_unknown(), suggest(str(path[-1]), known)


def suggest(given: str, known: Sequence[str]) -> str:
    """A hint for a key that is not among the known ones."""
    if near := difflib.get_close_matches(given, known, n=1, cutoff=0.6):
        return f"did you mean {near[0]}?"
    return f"known here: {', '.join(known)}"


def _annotation_at(path: Path) -> Any:
    """The type of the value at a path, or of the list that it is in."""
    annotation: Any = Spec
    for step in path:
        if isinstance(step, str) and (part := _part_in(annotation)) and step in part.model_fields:
            annotation = part.model_fields[step].annotation
    return annotation


def _model_at(path: Path) -> type[BaseModel] | None:
    return _part_in(_annotation_at(path))


def _first_key(path: Path) -> str:
    """The key that every mapping of the list at a path needs, or its first one."""
    model = _model_at(path)
    assert model
    fields = model.model_fields
    return next((key for key, info in fields.items() if info.is_required()), next(iter(fields)))


def _takes_secret(path: Path) -> bool:
    """Whether the value at a path is a mapping with a secret at one of its keys."""
    model = _model_at(path)
    fields = [info.annotation for info in model.model_fields.values()] if model else []
    return any(map(may_be_secret, (_annotation_at(path), *fields)))


def _find_field(name: str, model: type[BaseModel], prefix: str = "") -> str | None:
    """The dotted place of a key of this name: people write media's keys at the top level, and the reverse."""
    for key, info in model.model_fields.items():
        if key == name:
            return prefix + key
        if isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel):
            found = _find_field(name, info.annotation, f"{prefix}{key}.")
            if found:
                return found
    return None
