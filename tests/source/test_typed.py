"""JSON ↔ dataclasses."""

import contextlib
import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lkhub.source.typed import MissingKeyError, ShapeError, pack, unpack


class Range(NamedTuple):
    start: int
    end: int


ONE = Range(1, 2)


@dataclass(frozen=True)
class Part:
    name: str
    size: float = 0.0


@dataclass(frozen=True)
class Whole:
    number: int
    text: str | None
    kind: Literal["a", "b"]
    parts: tuple[Part, ...] = ()
    by_name: Mapping[str, Part] = field(default_factory=dict)
    pair: tuple[str, int] = ("", 0)
    range: Range = ONE
    versions: frozenset[int] = frozenset()
    at: datetime | None = None
    anything: Any = None


FULL = Whole(
    1,
    "zażółć",
    "b",
    (Part("x", 0.5), Part("y")),
    {"z": Part("z")},
    ("a", 3),
    Range(5, 6),
    frozenset({4, 6}),
    datetime(2026, 11, 28, 12, tzinfo=UTC),
    {"deep": [1, None]},
)


def test_what_is_packed_is_unpacked() -> None:
    packed = json.loads(json.dumps(pack(FULL)))
    assert unpack(Whole, packed) == FULL
    assert packed["at"] == "2026-11-28T12:00:00Z"
    assert packed["versions"] == [4, 6]


def test_what_is_missing_has_its_default_and_what_is_new_is_ignored() -> None:
    assert unpack(Whole, {"number": 1, "text": None, "kind": "a"}) == Whole(1, None, "a")
    assert unpack(Part, {"name": "x", "new": [1]}) == Part("x")


@pytest.mark.parametrize(
    ("lacking", "key"),
    [({"text": None, "kind": "a"}, "number"), ({"number": 1, "text": None, "kind": "a", "parts": [{}]}, "name")],
)
def test_key_without_a_default_is_named(lacking: object, key: str) -> None:
    with pytest.raises(MissingKeyError) as raised:
        unpack(Whole, lacking)
    assert raised.value.key == key


def test_place_of_a_wrong_value_is_named() -> None:
    with pytest.raises(ShapeError, match=r"a wrong value at `\$\.parts\[0\]\.size`"):
        unpack(Whole, {"number": 1, "text": None, "kind": "a", "parts": [{"name": "x", "size": ""}]})


WRONG = [
    {"number": True},
    {"number": 1.5},
    {"number": "1"},
    {"text": 1},
    {"kind": "c"},
    {"kind": []},
    {"parts": {}},
    {"parts": [1]},
    {"by_name": []},
    {"pair": ["a"]},
    {"range": [1, 2, 3]},
    {"at": "soon"},
    {"at": 5},
]


@pytest.mark.parametrize("wrong", WRONG, ids=repr)
def test_another_type_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ShapeError):
        unpack(Whole, {"number": 1, "text": None, "kind": "a", **wrong})


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)
    )
)
def test_whatever_it_is_a_shape_error_says_so(value: Any) -> None:
    for kind in (Whole, Part, Range):
        with contextlib.suppress(ShapeError):
            unpack(kind, value)


def test_error_does_not_show_a_value() -> None:
    with pytest.raises(ShapeError) as raised:
        unpack(Whole, {"number": "s3cret", "text": None, "kind": "a"})
    assert "s3cret" not in str(raised.value)


RACE = """
import sys
from dataclasses import make_dataclass
from threading import Barrier, Thread
from lkhub.source.typed import unpack

sys.setswitchinterval(1e-6)
for _ in range(100):
    inner = make_dataclass("Inner", [(f"f{number}", int, 0) for number in range(30)])
    outer = make_dataclass("Outer", [*((f"f{number}", "tuple[int, ...]", ()) for number in range(30)), ("a", inner, 0)])
    ready = Barrier(4)

    def run():
        ready.wait()
        unpack(outer, {"a": {}})

    threads = [Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
"""


def test_threads_may_read_a_class_for_the_first_time_at_once() -> None:
    """`lkhub status` reads records in threads, and msgspec alone crashes there."""
    done = subprocess.run([sys.executable, "-c", RACE], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
