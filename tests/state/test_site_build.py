from pathlib import Path

import pytest

from lkhub.plan.paths import StatePaths
from lkhub.state.site_build import ServedBuild, SiteBuildRecord, choose_again, find_site_build, write_site_build

DAY = 86400.0
NOW = 1_800_000_000.0
GOOD = ServedBuild(NOW - DAY, "API1", NOW + 29 * DAY)


def record(problem: str = "", served: ServedBuild | None = GOOD, again: str = "7") -> SiteBuildRecord:
    return SiteBuildRecord("inputs", again, NOW - 100, problem, served=served)


@pytest.mark.parametrize(
    ("before", "again"),
    [
        (None, ""),
        (record(), "7"),
        (record(served=ServedBuild(NOW - DAY)), "7"),
        (record("it ended with exit code 1"), str(NOW - 100)),
        (record("it ended with exit code 1", None), str(NOW - 100)),
        (record(served=ServedBuild(NOW - 24 * DAY, "API1", NOW + 6 * DAY)), str(NOW - 100)),
        (record(served=ServedBuild(NOW - DAY, "API0", NOW + 29 * DAY)), str(NOW - 100)),
    ],
)
def test_site_is_built_again_where_the_last_build_is_of_no_use(before: SiteBuildRecord | None, again: str) -> None:
    assert choose_again(before, "inputs", "API1", NOW) == again


def test_other_inputs_are_another_build() -> None:
    assert choose_again(record("failed"), "others", "API1", NOW) == ""


@pytest.mark.parametrize(
    ("lasts", "left", "due"),
    [
        (30 * DAY, 7.1 * DAY, False),
        (30 * DAY, 6.9 * DAY, True),
        (4 * DAY, 1.1 * DAY, False),
        (4 * DAY, 0.9 * DAY, True),
    ],
)
def test_token_is_renewed_a_week_before_its_end_or_after_three_quarters(lasts: float, left: float, due: bool) -> None:
    assert ServedBuild(NOW + left - lasts, "API1", NOW + left).is_due(NOW) is due


def test_site_without_a_token_is_never_due() -> None:
    assert not ServedBuild(0.0).is_due(NOW)


def test_record_is_read_as_it_was_written_and_none_where_it_is_damaged(tmp_path: Path) -> None:
    paths = StatePaths(str(tmp_path))
    (tmp_path / "sites/bmo").mkdir(parents=True)
    assert find_site_build(paths, "bmo") is None
    write_site_build(paths, "bmo", record())
    assert find_site_build(paths, "bmo") == record()
    Path(paths.site_record("bmo")).write_text("{}")
    assert find_site_build(paths, "bmo") is None
