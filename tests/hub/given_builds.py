"""A build that the hub gives out, for tests of both ends."""

import contextlib
import io
from pathlib import Path

import pytest

from lkhub.hub.build_apart import Built, give_out
from lkhub.wire.site_build import BuildRequest, SiteBuild

TOKEN = "a-token-of-the-site"

BUILD = SiteBuild("bmo", "", "", "dist", (), (), "", builder="unit")


@pytest.fixture
def given(tmp_path: Path) -> Path:
    (tmp_path / "for-sites/bmo").mkdir(parents=True)
    return tmp_path / "for-sites/bmo"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "project/src").mkdir(parents=True)
    (tmp_path / "project/src/title").write_text("hello")
    (tmp_path / "project/link").symlink_to("src/title")
    return tmp_path / "project"


def build(given: Path, project: Path, command: str, come: float = 30.0) -> contextlib.AbstractContextManager[Built]:
    wanted = SiteBuild(**{**{name: getattr(BUILD, name) for name in BUILD.__struct_fields__}, "given": str(given)})
    request = BuildRequest(command, "dist", {"NAME": "bmo"}, {"TOKEN": TOKEN})
    return give_out(wanted, str(project), request, output, come)


output = io.BytesIO()


@pytest.fixture(autouse=True)
def no_output() -> None:
    output.seek(0)
    output.truncate()
