"""Every case from the field has a test, or the reason why it has none."""

import re

from ruamel.yaml import YAML

from tests.documents import ROOT

CASES = YAML(typ="safe").load(ROOT / "tests/field/cases.yaml")
KEYS = {"source", "situation", "given", "right", "later"}


def find_marked() -> set[str]:
    texts = (path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    return {name for text in texts for name in re.findall(r'mark\.case\("([\w-]+)"\)', text)}


def test_every_case_has_a_test_or_says_why_not() -> None:
    marked = find_marked()
    assert marked <= CASES.keys(), "no such case"
    assert {name for name, case in CASES.items() if "later" not in case} == marked


def test_cases_say_what_happened_and_what_is_right() -> None:
    for name, case in CASES.items():
        assert case.keys() <= KEYS, name
        assert case["source"], name
        assert case["situation"], name
        assert case["right"], name
