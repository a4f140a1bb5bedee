from dataclasses import replace

from lkhub.findings.finding import Finding, Ref
from lkhub.findings.fold import fold


def make(subject: str, *causes: str) -> Finding:
    depends_on = tuple(Ref("it-fails", cause) for cause in causes)
    return Finding("it-fails", subject, "error", f"{subject} fails", "", "", (), depends_on=depends_on)


def names(*findings: Finding) -> list[tuple[str, list[str]]]:
    return [(row.finding.subject, [other.subject for other in row.consequences]) for row in fold(findings)]


def test_consequences_fold_under_their_cause_in_order() -> None:
    assert names(make("b", "a"), make("x"), make("a"), make("c", "a")) == [("x", []), ("a", ["b", "c"])]


def test_consequence_of_a_consequence_folds_under_the_first_cause() -> None:
    assert names(make("a"), make("b", "a"), make("c", "b")) == [("a", ["b", "c"])]


def test_missing_cause_hides_nothing() -> None:
    assert names(make("b", "a"), make("c")) == [("b", []), ("c", [])]


def test_finding_of_two_causes_folds_only_where_both_are_there() -> None:
    """One of the two causes does not explain the finding whole."""
    assert names(make("a"), make("c", "a", "b")) == [("a", []), ("c", [])]
    assert names(make("a"), make("b"), make("c", "a", "b")) == [("a", ["c"]), ("b", [])]


def test_cause_of_another_subject_hides_nothing() -> None:
    other = replace(make("media"), code="process-fails")
    assert [row.consequences for row in fold([make("a"), replace(make("x"), depends_on=(other.ref,))])] == [(), ()]


def test_circle_hides_nothing() -> None:
    assert names(make("a", "b"), make("b", "a")) == [("a", []), ("b", [])]
    assert names(make("a", "a")) == [("a", [])]
    shown = fold([make("a", "b"), make("b", "a"), make("c", "a")])
    assert sorted(f.subject for row in shown for f in (row.finding, *row.consequences)) == ["a", "b", "c"]


def test_finding_whose_causes_end_in_a_circle_stands_alone() -> None:
    """No finding of the circle is the first cause."""
    assert names(make("c", "a"), make("a", "b"), make("b", "a")) == [("c", []), ("a", []), ("b", [])]
