from typing import Any

import pytest

from lkhub.checks.asker import check_asker
from lkhub.state.asker import AskerRecord

NGINX = AskerRecord(200.0, "root", True, 7, "nginx", ("0.0.0.0:80", "[::]:80"))


def test_program_that_listens_for_other_machines_is_named_with_its_addresses() -> None:
    [finding] = check_asker(NGINX, 100.0)
    assert (finding.code, finding.severity) == ("open-behind-proxy", "warning")
    assert "nginx (pid 7), which listens at 0.0.0.0:80, [::]:80, was given a token at 1970-01-01" in finding.detail
    assert [fix.command for fix in finding.fix] == ["lkhub render proxy", None]


def test_program_that_can_not_be_seen_is_named_by_its_user() -> None:
    [finding] = check_asker(AskerRecord(200.0, "www-data", True), 100.0)
    assert "a program of the user www-data" in finding.detail
    assert "only that user and root can see" in finding.detail


@pytest.mark.parametrize(("asker", "since"), [(None, 0.0), (NGINX, 201.0)])
def test_program_that_asked_before_the_spec_was_applied_is_no_finding(asker: Any, since: float) -> None:
    assert list(check_asker(asker, since)) == []
