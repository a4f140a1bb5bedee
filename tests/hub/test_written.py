"""Files of applications: written, remembered, and followed with a new key."""

import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from lkhub.env_files.formats import FormatName
from lkhub.errors import InputError, MachineError
from lkhub.host.files import write_private
from lkhub.host.keyfile import dump_keys, load_keys
from lkhub.hub import written as written_module
from lkhub.hub.keys import follow_files
from lkhub.hub.recording import recording
from lkhub.hub.written import Rewritten, find_overriding, rewrite, write
from lkhub.plan.paths import StatePaths
from lkhub.secret import Secret
from lkhub.state.applied import AppliedRecord, AppliedUrls, write_applied
from lkhub.state.written import WrittenFile, read_written, write_written

OLD, NEW = Secret("old" * 14), Secret("new" * 14)
NOBODY = 65534
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="gives files to another user")


@pytest.fixture
def paths(tmp_path: Path) -> StatePaths:
    paths = StatePaths(str(tmp_path / "state"))
    os.mkdir(paths.root, 0o700)
    urls = AppliedUrls("wss://rtc.example.com", "https://rtc.example.com", "http://127.0.0.1:7880")
    write_applied(paths, AppliedRecord("hub", 1.0, urls, ("udp",)))
    write_private(paths.keys, dump_keys({"APIold": OLD, "APIolder": Secret("x" * 43)}))
    return paths


@pytest.fixture
def env(tmp_path: Path) -> Path:
    file = tmp_path / "app" / ".env"
    file.parent.mkdir()
    file.write_text("# mine\r\nLIVEKIT_API_KEY='cloud'\r\nDB=x\r\n")
    return file


def rotate(paths: StatePaths) -> tuple[Rewritten, ...]:
    write_private(paths.keys, dump_keys({"APInew": NEW, **load_keys(paths.keys)}))
    return rewrite(paths, 9.0)


def test_file_is_edited_backed_up_and_remembered(paths: StatePaths, env: Path) -> None:
    before = env.read_bytes()
    written = write(paths, str(env), "dotenv", 5.0)
    assert env.read_bytes() == (
        b"# mine\r\nLIVEKIT_API_KEY='APIold'\r\nDB=x\r\n"
        b"LIVEKIT_URL=wss://rtc.example.com\r\nLIVEKIT_API_SECRET=" + OLD.reveal().encode() + b"\r\n"
    )
    assert written.changed == ("LIVEKIT_URL", "LIVEKIT_API_KEY", "LIVEKIT_API_SECRET")
    assert written.backup
    assert Path(written.backup).read_bytes() == before
    assert written.backup.startswith(f"{paths.backups}/.env.")
    assert [os.stat(path).st_mode & 0o777 for path in (written.backup, paths.backups)] == [0o600, 0o700]
    status = os.stat(env)
    assert read_written(paths) == (WrittenFile(str(env), "dotenv", status.st_uid, status.st_gid, "APIold", 5.0),)
    assert OLD.reveal() not in Path(paths.written).read_text()


def test_backup_follows_no_link_out_of_the_state_directory(paths: StatePaths, env: Path, tmp_path: Path) -> None:
    """Root may write in the state directory of another user, whose link would lead root's file anywhere."""
    (tmp_path / "other").mkdir()
    os.symlink(tmp_path / "other", paths.backups)
    before = env.read_bytes()
    with pytest.raises(InputError, match="not a directory"):
        write(paths, str(env), "dotenv", 5.0)
    assert os.listdir(tmp_path / "other") == []
    assert env.read_bytes() == before


def test_nothing_to_change_changes_nothing(paths: StatePaths, env: Path) -> None:
    first = write(paths, str(env), "dotenv", 5.0)
    before = os.stat(env)
    again = write(paths, str(env), "dotenv", 6.0)
    assert (again.changed, again.backup) == ((), None)
    assert (os.stat(env).st_ino, os.stat(env).st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert first.backup
    assert b"cloud" in Path(first.backup).read_bytes()  # still the text before lkhub came
    assert [file.at for file in read_written(paths)] == [6.0]


def test_new_file_has_no_backup(paths: StatePaths, tmp_path: Path) -> None:
    written = write(paths, str(tmp_path / "server_config.json"), "server-config", 5.0)
    assert written.backup is None
    assert not os.path.exists(paths.backups)
    assert json.loads((tmp_path / "server_config.json").read_text())["livekit_api_secret"] == OLD.reveal()


def test_file_that_can_not_be_edited_is_named_with_its_line(paths: StatePaths, env: Path) -> None:
    env.write_text("A=1\nLIVEKIT_URL: x\n")
    with pytest.raises(InputError, match=f"{env}:2: "):
        write(paths, str(env), "dotenv", 5.0)
    with pytest.raises(InputError, match=f"{env}:1: not JSON"):
        write(paths, str(env), "server-config", 5.0)
    assert env.read_text() == "A=1\nLIVEKIT_URL: x\n"
    assert read_written(paths) == ()


def test_nothing_is_written_that_could_not_be_remembered(paths: StatePaths, env: Path) -> None:
    Path(paths.written).write_text("nonsense")
    with pytest.raises(MachineError, match="is damaged"):
        write(paths, str(env), "dotenv", 5.0)
    assert "cloud" in env.read_text()


def test_two_commands_at_once_lose_no_file(paths: StatePaths, tmp_path: Path) -> None:
    names = [str(tmp_path / f"{number}.env") for number in range(12)]
    threads = [threading.Thread(target=write, args=(paths, name, "dotenv", 5.0)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert {file.path for file in read_written(paths)} == set(names)


@pytest.mark.parametrize("command", ["env --write", "keys rotate"])
def test_command_that_waits_for_another_writes_the_key_of_that_time(
    paths: StatePaths, env: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    @contextmanager
    def waiting_for_a_rotation(paths: StatePaths) -> Iterator[None]:
        write_private(paths.keys, dump_keys({"APInew": NEW, **load_keys(paths.keys)}))
        with recording(paths):
            yield

    if command == "keys rotate":
        write(paths, str(env), "dotenv", 5.0)
    monkeypatch.setattr(written_module, "recording", waiting_for_a_rotation)
    if command == "keys rotate":
        follow_files(paths)
    else:
        write(paths, str(env), "dotenv", 5.0)
    assert "LIVEKIT_API_KEY='APInew'" in env.read_text()
    assert NEW.reveal() in env.read_text()
    assert [file.key for file in read_written(paths)] == ["APInew"]


@pytest.mark.parametrize("format", ["dotenv", "server-config"])
def test_new_key_follows_into_the_file(paths: StatePaths, tmp_path: Path, format: FormatName) -> None:
    file = tmp_path / "file"
    write(paths, str(file), format, 5.0)
    before = file.read_text()
    assert rotate(paths) == (Rewritten(str(file), "updated"),)
    assert file.read_text() == before.replace("APIold", "APInew").replace(OLD.reveal(), NEW.reveal())
    assert [(each.key, each.at) for each in read_written(paths)] == [("APInew", 9.0)]
    assert rotate(paths) == (Rewritten(str(file), "updated"),)


def test_address_of_another_hub_stays(paths: StatePaths, env: Path) -> None:
    """What changes with the key is the key."""
    write(paths, str(env), "dotenv", 5.0)
    env.write_text(env.read_text().replace("wss://rtc.example.com", "ws://127.0.0.1:7880"))
    assert [each.outcome for each in rotate(paths)] == ["updated"]
    assert "LIVEKIT_URL=ws://127.0.0.1:7880" in env.read_text()


def test_older_key_of_this_hub_is_replaced_too(paths: StatePaths, env: Path) -> None:
    write(paths, str(env), "dotenv", 5.0)
    env.write_text(env.read_text().replace("APIold", "APIolder"))
    assert [each.outcome for each in rotate(paths)] == ["updated"]


def test_file_that_is_gone_is_said_once(paths: StatePaths, env: Path) -> None:
    write(paths, str(env), "dotenv", 5.0)
    env.unlink()
    [result] = rotate(paths)
    assert (result.outcome, result.command) == ("gone", f"lkhub env --write {env} --state {paths.root}")
    assert rotate(paths) == ()
    assert not env.exists()


def test_file_whose_folder_is_gone_is_said_once(paths: StatePaths, tmp_path: Path) -> None:
    folder = tmp_path / "removed application"
    folder.mkdir()
    write(paths, str(folder / ".env"), "dotenv", 5.0)
    (folder / ".env").unlink()
    folder.rmdir()
    [result] = rotate(paths)
    assert (result.outcome, result.detail) == ("gone", f"the folder {folder} does not exist")
    assert rotate(paths) == ()


def test_folder_of_a_new_file_is_named_if_it_does_not_exist(paths: StatePaths, tmp_path: Path) -> None:
    folder = tmp_path / "no such"
    with pytest.raises(InputError, match=f"the folder {folder} does not exist") as refused:
        write(paths, str(folder / ".env"), "dotenv", 5.0)
    assert refused.value.hints == (f"`mkdir -p '{folder}'` makes it",)


@pytest.mark.parametrize("key", ["LIVEKIT_API_KEY=APIcloud\n", "", "LIVEKIT_API_KEY=APIold\nLIVEKIT_API_KEY=other\n"])
def test_key_that_another_hand_has_written_stays(paths: StatePaths, env: Path, key: str) -> None:
    write(paths, str(env), "dotenv", 5.0)
    env.write_text(f"{key}A=1\n")
    [result] = rotate(paths)
    assert (result.outcome, result.detail) == ("changed", "its LIVEKIT_API_KEY is none of this hub's keys")
    assert env.read_text() == f"{key}A=1\n"
    assert rotate(paths) == ()


def test_file_that_can_not_be_read_any_more_stays_on_record(paths: StatePaths, tmp_path: Path) -> None:
    file = tmp_path / "my config.json"
    write(paths, str(file), "server-config", 5.0)
    file.write_text("{")
    [result] = rotate(paths)
    assert (result.outcome, result.command) == (
        "failed",
        f"lkhub env --write '{file}' --format server-config --state {paths.root}",
    )
    assert result.detail.startswith(f"{file}:1: not JSON")
    assert len(read_written(paths)) == 1


def test_one_file_that_fails_keeps_no_other_from_its_key(paths: StatePaths, env: Path, tmp_path: Path) -> None:
    others = [tmp_path / "0.env", tmp_path / "z.env"]
    for file in (others[0], env, others[1]):
        write(paths, str(file), "dotenv", 5.0)
    env.unlink()
    env.mkdir()
    assert [each.outcome for each in rotate(paths)] == ["updated", "failed", "updated"]
    assert all("APInew" in file.read_text() for file in others)


@as_root
def test_owner_and_mode_stay(paths: StatePaths, env: Path) -> None:
    env.chmod(0o640)
    os.chown(env, NOBODY, 12345)
    written = write(paths, str(env), "dotenv", 5.0)
    assert (written.owner, written.mode) == ("nobody", 0o640)
    rotate(paths)
    status = os.stat(env)
    assert (status.st_uid, status.st_gid, status.st_mode & 0o777) == (NOBODY, 12345, 0o640)
    assert "APInew" in env.read_text()


@as_root
def test_file_of_another_owner_than_before_is_left_alone(paths: StatePaths, env: Path) -> None:
    write(paths, str(env), "dotenv", 5.0)
    os.chown(env, NOBODY, NOBODY)
    [result] = rotate(paths)
    assert (result.outcome, result.detail) == ("changed", "the file belonged to root and now belongs to nobody")


@as_root
def test_root_writes_through_no_link_of_another_user(paths: StatePaths, env: Path, tmp_path: Path) -> None:
    write(paths, str(env), "dotenv", 5.0)
    link = tmp_path / "link"
    link.symlink_to(env)
    os.chown(link, NOBODY, NOBODY, follow_symlinks=False)
    write_written(paths, tuple(replace(file, path=str(link)) for file in read_written(paths)))
    [result] = rotate(paths)
    assert (result.outcome, result.command) == ("forbidden", "")
    assert f"name it without the link: {env}" in result.detail
    assert len(read_written(paths)) == 1


@as_root
def test_backups_by_root_in_the_state_of_another_user(paths: StatePaths, env: Path) -> None:
    """The folder is the user's, so that the state directory can be removed; what is in the file may not be."""
    os.chown(paths.root, NOBODY, NOBODY)
    written = write(paths, str(env), "dotenv", 5.0)
    assert written.backup
    assert (os.stat(paths.backups).st_uid, os.stat(written.backup).st_uid) == (NOBODY, 0)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read and write everything")
def test_file_that_this_user_may_not_write_has_what_to_type(paths: StatePaths, env: Path) -> None:
    write(paths, str(env), "dotenv", 5.0)
    env.parent.chmod(0o500)
    [result] = rotate(paths)
    env.parent.chmod(0o700)
    assert result.outcome == "forbidden"
    assert result.command.startswith("sudo ")
    assert result.command.endswith(f" env --write {env} --state {paths.root}")
    assert [file.key for file in read_written(paths)] == ["APIold"]


@pytest.mark.parametrize(
    ("name", "content", "is_told"),
    [
        (".env.local", "LIVEKIT_URL=ws://old\n", True),
        (".env.production", "LIVEKIT_URL=ws://old\n", True),
        (".env.test.local", "LIVEKIT_URL=ws://old\n", True),
        (".env.local", "LIVEKIT_URL=ws://hub\n", False),
        (".env.local", "LIVEKIT_URL=ws://hub\nLIVEKIT_URL=ws://old\n", True),
        (".env.local", "DB=x\n", False),
        (".env.staging", "LIVEKIT_URL=ws://old\n", False),
    ],
)
def test_files_that_are_preferred_and_say_otherwise_are_told(
    tmp_path: Path, name: str, content: str, is_told: bool
) -> None:
    (tmp_path / ".env").write_text("LIVEKIT_URL=ws://hub\n")
    (tmp_path / name).write_text(content)
    assert find_overriding(str(tmp_path / ".env"), ["LIVEKIT_URL"]) == ((str(tmp_path / name),) if is_told else ())


def test_files_beside_another_file_than_env_are_not_about_it(tmp_path: Path) -> None:
    (tmp_path / "prod.env").write_text("LIVEKIT_URL=ws://hub\n")
    (tmp_path / ".env.local").write_text("LIVEKIT_URL=ws://old\n")
    assert find_overriding(str(tmp_path / "prod.env"), ["LIVEKIT_URL"]) == ()


def test_preferred_file_that_is_no_text_hides_no_other(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("LIVEKIT_URL=ws://hub\n")
    (tmp_path / ".env.local").mkdir()
    (tmp_path / ".env.production").write_text("LIVEKIT_URL=ws://old\n")
    assert find_overriding(str(tmp_path / ".env"), ["LIVEKIT_URL"]) == (str(tmp_path / ".env.production"),)
