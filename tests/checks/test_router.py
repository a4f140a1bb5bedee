from datetime import UTC, datetime

import pytest

from lkhub.checks.router import check_router
from lkhub.wire.control import RenewalFailure

NOW = datetime(2025, 1, 1, tzinfo=UTC)
HOUR = 3600.0


def failure(since: float, ends: float | None) -> RenewalFailure:
    """A failure that began `since` seconds ago; the mappings end in `ends` seconds."""
    at = NOW.timestamp()
    return RenewalFailure("it does not answer", at - since, None if ends is None else at + ends)


def test_mappings_that_are_renewed_are_no_finding() -> None:
    assert list(check_router(None, NOW)) == []


@pytest.mark.parametrize(("since", "ends"), [(60, 5 * HOUR), (60, None), (5.5 * HOUR, 6.5 * HOUR)])
def test_temporary_failure_is_not_reported_as_long_as_the_mappings_hold(since: float, ends: float | None) -> None:
    assert list(check_router(failure(since, ends), NOW)) == []


@pytest.mark.parametrize(
    ("since", "ends", "severity", "title"),
    [
        (400, 5.5 * HOUR, "warning", "the router leads clients here for another 5 h"),
        (400, 200, "warning", "the router leads clients here for another 3 min"),
        (400, None, "warning", "it is not known how long the router leads clients here"),
        (0, 0, "error", "the router no longer leads clients here"),
        # This machine has another address now, and the mappings lead to the earlier one.
        (0, -NOW.timestamp(), "error", "the router no longer leads clients here"),
    ],
)
def test_failure_that_lasts_is_a_warning_and_the_end_an_error(
    since: float, ends: float | None, severity: str, title: str
) -> None:
    [finding] = check_router(failure(since, ends), NOW)
    assert (finding.code, finding.subject, finding.severity) == ("router-mapping-ends", "router", severity)
    assert (finding.title, finding.detail) == (title, "it does not answer")
    assert finding.fix[0].command == "lkhub firewall apply --router"
