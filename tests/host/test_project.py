"""The project of a site: what belongs to it, its copy, and the files that a build has made."""

import contextlib
import errno
import io
import os
import subprocess
import sys
import textwrap
import types
from collections import Counter
from collections.abc import Callable, Generator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from lkhub.errors import MachineError
from lkhub.host import project as module
from lkhub.host.project import DOWNLOADED, copy_project, digest_project, judge_project, own_tree, publish
from lkhub.host.trees import opened


@pytest.fixture
def project(tmp_path: Path) -> Path:
    project = tmp_path / "frontend"
    for name in ("src/main.ts", "package.json", "node_modules/vite/index.js", ".git/HEAD", "dist/index.html"):
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text(name)
    (project / "node_modules/.bin").mkdir()
    (project / "node_modules/.bin/vite").symlink_to("../vite/index.js")
    os.mkfifo(project / "pipe")
    return project


def skip(project: Path) -> tuple[str, ...]:
    return (f"{project}/dist", f"{project}/.git")


def _change_content(project: Path) -> None:
    (project / "src/main.ts").write_text("other")


def _rename(project: Path) -> None:
    (project / "package.json").rename(project / "package.yaml")


def _add(project: Path) -> None:
    (project / "src/new.ts").touch()


def _make_executable(project: Path) -> None:
    (project / "package.json").chmod(0o755)


def _link_elsewhere(project: Path) -> None:
    (project / "link").symlink_to("/nowhere")


@pytest.mark.parametrize("change", [_change_content, _rename, _add, _make_executable, _link_elsewhere])
def test_digest_tells_a_change_of_the_project(project: Path, change: Callable[[Path], None]) -> None:
    before = digest_project(str(project), skip(project), DOWNLOADED)
    change(project)
    assert digest_project(str(project), skip(project), DOWNLOADED) != before


def test_digest_knows_nothing_of_packages_output_and_times(project: Path) -> None:
    before = digest_project(str(project), skip(project), DOWNLOADED)
    (project / "node_modules/vite/index.js").write_text("other")
    (project / "dist/index.html").write_text("other")
    (project / ".git/HEAD").write_text("other")
    os.utime(project / "package.json", (0, 0))
    assert digest_project(str(project), skip(project), DOWNLOADED) == before


def test_copy_has_packages_and_no_output(project: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    (project / "build.sh").touch(mode=0o755)
    copy_project(str(project), str(copy), skip(project))
    assert sorted(os.listdir(copy)) == ["build.sh", "node_modules", "package.json", "src"]
    assert os.readlink(copy / "node_modules/.bin/vite") == "../vite/index.js"
    assert os.access(copy / "build.sh", os.X_OK)
    assert (copy / "node_modules/.bin/vite").read_text() == "node_modules/vite/index.js"


def test_project_that_can_be_built(project: Path) -> None:
    assert judge_project(str(project), skip(project), DOWNLOADED) == ""


def test_project_that_can_not_be_built(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert judge_project(str(project / "nowhere"), ()) == "there is no such folder"
    assert judge_project(str(project / "package.json"), ()) == "it is not a folder"
    monkeypatch.setattr(module, "MOST_FILES", 1)
    assert "more than 1 files" in judge_project(str(project), skip(project), DOWNLOADED)


@pytest.fixture
def output(tmp_path: Path) -> Path:
    output = tmp_path / "output"
    (output / "assets").mkdir(parents=True)
    (output / "index.html").write_text("new")
    (output / "assets/index.js").write_text("script")
    os.utime(output / "index.html", (1000, 1000))
    return output


def put(output: Path, name: str, path: str = "output", owner: int | None = None) -> None:
    """Publish `output`, or what is at `path` beside it, as `name`."""
    beside = output.parent
    handle = os.open(beside, os.O_RDONLY)
    try:
        publish(handle, path, str(beside / name), str(beside / "current"), owner)
    finally:
        os.close(handle)


def test_visitors_are_led_to_the_new_files_at_once(output: Path, tmp_path: Path) -> None:
    link = tmp_path / "current"
    for name in ("one", "two"):
        (output / "index.html").write_text(name)
        put(output, f"files-{name}")
        assert (link / "index.html").read_text() == name
        assert (link / "assets/index.js").read_text() == "script"
    assert (tmp_path / "files-one/index.html").read_text() == "one", "for who is reading it"


def test_files_keep_the_time_by_which_browsers_know_them(output: Path, tmp_path: Path) -> None:
    put(output, "files")
    about = (tmp_path / "current/index.html").stat()
    assert (about.st_mtime, about.st_mode & 0o777) == (1000, 0o600)


def _link_file(output: Path) -> None:
    (output / "assets/passwd").symlink_to("/etc/passwd")


def _link_folder(output: Path) -> None:
    (output / "etc").symlink_to("/etc")


def _remove_page(output: Path) -> None:
    (output / "index.html").unlink()


def _make_pipe(output: Path) -> None:
    os.mkfifo(output / "pipe")


def _make_gigabyte(output: Path) -> None:
    """With index.html it is more. It takes no space."""
    (output / "assets/gigabyte").touch()
    os.truncate(output / "assets/gigabyte", 1 << 30)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (_link_file, "made assets/passwd, which is no file"),
        (_link_folder, "made etc, which is no file"),
        (_remove_page, r"made no index\.html"),
        (_make_pipe, "made pipe, which is no file"),
        (_make_gigabyte, "made more than 1 GB"),
    ],
)
def test_visitors_get_no_half_a_site(
    output: Path, tmp_path: Path, change: Callable[[Path], None], problem: str
) -> None:
    put(output, "files-one")
    change(output)
    with pytest.raises(MachineError, match=problem):
        put(output, "files-two")
    assert os.readlink(tmp_path / "current") == "files-one"


def test_link_in_the_place_of_the_output_is_not_followed(output: Path, tmp_path: Path) -> None:
    """Root would read all that it leads to."""
    (tmp_path / "link").symlink_to("output")
    (tmp_path / "above").symlink_to(".")
    for path in ("link", "above/output", "nowhere"):
        with pytest.raises(MachineError, match="no folder"):
            put(output, path.replace("/", "-") + "-files", path)
    assert not (tmp_path / "current").exists()


def test_file_of_another_user_is_not_read(output: Path) -> None:
    """Where the system lets users make hard links to files that they can't read."""
    with pytest.raises(MachineError, match="not a file of its own"):
        put(output, "files", owner=os.geteuid() + 1)
    put(output, "own-files", owner=os.geteuid())


def test_other_user_enters_only_when_everything_was_given(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[str] = []
    monkeypatch.setattr(os, "lchown", lambda path, uid, gid: given.append(os.fspath(path)))
    own_tree(str(project), 65534, 65534)
    assert given[-1] == str(project)
    assert sorted(given) == sorted(map(str, (project, *project.rglob("*"))))


def test_folder_of_too_many_files_is_not_read_to_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The list of all names that a build can make in a quarter of an hour takes gigabytes."""
    monkeypatch.setattr(module, "MOST_FILES", 5)
    (tmp_path / "dist").mkdir()
    for number in range(50):
        (tmp_path / "dist" / str(number)).touch()
    read = []

    def list_names(at: int) -> Generator[os.DirEntry[str]]:
        for entry in list(os.scandir(at)):
            read.append(entry.name)
            yield entry

    def scan(at: int) -> contextlib.closing[Generator[os.DirEntry[str]]]:
        return contextlib.closing(list_names(at))

    monkeypatch.setattr(module, "os", types.SimpleNamespace(**{**vars(os), "scandir": scan}))
    with opened(str(tmp_path)) as scratch, pytest.raises(MachineError, match="more than 5 files"):
        publish(scratch, "dist", str(tmp_path / "files"), str(tmp_path / "current"))
    assert len(read) == 6


def test_file_that_grows_meanwhile_is_read_as_far_as_it_went() -> None:
    """Otherwise its owner could fill the disk, or keep `up` busy for ever."""
    assert b"".join(module._read_parts(io.BytesIO(b"x" * 100), 40)) == b"x" * 40


@pytest.mark.parametrize(
    ("use", "most"),
    [(lambda path: copy_project(path, f"{path}-copy"), "10 GB"), (digest_project, "1 GB")],
    ids=["copy", "digest"],
)
def test_project_that_grew_after_it_was_judged_fills_no_disk(
    project: Path, use: Callable[[str], object], most: str
) -> None:
    assert judge_project(str(project), (), DOWNLOADED) == ""
    with open(project / "node_modules/image", "wb") as sparse:
        sparse.truncate(1 << 42)
    with pytest.raises(MachineError, match=f"has more than {most}"):
        use(str(project))


def test_packages_may_have_more_bytes_than_what_is_read_at_each_up(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_BYTES", 20)
    (project / "node_modules/image").write_bytes(bytes(1000))
    copy_project(str(project), str(tmp_path / "copy"))
    assert (tmp_path / "copy/node_modules/image").stat().st_size == 1000


def test_file_that_its_owner_makes_longer_is_copied_as_far_as_it_was_counted(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, look, looks = project / "package.json", os.fstat, Counter[int]()
    size, number = file.stat().st_size, file.stat().st_ino

    def look_and_grow(handle: int) -> os.stat_result:
        found = look(handle)
        looks[found.st_ino] += 1
        if looks[number] == 2:  # its size is counted
            os.truncate(file, 1 << 20)
        return found

    monkeypatch.setattr(module, "os", types.SimpleNamespace(**{**vars(os), "fstat": look_and_grow}))
    copy_project(str(project), str(tmp_path / "copy"))
    assert (tmp_path / "copy/package.json").stat().st_size == size


def test_name_in_a_project_is_one_line_of_an_error(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = "\x1b[2J\nerror: type `rm`"
    said = module.describe_refusal(OSError(errno.EACCES, "Permission denied", f"{project}/{name}"), str(project))
    assert said.isprintable()
    (project / name).touch()

    def refuse(*_: object) -> tuple[bytes, int]:
        raise PermissionError(errno.EACCES, "Permission denied", name)

    monkeypatch.setattr(module, "_digest_file", refuse)
    with pytest.raises(MachineError) as refused:
        digest_project(str(project))
    assert refused.value.message.isprintable()


@pytest.mark.parametrize("about", [None, 7, "main.ts", "/elsewhere/main.ts"])
def test_error_is_about_a_file_whatever_python_says_of_it(about: str | int | None) -> None:
    """Of a descriptor, Python gives the number in place of a name."""
    error = OSError(errno.EISDIR, "Is a directory", about)
    named = about if isinstance(about, str) and os.path.isabs(about) else "/project/file"
    assert module.explain(error, "read", "/project/file").message == f"can't read {named}: is a directory"
    told = f"{about}: is a directory" if isinstance(about, str) else "is a directory"
    assert module.describe_refusal(error, "/project") == told


def test_packages_are_bounded_by_number(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_COPIED_FILES", 5)
    with pytest.raises(MachineError, match="the project has more than 5 files"):
        copy_project(str(project), str(tmp_path / "copy"))


def test_folder_of_too_many_names_is_judged_before_they_are_sorted(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_FILES", 10)
    for number in range(20):
        (project / "src" / str(number)).touch()
    assert judge_project(str(project)) == f"{project}/src: more than 10 files in one folder"


@pytest.mark.skipif(os.geteuid() != 0, reason="runs a process as another user")
@pytest.mark.parametrize("use", ["copy_project(project, project + '-copy')", "digest_project(project)"])
def test_file_that_may_not_be_read_is_named(tmp_path: Path, use: str) -> None:
    secret = tmp_path / "project/src/local.env"
    secret.parent.mkdir(parents=True)
    secret.touch(0o600)
    for folder in (tmp_path, *list(tmp_path.parents)[:3]):
        folder.chmod(folder.stat().st_mode | 0o055)
    tmp_path.chmod(0o777)
    code = f"""
        import os
        from lkhub.errors import MachineError
        from lkhub.host.project import copy_project, digest_project
        os.setresuid(65534, 65534, 65534)
        project = {str(tmp_path / "project")!r}
        try:
            {use}
        except MachineError as error:
            print(error.message, *error.hints, sep="\\n")
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True)
    said, hint = done.stdout.splitlines()
    assert "src/local.env: permission denied" in said
    assert hint.startswith("let nobody read it, and enter the folders that it is in")


def test_file_that_was_removed_meanwhile_is_named(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_opened_file", partial(_remove_first, project / "src/main.ts"))
    with pytest.raises(MachineError, match=r"^can't copy src/main\.ts: it was removed meanwhile$"):
        copy_project(str(project), str(tmp_path / "copy"))


_opened_file = module._opened_file


def _remove_first(path: Path, name: str, *rest: Any) -> Any:
    if name == path.name:
        path.unlink(missing_ok=True)
    return _opened_file(name, *rest)


@pytest.mark.skipif(os.geteuid() != 0, reason="root reads every file")
@pytest.mark.parametrize("how", ["renamed", "linked"])
def test_root_copies_no_file_for_the_owner_of_its_folder(project: Path, tmp_path: Path, how: str) -> None:
    """A secret of root's is left out by its name, which the owner of the folder can change."""
    own_tree(str(project), 65534, 65534)
    secret = project / "turn.key"
    secret.write_text("secret")
    secret.chmod(0o600)
    left_out = (*skip(project), str(secret))
    copy_project(str(project), str(tmp_path / "before"), left_out)
    if how == "renamed":
        secret.rename(project / "a.js")
    else:
        os.link(secret, project / "a.js")
    with pytest.raises(MachineError, match=r"a\.js: its folder belongs to another user, and not everybody may read it"):
        copy_project(str(project), str(tmp_path / "copy"), left_out)
    (project / "a.js").chmod(0o644)
    copy_project(str(project), str(tmp_path / "after"), left_out)


@pytest.mark.skipif(os.geteuid() != 0, reason="root reads every file")
def test_root_copies_what_it_keeps_for_another_user_in_a_folder_of_its_own(project: Path, tmp_path: Path) -> None:
    (project / "a.js").write_text("theirs")
    (project / "a.js").chmod(0o600)
    os.chown(project / "a.js", 65534, 65534)
    assert project.stat().st_uid == 0
    copy_project(str(project), str(tmp_path / "copy"))
    assert (tmp_path / "copy/a.js").read_text() == "theirs"


@pytest.mark.skipif(os.geteuid() != 0, reason="root goes into every folder")
def test_folder_that_can_not_be_reached_is_not_said_to_be_missing(tmp_path: Path) -> None:
    assert module.find_missing(str(tmp_path)) == ""
    assert module.find_missing(str(tmp_path / "none")) == "there is no such folder"
    assert module.find_missing(f"{tmp_path}/~/none") == "there is no such folder, and ~ is not expanded"
    (tmp_path / "file").touch()
    assert module.find_missing(str(tmp_path / "file")) == "it is not a folder"
    (tmp_path / "closed/project").mkdir(parents=True)
    (tmp_path / "closed").chmod(0o700)
    os.seteuid(65534)
    try:
        with pytest.raises(MachineError, match=f"can't read {tmp_path}/closed/project: permission denied"):
            module.find_missing(str(tmp_path / "closed/project"))
    finally:
        os.seteuid(0)
