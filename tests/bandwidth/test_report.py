"""The text of bandwidth plans. `REWRITE_GOLDEN=1 pytest tests/bandwidth/test_report.py` writes it anew; read the
difference."""

import os
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lkhub.bandwidth.media import CAMERAS
from lkhub.bandwidth.report import CPU_UNKNOWN, Report
from lkhub.bandwidth.rooms import Rooms

GOLDEN = Path(__file__).parent / "plans.txt"

CASES = {
    "--voice 40 --video 12 --rooms 5 --uplink 1G": Report(Rooms(40, 12, 5, "720p"), 10**9, 8),
    "--voice 8": Report(Rooms(8, 0, 1, "720p"), None, 2),
    "--voice 2 --uplink 10M": Report(Rooms(2, 0, 1, "720p"), 10**7, 2),
    "--video 4 --resolution 1080p --uplink 40M": Report(Rooms(0, 4, 1, "1080p"), 40 * 10**6, 1),
    "--voice 1 --rooms 3 --uplink 40M": Report(Rooms(1, 0, 3, "720p"), 40 * 10**6, 4),
}


def test_texts() -> None:
    shown = "\n".join(f"$ lkhub plan {arguments}\n{report.as_text()}" for arguments, report in CASES.items())
    if os.environ.get("REWRITE_GOLDEN"):
        GOLDEN.write_text(shown)
    assert shown == GOLDEN.read_text()


reports = st.builds(
    Report,
    st.builds(
        Rooms, st.integers(0, 10**6), st.integers(0, 10**6), st.integers(1, 10**6), st.sampled_from(list(CAMERAS))
    ).filter(lambda rooms: rooms.people > 0),
    st.none() | st.integers(1, 10**15),
    st.integers(1, 999),
)


@given(reports)
def test_cpu_is_never_invented(report: Report) -> None:
    assert report.as_json()["cpu"] == {"cores": report.cores, "used": None, "detail": CPU_UNKNOWN}
    assert re.search(rf"CPU +{CPU_UNKNOWN}; {report.cores} cores?\n", report.as_text())


@given(reports)
def test_text_and_json_agree_on_what_an_uplink_carries(report: Report) -> None:
    sent = report.as_json()["sent"]
    assert isinstance(sent, list)
    assert len(sent) == len(report.rooms.layers)
    if report.uplink is None:
        assert all(row["fits"] is None and row["rooms_carried"] is None for row in sent)
        assert "--uplink 100M" in report.as_text()
    else:
        said = re.findall(
            r"uplink of .*  (enough|NOT enough): it carries ([\d,]+|any number of) such rooms?\n", report.as_text()
        )
        numbers = [None if number.startswith("any") else int(number.replace(",", "")) for _, number in said]
        assert [fits == "enough" for fits, _ in said] == [row["fits"] for row in sent]
        assert numbers == [row["rooms_carried"] for row in sent]


@pytest.mark.parametrize("arguments", CASES)
def test_every_number_of_people_is_in_the_first_line(arguments: str) -> None:
    """So that people in each room, which the options mean, are not taken for people in all."""
    first = CASES[arguments].as_text().splitlines()[0]
    rooms = CASES[arguments].rooms
    assert first.startswith(f"{rooms.rooms} room")
    assert ("in all" in first) == (rooms.rooms > 1)
