"""What is known of the builds of a hub's web sites."""

import itertools
from pathlib import Path

import pytest

from lkhub.cli.shared.progress import Progress
from lkhub.hub import builds as module
from lkhub.hub.builds import read_builds, wait_for_builds
from lkhub.plan.paths import StatePaths
from lkhub.state.applied import AppliedBuild, AppliedRecord, AppliedUrls
from lkhub.state.site_build import SiteBuildRecord, write_site_build
from lkhub.wire.control import HubReport
from tests.reports import hub_report


@pytest.mark.parametrize(
    ("wanted", "problem"),
    [(("a", ""), "it failed"), (("b", ""), ""), (("a", "again"), "")],
    ids=["the last one", "another project", "the same one again"],
)
def test_failure_is_that_of_the_build_that_is_wanted(tmp_path: Path, wanted: tuple[str, str], problem: str) -> None:
    """While another one runs, the failure of the one before is not told."""
    paths = StatePaths(str(tmp_path))
    Path(paths.site("bmo")).mkdir(parents=True)
    write_site_build(paths, "bmo", SiteBuildRecord("a", "", 1.0, "it failed", ("its line",)))
    urls = AppliedUrls("", "", "")
    [site] = read_builds(paths, AppliedRecord("hub", 1.0, urls, (), builds=(AppliedBuild("bmo", *wanted),)), 2.0)
    assert (site.problem, bool(site.lines), site.served) == (problem, bool(problem), False)


def test_restarts_of_before_are_no_reason_to_give_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk was full, and somebody has made room since: the build is about to succeed."""
    paths = StatePaths(str(tmp_path))
    Path(paths.site("bmo")).mkdir(parents=True)
    record = AppliedRecord("hub", 1.0, AppliedUrls("", "", ""), (), builds=(AppliedBuild("bmo", "a", ""),))
    looks = 0

    def report(_: StatePaths) -> HubReport:
        nonlocal looks
        looks += 1
        if looks == 4:
            write_site_build(paths, "bmo", SiteBuildRecord("a", "", 1.0, "", ()))
        return hub_report({"processes": [{"name": "site-bmo", "restarts": 7 + looks // 3}]})

    monkeypatch.setattr(module, "require_report", report)
    monkeypatch.setattr(module, "_POLL_SECONDS", 0.0)
    [site] = wait_for_builds(paths, record, Progress())
    assert site.problem == ""


def test_build_that_is_restarted_again_and_again_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = StatePaths(str(tmp_path))
    record = AppliedRecord("hub", 1.0, AppliedUrls("", "", ""), (), builds=(AppliedBuild("bmo", "a", ""),))
    restarts = itertools.count(7)
    monkeypatch.setattr(
        module,
        "require_report",
        lambda _: hub_report({"processes": [{"name": "site-bmo", "restarts": next(restarts)}]}),
    )
    monkeypatch.setattr(module, "_POLL_SECONDS", 0.0)
    [site] = wait_for_builds(paths, record, Progress())
    assert site.problem == "what came of the build could not be noted"
    assert next(restarts) == 11
