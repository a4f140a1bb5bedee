"""A build of the hub's own, and what is noted of it."""

import os
from pathlib import Path

from lkhub.hub.build_site import build_site
from lkhub.livekit.tokens import Grant
from lkhub.plan.paths import StatePaths
from lkhub.plan.users import FIRST_UID
from lkhub.state.site_build import find_site_build
from lkhub.wire.site_build import MadeToken, SiteBuild

# A link of this name is no file, which is said with its name.
COMMAND = r"""mkdir dist && touch dist/index.html && ln -s x "$(printf 'dist/a\377\033[2J\nbuilt, and served')" """


def _no_token(_: MadeToken) -> Grant:
    raise AssertionError


def test_name_of_a_built_file_is_no_line_and_no_command_of_the_log(tmp_path: Path) -> None:
    project, state = tmp_path / "project", tmp_path / "state"
    project.mkdir()
    state.mkdir(mode=0o700)
    uid = FIRST_UID if os.geteuid() == 0 else None
    said: list[str] = []
    build_site(SiteBuild("bmo", COMMAND, str(project), "dist", (), (), str(state), uid), _no_token, said.append)
    record = find_site_build(StatePaths(str(state)), "bmo")
    assert record
    assert "which is no file" in record.problem
    assert record.problem.isprintable()
    record.problem.encode()
    assert said[-1] == f"not built: {record.problem}"
