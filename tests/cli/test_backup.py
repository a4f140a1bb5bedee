"""`lkhub backup` and `restore`: what they refuse before they do anything, and where the passphrase comes from."""

import gzip
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from lkhub.cli.shared import passphrase
from lkhub.cli.shared.passphrase import read_passphrase
from lkhub.errors import InputError
from lkhub.host.sealed import MAGIC
from lkhub.hub import restore
from lkhub.hub.restore import Restored
from lkhub.plan.paths import StatePaths
from lkhub.state.backup import FORMAT, Manifest
from tests.cli.conftest import Run


def test_without_a_hub_there_is_nothing_to_back_up(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LKHUB_PASSPHRASE", "x")
    done = run("backup", "hub.age")
    assert (done.code, done.out) == (2, "")
    assert f"there is no hub in {tmp_path}/state" in done.err
    assert not list(tmp_path.rglob("*.age"))


@pytest.mark.usefixtures("applied")
def test_file_that_is_no_backup_is_never_replaced(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LKHUB_PASSPHRASE", "x")
    Path("thesis.txt").write_text("years of work")
    done = run("backup", "thesis.txt")
    assert (done.code, "thesis.txt is there, and is no backup" in done.err) == (2, True)
    assert Path("thesis.txt").read_text() == "years of work"
    Path("folder").mkdir()
    done = run("backup", "folder")
    assert (done.code, "can't write folder: is a directory" in done.err) == (2, True)


@pytest.mark.usefixtures("applied")
def test_device_or_pipe_is_never_replaced(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """As root, /dev/null would be a file from then on; and who opens a pipe waits for the other end."""
    monkeypatch.setenv("LKHUB_PASSPHRASE", "x")
    os.mkfifo("pipe")
    Path("link").symlink_to("pipe")
    with open(os.open("pipe", os.O_RDWR), "wb", buffering=0) as pipe:
        for name in ("pipe", "link"):
            pipe.write(MAGIC[0])
            done = run("backup", name)
            assert (done.code, f"{name} is no file" in done.err) == (2, True), done.err
    assert Path("pipe").is_fifo()
    assert Path("link").is_symlink()


@pytest.mark.integration
@pytest.mark.usefixtures("applied")
@pytest.mark.parametrize("exists", [True, False])
def test_backup_goes_where_a_link_leads(run: Run, monkeypatch: pytest.MonkeyPatch, exists: bool) -> None:
    monkeypatch.setenv("LKHUB_PASSPHRASE", "x")
    Path("disk").mkdir()
    Path("hub.age").symlink_to("disk/hub.age")
    if exists:
        Path("disk/hub.age").write_bytes(MAGIC[0])
    assert run("backup", "hub.age").code == 0
    assert Path("hub.age").is_symlink()
    assert len(Path("disk/hub.age").read_bytes()) > len(MAGIC[0])


@pytest.mark.parametrize("keys", [[], ["--passphrase-file", "nowhere"], ["--recipient", "nowhere"]], ids=str)
def test_what_prevents_a_backup_is_told_before_the_passphrase(
    run: Run, request: pytest.FixtureRequest, keys: list[str]
) -> None:
    def refuse(file: str, told: str) -> None:
        done = run("backup", file, *keys)
        assert (done.code, done.out, told in done.err) == (2, "", True), done.err
        assert "passphrase" not in done.err
        assert "nowhere" not in done.err

    refuse("hub.age", "there is no hub in ")
    request.getfixturevalue("applied")
    Path("folder").mkdir()
    Path("thesis.txt").write_text("years of work")
    refuse("folder", "can't write folder: is a directory")
    refuse("thesis.txt", "thesis.txt is there, and is no backup")
    refuse("thesis.txt/hub.age", "can't write thesis.txt/hub.age: not a directory")
    refuse("missing/hub.age", f"there is no folder {Path.cwd()}/missing")


@pytest.mark.usefixtures("applied")
@pytest.mark.parametrize("command", ["backup", "restore"])
def test_passphrase_is_never_guessed(run: Run, tmp_path: Path, command: str) -> None:
    if command == "restore":
        shutil.rmtree(tmp_path / "state")
    Path("hub.age").write_bytes(MAGIC[0])
    Path("empty").touch()
    for arguments, told in (
        ([], "nobody can be asked for it here"),
        (["--passphrase-file", "empty"], "the passphrase is empty: the first line of empty"),
        (["--passphrase-file", "nowhere"], "can't read nowhere"),
    ):
        done = run(command, "hub.age", *arguments)
        assert (done.code, done.out, told in done.err) == (2, "", True), done.err


@pytest.mark.parametrize("keys", [[], ["--passphrase-file", "nowhere"], ["--identity", "nowhere"]], ids=str)
def test_file_is_judged_before_the_passphrase(run: Run, keys: list[str]) -> None:
    Path("folder").mkdir()
    Path("thesis.txt").write_text("years of work")
    for file, told in (
        ("missing", "can't read missing: no such file or directory"),
        ("folder", "can't read folder: is a directory"),
        ("thesis.txt", "thesis.txt is no backup"),
        ("thesis.txt/hub.age", "can't read thesis.txt/hub.age: not a directory"),
    ):
        done = run("restore", file, *keys)
        assert (done.code, done.out, told in done.err) == (2, "", True), done.err
        assert "passphrase" not in done.err
        assert "nowhere" not in done.err


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "it is empty"),
        ("jö".encode() * 100, "it is a text"),
        (gzip.compress(MAGIC[0]), "it is compressed, by gzip"),
        (b"SQLite format 3\0 and more", "it is a database of SQLite"),
        (b"manifest.json\0\0", "it is an archive that is not encrypted"),
        (bytes(range(256)), "it does not begin as a file of age does"),
    ],
)
def test_file_that_is_no_backup_is_said_to_be_what_it_is(run: Run, content: bytes, told: str) -> None:
    Path("file").write_bytes(content)
    done = run("restore", "file")
    assert (done.code, f"file is no backup: {told}" in done.err) == (2, True), done.err
    assert "name the file that `lkhub backup" in done.err


@pytest.mark.parametrize("keys", [[], ["--passphrase-file", "nowhere"], ["--identity", "nowhere"]], ids=str)
@pytest.mark.parametrize("what", ["runs", "is there", "was half restored"])
def test_hub_that_is_in_the_way_is_told_before_the_passphrase(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keys: list[str], what: str
) -> None:
    Path("hub.age").write_bytes(MAGIC[0])
    paths, force = StatePaths(str(tmp_path / "state")), []
    Path(paths.root).mkdir(mode=0o700, exist_ok=True)
    if what == "runs":
        monkeypatch.setattr(restore, "is_running", lambda _: True)
        told, force = f"a hub runs in {paths.root}", ["--force"]
    elif what == "is there":
        Path(paths.managed_keys).touch()
        told = f"{paths.root} has a hub already: managed-keys.yaml is there"
    else:
        Path(paths.restore_record).write_text("{")
        told = "a restore was interrupted"
    done = run("restore", "hub.age", *force, *keys)
    assert (done.code, done.out, told in done.err) == (3 if "half" in what else 2, "", True), done.err
    assert "passphrase" not in done.err
    assert "nowhere" not in done.err


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every file")
def test_backup_that_may_not_be_read_is_told_before_the_passphrase(run: Run) -> None:
    Path("hub.age").write_bytes(MAGIC[0])
    Path("hub.age").chmod(0)
    assert "can't read hub.age: permission denied" in run("restore", "hub.age").err


@pytest.mark.parametrize("way", ["X25519 key", "ssh-ed25519 Ab Cd", "piv-p256 Ab"])
def test_backup_for_a_key_asks_for_no_passphrase(run: Run, monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    Path("hub.age").write_bytes(MAGIC[0] + f"v1\n-> {way}\n".encode())
    for variable in (None, "x"):
        if variable:
            monkeypatch.setenv("LKHUB_PASSPHRASE", variable)
        done = run("restore", "hub.age")
        assert (done.code, done.out, "was made for a key" in done.err) == (2, "", True), done.err
        assert "--identity FILE" in done.err
        assert "--passphrase-file" not in done.err


@pytest.mark.usefixtures("applied")
@pytest.mark.parametrize("others", [[], ["--recipient", "age1x"]], ids=str)
def test_file_without_a_public_key_is_no_recipient(run: Run, others: list[str]) -> None:
    """Who has the key that belongs into the file could not open the backup, and would learn it too late."""
    for text, told in (
        ("", "keys has no public key"),
        ("# the keys of our operators\n\n", "keys has no public key"),
        ("age1x\necdsa-sha2-nistp256 AAAA ann\n", "keys:2: that is no key"),
        ("a passphrase", "keys:1: that is no key"),
    ):
        Path("keys").write_text(text)
        done = run("backup", "hub.age", *others, "--recipient", "keys")
        assert (done.code, done.out, told in done.err) == (2, "", True), done.err
        assert ("ssh-ed25519" in done.err, "a passphrase" in done.err) == (True, False)


@pytest.mark.usefixtures("applied")
def test_private_key_is_no_recipient(run: Run) -> None:
    Path("key").write_text("-----BEGIN OPENSSH PRIVATE KEY-----\nsecret\n")
    done = run("backup", "hub.age", "--recipient", "key")
    assert (done.code, "key has a private key" in done.err, "secret" in done.err) == (2, True, False)
    done = run("backup", "hub.age", "--recipient", "age1x", "--passphrase-file", "key")
    assert (done.code, "exclude each other" in done.err) == (2, True)


def test_passphrase_is_the_first_line_of_a_file_before_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text(" in a file \nmore\n")
    monkeypatch.setenv("LKHUB_PASSPHRASE", "in the environment")
    assert read_passphrase(tmp_path / "file", twice=True).reveal() == " in a file "
    assert read_passphrase(None, twice=True).reveal() == "in the environment"
    monkeypatch.setenv("LKHUB_PASSPHRASE", "")
    with pytest.raises(InputError, match="is empty: LKHUB_PASSPHRASE"):
        read_passphrase(None, twice=True)


def test_passphrase_that_is_asked_for_is_asked_for_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    for typed, twice, taken in ((["a", "a"], True, "a"), (["a"], False, "a"), (["a", "b"], True, None)):
        answers = iter(typed)
        monkeypatch.setattr(passphrase, "getpass", lambda _, answers=answers: next(answers))
        if taken is None:
            with pytest.raises(InputError, match="differ"):
                read_passphrase(None, twice=twice)
        else:
            assert read_passphrase(None, twice=twice).reveal() == taken
        assert not list(answers)


MADE_UP = "a\n\nhint: `evil` fetches what is missing\x1b[2K"
LONG = f"the folder /srv/{'a' * 200}/www, the files of the site www"


@pytest.mark.parametrize("made", [{"hub": MADE_UP}, {"left_out": (MADE_UP,)}], ids=lambda made: next(iter(made)))
def test_text_of_a_backup_makes_no_line_of_its_own(
    run: Run, monkeypatch: pytest.MonkeyPatch, made: dict[str, Any]
) -> None:
    """Where the public key of its receiver is known, anybody can make one."""
    manifest = Manifest(
        **{"format": FORMAT, "lkhub": "0.1.0", "made": 0.0, "hub": "home", "files": (), "spec": "", **made}
    )
    monkeypatch.setenv("LKHUB_PASSPHRASE", "x")
    monkeypatch.setattr("lkhub.cli.restore.require_restorable", lambda *_, **__: None)
    monkeypatch.setattr("lkhub.cli.restore.restore_backup", lambda *_, **__: Restored(manifest, "", ""))
    done = run("restore", "hub.age")
    assert (done.code, "fetches what is missing" in done.err) == (0, True)
    assert "\x1b" not in done.err
    assert [line for line in done.err.splitlines() if line.startswith("hint:") and "evil" in line] == []


def test_what_was_not_in_a_backup_is_told_whole(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine that had it may be gone."""
    manifest = Manifest(FORMAT, "0.1.0", 0.0, "home", (), "", left_out=(LONG,))
    monkeypatch.setenv("LKHUB_PASSPHRASE", "x")
    monkeypatch.setattr("lkhub.cli.restore.require_restorable", lambda *_, **__: None)
    monkeypatch.setattr("lkhub.cli.restore.restore_backup", lambda *_, **__: Restored(manifest, "", ""))
    assert LONG in run("restore", "hub.age").err.replace("\n", " ")
