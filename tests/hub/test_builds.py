"""What is known of the builds of a hub's web sites."""

from pathlib import Path

import pytest

from lkhub.hub.builds import read_builds
from lkhub.plan.paths import StatePaths
from lkhub.state.applied import AppliedBuild, AppliedRecord, AppliedUrls
from lkhub.state.site_build import SiteBuildRecord, write_site_build


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
