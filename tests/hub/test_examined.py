"""What `lkhub install` waits for."""

import pytest

from lkhub.checks.sites import BuiltSite
from lkhub.findings.finding import Typed
from lkhub.hub import examined
from lkhub.hub.examined import await_examined
from lkhub.hub.status import HubStatus
from lkhub.plan.paths import StatePaths
from lkhub.wire.control import HubReport
from tests.hub.test_examine import Quiet
from tests.reports import hub_report

PATHS = StatePaths("/state")


def know(monkeypatch: pytest.MonkeyPatch, supervisor: HubReport | None, built: tuple[BuiltSite, ...]) -> list[str]:
    """A hub with this report of its supervisor, whose builds come to this end. Returns what is waited for."""
    waited: list[str] = []

    def wait(*_: object) -> tuple[BuiltSite, ...]:
        waited.append("builds")
        return built

    status = HubStatus(None, supervisor, (), None, typed=Typed(apply="lkhub install"))
    monkeypatch.setattr(examined, "read_status", lambda _: status)
    monkeypatch.setattr(examined, "wait_for_sites", wait)
    monkeypatch.setattr(examined, "SECONDS", 0.0)
    return waited


@pytest.mark.parametrize("problem", ["", "it ended with exit code 1"])
def test_site_that_is_not_built_is_told_with_the_command_that_builds_it(
    problem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = hub_report({"processes": [{"name": "media", "state": "running"}]})
    waited = know(monkeypatch, report, (BuiltSite("bmo", problem),))
    status = await_examined(PATHS, Quiet())
    assert waited == ["builds"]
    failed = [finding for finding in status.find() if finding.code == "site-build-failed"]
    assert [fix.command for finding in failed for fix in finding.fix] == (
        ["lkhub logs site-bmo", "lkhub install"] if problem else []
    )
    assert status.is_well == (not problem)


def test_builds_of_a_hub_that_has_ended_are_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    waited = know(monkeypatch, None, ())
    assert await_examined(PATHS, Quiet()).state == "stopped"
    assert waited == []
