import errno
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lkhub.errors import MachineError
from lkhub.host import secrets as secrets_module
from lkhub.host.keyfile import Keys
from lkhub.host.secrets import ensure_managed_keys, ensure_secret, read_keys
from lkhub.plan.paths import StatePaths
from lkhub.secret import Secret
from lkhub.spec.keys import KeysError
from lkhub.spec.load import load_spec

SECRET = "XYZ" * 15


@pytest.fixture
def paths(tmp_path: Path) -> StatePaths:
    return StatePaths(str(tmp_path / "state"))


def read(source: str, paths: StatePaths, **environ: str) -> Keys:
    """The keys of a spec with this source, in a folder beside the state directory."""
    loaded = load_spec(f"keys: {{source: {source}}}".encode())
    assert loaded.faults == []
    given = loaded.spec.keys.source
    assert given != "managed"
    return read_keys(given, os.path.dirname(paths.root), environ)


def explain(source: str, paths: StatePaths, **environ: str) -> str:
    with pytest.raises(KeysError) as refused:
        read(source, paths, **environ)
    assert not os.path.exists(paths.root), "bad input changes nothing"
    [problem] = refused.value.problems
    assert SECRET[:20] not in problem
    return problem


def test_managed_keys_are_made_once_and_kept(paths: StatePaths) -> None:
    keys = ensure_managed_keys(paths)
    [(name, secret)] = keys.items()
    assert re.fullmatch("API[A-Za-z0-9]{12}", name)
    assert re.fullmatch("[A-Za-z0-9]{43}", secret.reveal())
    assert os.stat(paths.managed_keys).st_mode & 0o777 == 0o600
    assert os.stat(paths.root).st_mode & 0o777 == 0o700
    assert ensure_managed_keys(paths) == keys


@pytest.mark.parametrize("link", [True, False], ids=["with links", "without"])
@pytest.mark.parametrize("make", [ensure_managed_keys, lambda paths: ensure_secret(paths.relay_secret)])
def test_two_who_start_at_once_go_on_with_the_same_secrets(
    paths: StatePaths, monkeypatch: pytest.MonkeyPatch, make: Callable[[StatePaths], Any], link: bool
) -> None:
    """One has found none, and has not written its own yet, when the other does all of it."""
    if not link:
        monkeypatch.setattr(os, "link", refuse_link)
    Path(paths.root).mkdir(mode=0o700)
    other: list[Any] = []
    generate = secrets_module._generate

    def generate_late(length: int) -> str:
        monkeypatch.setattr(secrets_module, "_generate", generate)
        other.append(make(paths))
        return generate(length)

    monkeypatch.setattr(secrets_module, "_generate", generate_late)
    made = make(paths)
    assert [made] == other
    assert make(paths) == made
    assert [path.name for path in Path(paths.root).iterdir() if path.name.startswith(".")] == [], "nothing is left over"


def refuse_link(*_: object) -> None:
    """As a file system does that has no hard links."""
    raise PermissionError(errno.EPERM, "Operation not permitted")


def test_two_hubs_never_share_a_key(tmp_path: Path) -> None:
    keys = [ensure_managed_keys(StatePaths(str(tmp_path / str(number)))) for number in range(20)]
    assert len({repr(list(pair)) for pair in keys}) == 20
    assert len({secret for pair in keys for secret in pair.values()}) == 20


def test_managed_keys_may_be_written_by_hand(paths: StatePaths) -> None:
    ensure_managed_keys(paths)
    Path(paths.managed_keys).write_text(f"# from the old server\nAPI: {SECRET}\n")
    assert ensure_managed_keys(paths) == {"API": Secret(SECRET)}


def test_damaged_managed_keys_are_an_error_and_not_replaced(paths: StatePaths) -> None:
    ensure_managed_keys(paths)
    for damage in (b"", b"API: short\n", b"\xff", b"[" * 500):
        Path(paths.managed_keys).write_bytes(damage)
        with pytest.raises(MachineError, match=re.escape(paths.managed_keys)):
            ensure_managed_keys(paths)
        assert Path(paths.managed_keys).read_bytes() == damage


def test_given_key_is_taken_as_it_is(paths: StatePaths) -> None:
    assert read(f"{{key: API, secret: {SECRET}}}", paths) == {"API": Secret(SECRET)}


def test_secret_may_be_in_a_file_beside_the_spec_or_in_the_environment(paths: StatePaths, tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text(SECRET + "\r\n")
    wanted = {"API": Secret(SECRET)}
    assert read("{key: API, secret: {file: secret.txt}}", paths) == wanted
    assert read(f"{{key: API, secret: {{file: {tmp_path}/secret.txt}}}}", paths) == wanted
    assert read("{key: API, secret: {env: S}}", paths, S=SECRET) == wanted
    assert read("{env: [K, S]}", paths, K="API", S=SECRET) == wanted


def test_key_file_gives_all_its_keys_the_first_one_current(paths: StatePaths, tmp_path: Path) -> None:
    (tmp_path / "keys.yaml").write_text(f"APInew: {SECRET}\nAPIold: '{SECRET}old'\n")
    assert list(read("{file: keys.yaml}", paths)) == ["APInew", "APIold"]


def test_wrong_key_file_is_named_as_the_spec_names_it(paths: StatePaths, tmp_path: Path) -> None:
    (tmp_path / "keys.yaml").write_text("API: short")
    assert explain("{file: ./keys.yaml}", paths).startswith("./keys.yaml:1: the secret has 5 characters")


def test_key_file_that_is_not_text_is_a_fault(paths: StatePaths, tmp_path: Path) -> None:
    (tmp_path / "keys.yaml").write_bytes(b"API: \xff")
    assert "not text" in explain("{file: keys.yaml}", paths)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("{file: nowhere.yaml}", "nowhere.yaml: no such file"),
        ("{file: .}", "is a directory"),
        ("{file: /dev/zero}", "/dev/zero is over"),
        ('{file: "a\\0b"}', "not the name of a file"),
        ('{file: "\\ud800"}', ""),
        ("{key: API, secret: {file: nowhere.txt}}", "nowhere.txt: no such file"),
        ("{key: API, secret: {file: /dev/null}}", "the secret is empty"),
        ("{key: API, secret: {env: S}}", "the environment variable S is not set"),
        ("{env: [K, S]}", "not set in the environment: K, S"),
    ],
    ids=lambda value: value[:40],
)
def test_reference_to_nowhere_is_a_fault(paths: StatePaths, source: str, said: str) -> None:
    assert said in explain(source, paths)


@pytest.mark.parametrize(
    ("key", "secret", "said"),
    [("API", "short", "5 characters"), (SECRET, "API", "swapped"), ("API", "", "empty"), ("", SECRET, "key is empty")],
)
def test_wrong_pair_in_the_environment_is_shown_in_its_own_form(
    paths: StatePaths, key: str, secret: str, said: str
) -> None:
    problem = explain("{env: [K, S]}", paths, K=key, S=secret)
    assert said in problem
    assert "K=NAME S=AT_LEAST_32_CHARACTERS" in problem


@pytest.mark.parametrize("text", ["🎈" * 32, "x" * 40 + "\x85", "x" * 40 + "\n", "ü" * 32], ids=repr)
def test_secret_that_some_parser_would_read_differently_is_refused(paths: StatePaths, text: str) -> None:
    assert "ASCII" in explain("{env: [K, S]}", paths, K="API", S=text)
    assert "ASCII" in explain("{env: [K, S]}", paths, K=text, S=SECRET)


def test_generated_secret_is_kept(tmp_path: Path) -> None:
    path = str(tmp_path / "relay.secret")
    secret = ensure_secret(path)
    assert ensure_secret(path) == secret
    assert re.fullmatch(r"[A-Za-z0-9]{43}\n", secret)
    assert os.stat(path).st_mode & 0o777 == 0o600
    Path(path).write_text("")
    assert ensure_secret(path), "an empty secret is none"
