from typing import Any

import pytest

from lkhub.checks.calls import check_paths
from lkhub.checks.paths import PathResult
from lkhub.findings.finding import Finding


def measure(path: str = "udp", ok: bool | None = True, **measured: Any) -> PathResult:
    return PathResult(path, ok, "media", "heard", **{"rtt_ms": 20.0, "jitter_ms": 1.0, "lateness_ms": 0.5} | measured)


def find(*results: PathResult) -> list[Finding]:
    return [finding for finding in check_paths(results) if finding.code in ("path-slow", "path-uneven")]


@pytest.mark.parametrize(
    ("rtt", "severity"), [(0.2, None), (149.9, None), (150.0, "info"), (399.0, "info"), (400.0, "warning")]
)
def test_slow_path_is_reported_as_people_hear_it(rtt: float, severity: str | None) -> None:
    found = find(measure(rtt_ms=rtt))
    assert [finding.severity for finding in found] == ([severity] if severity else [])
    for finding in found:
        assert f"{rtt:.0f} ms" in finding.title
        assert finding.is_note == (severity == "info"), "a note has no way out, and a warning has one"


@pytest.mark.parametrize(
    ("jitter", "lateness", "found"),
    [
        (29.9, 0.1, False),
        (30.0, 0.1, True),
        (30.0, 10.0, True),
        (30.0, 10.1, False),
        (500.0, 200.0, False),
        (500.0, 20.0, True),
        (80.0, None, False),
        (None, 0.1, False),
    ],
)
def test_jitter_counts_only_where_this_machine_ran_evenly(
    jitter: float | None, lateness: float | None, found: bool
) -> None:
    assert bool(find(measure(jitter_ms=jitter, lateness_ms=lateness))) == found


def test_paths_of_one_line_are_one_finding() -> None:
    slow, uneven = find(
        measure("udp", rtt_ms=420.0, jitter_ms=40.0), measure("tcp", rtt_ms=180.0), measure("turn-udp", jitter_ms=50.0)
    )
    assert (slow.code, slow.subject, slow.severity) == ("path-slow", "udp", "warning")
    assert slow.detail.endswith("udp 420 ms, tcp 180 ms")
    assert (uneven.code, uneven.subject) == ("path-uneven", "udp")
    assert "50 ms" in uneven.title
    assert "udp 40 ms, turn-udp 50 ms" in uneven.detail


@pytest.mark.parametrize("ok", [False, None])
def test_path_that_was_not_proved_is_not_judged(ok: bool | None) -> None:
    assert find(measure(ok=ok, rtt_ms=900.0, jitter_ms=90.0)) == []


def test_values_that_were_not_measured_are_not_judged() -> None:
    assert find(PathResult("udp", True, "media", "heard")) == []
