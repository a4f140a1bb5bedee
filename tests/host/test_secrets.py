import os
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lkhub.errors import MachineError
from lkhub.host.secrets import Keys, dump_keys, ensure_secret, load_keys, resolve_keys
from lkhub.plan.paths import StatePaths
from lkhub.spec.document import parse_plain
from lkhub.spec.keys import parse_key_pairs
from lkhub.spec.load import LoadedSpec, load_spec
from lkhub.spec.secret import Secret

SECRET = "XYZ" * 15


@pytest.fixture
def paths(tmp_path: Path) -> StatePaths:
    return StatePaths(str(tmp_path / "state"))


def resolve(source: str, paths: StatePaths, **environ: str) -> tuple[Keys, LoadedSpec]:
    """The keys of a spec with this source, in a folder beside the state directory."""
    loaded = load_spec(f"keys: {{source: {source}}}".encode())
    assert loaded.faults == []
    folder = os.path.dirname(paths.root)
    return resolve_keys(loaded, paths, folder, environ), loaded


def explain(source: str, paths: StatePaths, **environ: str) -> str:
    keys, loaded = resolve(source, paths, **environ)
    assert keys == {}
    assert not os.path.exists(paths.root), "bad input changes nothing"
    [fault] = loaded.faults
    assert (fault.line, fault.key) == (1, "keys.source")
    assert SECRET[:20] not in str(fault)
    return fault.problem


def test_managed_keys_are_made_once_and_kept(paths: StatePaths) -> None:
    keys, _ = resolve("managed", paths)
    [(name, secret)] = keys.items()
    assert re.fullmatch("API[A-Za-z0-9]{12}", name)
    assert re.fullmatch("[A-Za-z0-9]{43}", secret.reveal())
    assert os.stat(paths.managed_keys).st_mode & 0o777 == 0o600
    assert os.stat(paths.root).st_mode & 0o777 == 0o700
    assert resolve("managed", paths)[0] == keys


def test_two_hubs_never_share_a_key(tmp_path: Path) -> None:
    keys = [resolve("managed", StatePaths(str(tmp_path / str(number))))[0] for number in range(20)]
    assert len({repr(list(pair)) for pair in keys}) == 20
    assert len({secret for pair in keys for secret in pair.values()}) == 20


def test_managed_keys_are_not_made_for_a_spec_with_faults(paths: StatePaths) -> None:
    loaded = load_spec(b"web: 0")
    assert resolve_keys(loaded, paths, "/", {}) == {}
    assert not os.path.exists(paths.root)


def test_managed_keys_outlive_a_time_with_other_ones(paths: StatePaths) -> None:
    managed, _ = resolve("managed", paths)
    resolve(f"{{key: API, secret: {SECRET}}}", paths)
    assert resolve("managed", paths)[0] == managed


def test_damaged_managed_keys_are_an_error_and_not_replaced(paths: StatePaths) -> None:
    resolve("managed", paths)
    for damage in (b"", b"API: short\n", b"\xff", b"[" * 500):
        Path(paths.managed_keys).write_bytes(damage)
        with pytest.raises(MachineError, match=re.escape(paths.managed_keys)):
            resolve("managed", paths)
        assert Path(paths.managed_keys).read_bytes() == damage


def test_given_key_is_taken_as_it_is(paths: StatePaths) -> None:
    assert resolve(f"{{key: API, secret: {SECRET}}}", paths)[0] == {"API": Secret(SECRET)}


def test_secret_may_be_in_a_file_beside_the_spec_or_in_the_environment(paths: StatePaths, tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text(SECRET + "\r\n")
    wanted = {"API": Secret(SECRET)}
    assert resolve("{key: API, secret: {file: secret.txt}}", paths)[0] == wanted
    assert resolve(f"{{key: API, secret: {{file: {tmp_path}/secret.txt}}}}", paths)[0] == wanted
    assert resolve("{key: API, secret: {env: S}}", paths, S=SECRET)[0] == wanted
    assert resolve("{env: [K, S]}", paths, K="API", S=SECRET)[0] == wanted


def test_key_file_gives_all_its_keys_the_first_one_current(paths: StatePaths, tmp_path: Path) -> None:
    (tmp_path / "keys.yaml").write_text(f"APInew: {SECRET}\nAPIold: '{SECRET}old'\n")
    keys, _ = resolve("{file: keys.yaml}", paths)
    assert list(keys) == ["APInew", "APIold"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"API:{SECRET}", "no space after the colon"),
        (f"{SECRET}: API", "look swapped"),
        (f"- API: {SECRET}", "a list"),
        ("API: " + SECRET[:31], "31 characters"),
        ("", "no key in it"),
        ("# nothing\n", "no key in it"),
        ("API:", "the secret is empty"),
        (f'"": {SECRET}', "the key is empty"),
        (f"? [a, b]\n: {SECRET}", ""),
        ("API: 0x" + "f" * 60, "put it in quotes"),
        (f"API: !{SECRET}", "not"),
        (f"API: *{SECRET}", "alias"),
        (f"API: &a {SECRET}\nAPI2: &a {SECRET}\nAPI: {SECRET}", "twice"),
        (f"API: '{SECRET}", "not YAML"),
        ("API: !!bool x", "not"),
        ("[" * 500, "nested"),
        ("a: &a [*a]", ""),
        ("API: {a: b}", ""),
        ("x" * 200_000, "too large"),
    ],
    ids=lambda value: value[:25],
)
def test_wrong_key_file_is_explained_without_being_repeated(
    paths: StatePaths, tmp_path: Path, text: str, said: str
) -> None:
    (tmp_path / "keys.yaml").write_text(text)
    problem = explain("{file: keys.yaml}", paths)
    assert problem.startswith("keys.yaml: ")
    assert said in problem


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


CHARACTERS = st.characters(min_codepoint=0x20, max_codepoint=0x7E)
NAMES = st.text(CHARACTERS, min_size=1).filter(str.strip)
SECRETS = st.text(CHARACTERS, min_size=32).filter(str.strip)


@given(st.dictionaries(NAMES, SECRETS.map(Secret), min_size=1, max_size=4))
def test_keys_are_read_as_they_were_written(keys: Keys) -> None:
    read = parse_key_pairs(parse_plain(dump_keys(keys).encode()))
    assert list(read.items()) == list(keys.items())


@pytest.mark.parametrize("text", ["🎈" * 32, "x" * 40 + "\x85", "x" * 40 + "\n", "ü" * 32], ids=repr)
def test_secret_that_some_parser_would_read_differently_is_refused(paths: StatePaths, text: str) -> None:
    assert "ASCII" in explain("{env: [K, S]}", paths, K="API", S=text)
    assert "ASCII" in explain("{env: [K, S]}", paths, K=text, S=SECRET)


def test_secret_of_digits_stays_text() -> None:
    keys = {"123": Secret("4" * 40), "yes": Secret("0x" + "1" * 40)}
    assert parse_key_pairs(parse_plain(dump_keys(keys).encode())) == keys


def test_keys_of_a_hub_that_never_ran_have_a_way_out(tmp_path: Path) -> None:
    with pytest.raises(MachineError, match="no keys yet") as refused:
        load_keys(str(tmp_path / "keys.yaml"))
    assert refused.value.hints == ("`lkhub up` makes them",)


def test_generated_secret_is_kept(tmp_path: Path) -> None:
    path = str(tmp_path / "relay.secret")
    secret = ensure_secret(path)
    assert ensure_secret(path) == secret
    assert re.fullmatch(r"[A-Za-z0-9]{43}\n", secret)
    assert os.stat(path).st_mode & 0o777 == 0o600
    Path(path).write_text("")
    assert ensure_secret(path), "an empty secret is none"
