"""What is known of the builds of a hub's web sites."""

import itertools
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from lkhub.cli.shared.progress import Progress
from lkhub.hub import builds as module
from lkhub.hub.build_apart import ANSWER_SECONDS
from lkhub.hub.builds import read_builds, wait_for_builds
from lkhub.plan.paths import StatePaths
from lkhub.state.applied import AppliedBuild, AppliedRecord, AppliedUrls, write_applied
from lkhub.state.site_build import SiteBuildRecord, write_site_build
from lkhub.wire.control import HubReport
from lkhub.wire.site_build import COME_SECONDS, COPY_SECONDS, MOST_TRIES
from tests.reports import hub_report


def in_force(inputs: str = "a", again: str = "") -> AppliedRecord:
    """The record of a hub with one site, and with a build of these inputs."""
    urls = AppliedUrls("", "", "")
    return AppliedRecord("hub", 1.0, urls, (), builds=(AppliedBuild("bmo", inputs, again),))


def look_by(monkeypatch: pytest.MonkeyPatch, look: Callable[[], dict[str, object]]) -> None:
    """Have the process of the build reported as `look` says, each time that it is asked for, without a wait."""

    def report(_: StatePaths) -> HubReport:
        return hub_report({"processes": [{"name": "site-bmo", **look()}]})

    monkeypatch.setattr(module, "require_report", report)
    monkeypatch.setattr(module, "_POLL_SECONDS", 0.0)


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
    [site] = read_builds(paths, in_force(*wanted), 2.0)
    assert (site.problem, bool(site.lines), site.served) == (problem, bool(problem), False)


def test_restarts_of_before_are_no_reason_to_give_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk was full, and somebody has made room since: the build is about to succeed."""
    paths = StatePaths(str(tmp_path))
    Path(paths.site("bmo")).mkdir(parents=True)
    looks = 0

    def look() -> dict[str, object]:
        nonlocal looks
        looks += 1
        if looks == 4:
            write_site_build(paths, "bmo", SiteBuildRecord("a", "", 1.0, "", ()))
        return {"restarts": 7 + looks // 3}

    look_by(monkeypatch, look)
    [site] = wait_for_builds(paths, in_force(), Progress())
    assert site.problem == ""


def test_build_that_another_change_replaces_is_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other build is done before it is noted what is in force."""
    paths = StatePaths(str(tmp_path))
    Path(paths.site("bmo")).mkdir(parents=True)
    looks = 0

    def look() -> dict[str, object]:
        nonlocal looks
        looks += 1
        if looks == 3:
            write_site_build(paths, "bmo", SiteBuildRecord("b", "", 1.0, "", ()))
        if looks == 5:
            write_applied(paths, in_force("b"))
        return {"done": looks >= 3}

    look_by(monkeypatch, look)
    [site] = wait_for_builds(paths, in_force(), Progress())
    assert site.problem == ""
    assert looks == 5


@pytest.mark.parametrize(("before", "counted"), [(7, (7, 8, 9, 10)), (7, (0, 1, 2, 3)), (2, (1, 1, 5))])
def test_build_that_is_restarted_again_and_again_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: int, counted: tuple[int, ...]
) -> None:
    """A supervisor that has taken the hub over counts from 0."""
    paths = StatePaths(str(tmp_path))
    restarts = iter((before, *counted, 100))
    look_by(monkeypatch, lambda: {"restarts": next(restarts)})
    [site] = wait_for_builds(paths, in_force(), Progress())
    assert site.problem == "what came of the build could not be noted"
    assert [*restarts] == [100], "neither before nor after the third one"


def test_build_is_waited_for_as_long_as_it_may_take_and_no_longer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its process goes on, as that of a build which hangs."""
    paths, clock = StatePaths(str(tmp_path)), itertools.count(0.0)
    waited = []

    def look(_: StatePaths) -> HubReport:
        waited.append(now())
        return hub_report({"processes": [{"name": "site-bmo"}]})

    def now() -> float:
        return next(clock)

    monkeypatch.setattr(module, "require_report", look)
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=now, time=time.time, sleep=lambda _: None))
    [site] = wait_for_builds(paths, in_force(), Progress())
    assert site.problem == "what came of the build could not be noted"
    # Where it is given out in vain, and then has all the time there is.
    longest = MOST_TRIES * COME_SECONDS + ANSWER_SECONDS
    assert longest < waited[-1] < longest + 2 * COPY_SECONDS
