"""A build of the hub's own, and what is noted of it."""

import fcntl
import os
from functools import partial
from pathlib import Path

import pytest
from msgspec import structs

from lkhub.errors import MachineError
from lkhub.hub import build_site as module
from lkhub.hub.build_apart import give_out
from lkhub.hub.build_site import build_site
from lkhub.hub.builds import read_builds
from lkhub.livekit.tokens import Grant
from lkhub.plan.paths import StatePaths
from lkhub.plan.users import FIRST_UID
from lkhub.state.applied import AppliedBuild, AppliedRecord, AppliedUrls
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


def test_folder_of_a_build_that_was_not_begun_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "project").mkdir()
    (tmp_path / "state").mkdir(mode=0o700)
    paths = StatePaths(str(tmp_path / "state"))
    # Given out, so that its folder is below the state directory.
    build = SiteBuild("bmo", "true", str(tmp_path / "project"), "dist", (), (), paths.root, given=str(tmp_path / "x"))

    def fail(*_: object) -> None:
        raise MachineError("the disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(module, "write_record", fail)
        with pytest.raises(MachineError, match="full"):
            build_site(build, _no_token, print)
    assert os.listdir(paths.site("bmo")) == []
    Path(paths.site("bmo"), "lkhub-bmo-left").mkdir()
    monkeypatch.setattr(module, "copy_project", fail)
    build_site(build, _no_token, print)
    assert os.listdir(paths.site("bmo")) == [os.path.basename(paths.site_record("bmo"))]


def test_build_that_nothing_asks_for_is_told_with_what_should_have(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "project").mkdir()
    (tmp_path / "state").mkdir(mode=0o700)
    paths, given = StatePaths(str(tmp_path / "state")), str(tmp_path / "given")
    build = SiteBuild(
        *("bmo", "true", str(tmp_path / "project"), "dist", (), (), paths.root), given=given, builder="container"
    )
    monkeypatch.setattr(module, "give_out", partial(give_out, come=0.05))
    build_site(build, _no_token, print)
    planned = AppliedBuild("bmo", build.inputs, build.again)
    [site] = read_builds(paths, AppliedRecord("hub", 1.0, AppliedUrls("", "", ""), (), builds=(planned,)), 2.0)
    assert (site.missing, "was not begun" in site.problem) == ("container", True)
    # Of a build that began and failed, the log tells more.
    monkeypatch.setattr(module, "give_out", _refuse)
    build_site(structs.replace(build, inputs="other"), _no_token, print)
    record = find_site_build(paths, "bmo")
    assert record
    assert (record.missing, record.problem) == ("", "it failed")


def _refuse(*_: object) -> None:
    raise MachineError("it failed")


def test_build_waits_for_the_one_that_a_killed_supervisor_has_left(tmp_path: Path) -> None:
    (tmp_path / "project").mkdir()
    paths = StatePaths(str(tmp_path / "state"))
    os.makedirs(paths.site("bmo"), mode=0o700)
    Path(paths.root).chmod(0o700)
    other = os.open(paths.site("bmo"), os.O_RDONLY)
    fcntl.flock(other, fcntl.LOCK_EX)
    said: list[str] = []

    def say(line: str) -> None:
        said.append(line)
        if len(said) == 1:
            os.close(other)

    uid = FIRST_UID if os.geteuid() == 0 else None
    command = "mkdir dist; touch dist/index.html"
    build_site(SiteBuild("bmo", command, str(tmp_path / "project"), "dist", (), (), paths.root, uid), _no_token, say)
    assert said[0] == "another build of this site goes on, and ends first"
    assert said[-1].startswith("built, and served from now on")
