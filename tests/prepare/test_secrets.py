"""The secrets of a spec, from its text to what processes read."""

import os
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import Field

from lkhub.findings.fault import SpecError
from lkhub.host.keyfile import Keys
from lkhub.host.variables import resolve_variables
from lkhub.plan.build import build_plan
from lkhub.plan.installation import Installation
from lkhub.plan.model import Plan
from lkhub.plan.network import NetworkFacts
from lkhub.plan.paths import StatePaths
from lkhub.plan.process import Variable
from lkhub.prepare import hub as prepare
from lkhub.prepare.secrets import resolve_keys, resolve_secrets
from lkhub.secret import Secret
from lkhub.source.path import Path as SpecPath
from lkhub.spec import load
from lkhub.spec.load import LoadedSpec, load_spec
from lkhub.spec.model import Spec
from lkhub.spec.part import Part
from lkhub.spec.types import SecretValue
from lkhub.state.applied import write_applied
from lkhub.state.describe import describe_applied
from tests.prepare.conftest import Run, write_files

SECRET = "XYZ" * 15


@pytest.fixture
def paths(tmp_path: Path) -> StatePaths:
    return StatePaths(str(tmp_path / "state"))


def judge(source: str, paths: StatePaths, environ: dict[str, str]) -> tuple[LoadedSpec, Keys]:
    """A spec with this source of keys, in a folder beside the state directory, and its keys."""
    loaded = load_spec(f"keys: {{source: {source}}}".encode())
    assert loaded.faults == []
    secrets = resolve_secrets(loaded, os.path.dirname(paths.root), environ)
    return loaded, resolve_keys(loaded, secrets, paths)


def read(source: str, paths: StatePaths, **environ: str) -> Keys:
    loaded, keys = judge(source, paths, environ)
    assert loaded.faults == []
    return keys


def explain(source: str, paths: StatePaths, **environ: str) -> str:
    loaded, keys = judge(source, paths, environ)
    assert keys == {}
    assert not os.path.exists(paths.root), "bad input changes nothing"
    [fault] = loaded.faults
    assert (fault.key, fault.line) == ("keys.source", 1)
    assert SECRET[:20] not in fault.title
    return fault.title


def test_given_key_is_taken_as_it_is(paths: StatePaths) -> None:
    assert read(f"{{key: API, secret: {SECRET}}}", paths) == {"API": Secret(SECRET)}


def test_secret_may_be_in_a_file_beside_the_spec_or_in_the_environment(paths: StatePaths, tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text(SECRET + "\r\n")
    wanted = {"API": Secret(SECRET)}
    assert read("{key: API, secret: {file: secret.txt}}", paths) == wanted
    assert read(f"{{key: API, secret: {{file: {tmp_path}/secret.txt}}}}", paths) == wanted
    assert read("{key: API, secret: {env: S}}", paths, S=SECRET) == wanted
    assert read("{env: [K, S]}", paths, K="API", S=SECRET) == wanted


@pytest.mark.parametrize(
    ("source", "name", "text"),
    [
        ("{key: API, secret: {file: /closed/secret}}", "secret-4f428a93", SECRET),
        ("{file: /closed/keys.yaml}", "keys.yaml-b094ff75", f"API: {SECRET}\n"),
    ],
)
def test_secret_that_a_service_manager_passes_on_is_read_there(
    source: str, name: str, text: str, paths: StatePaths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "credentials").mkdir()
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path / "credentials"))
    assert "no such file" in explain(source, paths)
    (tmp_path / "credentials" / name).write_text(text)
    assert read(source, paths) == {"API": Secret(SECRET)}


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


# --- a new secret: one line in the model, and its consumer


class Login(Part):
    client_secret: SecretValue | None = None  # the line


class Notified(Part):
    url: str
    secret: SecretValue  # the line


class FutureSpec(Spec):
    login: Login = Login()
    notified: tuple[Notified, ...] = Field(default=(), strict=False)


CLIENT_SECRET: SpecPath = ("login", "client_secret")


@pytest.fixture
def future(run: Run, monkeypatch: pytest.MonkeyPatch) -> Run:
    """The lkhub of then: it has the model above, and `serve` reads the client's secret from a file."""

    def plan_with_consumer(loaded: LoadedSpec, network: NetworkFacts, installation: Installation) -> Plan | None:
        plan = build_plan(loaded, network, installation)
        if plan is None:
            return None
        files = (installation.paths.secret(CLIENT_SECRET),) if loaded.spec.login.client_secret else ()  # type: ignore[attr-defined]
        processes = [
            replace(process, files=(*process.files, *files)) if process.name == "serve" else process
            for process in plan.processes
        ]
        return replace(plan, processes=tuple(processes))

    monkeypatch.setattr(load, "Spec", FutureSpec)
    monkeypatch.setattr(prepare, "build_plan", plan_with_consumer)
    return run


GIVEN = {"the spec itself": "XYZXYZ", "a file": "{file: client.secret}", "the environment": "{env: CLIENT}"}


@pytest.mark.parametrize("given", GIVEN.values(), ids=GIVEN)
def test_new_secret_reaches_its_process_in_a_private_file_and_nothing_else(future: Run, given: str) -> None:
    Path("client.secret").write_text("XYZXYZ\n")
    text = f"login: {{client_secret: {given}}}\n"
    hub = future(text, CLIENT="XYZXYZ", OTHER="x")
    file = hub.plan.paths.secret(CLIENT_SECRET)
    assert hub.files[file] == "XYZXYZ\n"
    assert hub.environ == ({"CLIENT": "XYZXYZ"} if "env" in given else {})
    write_files(hub)
    write_applied(hub.plan.paths, describe_applied(hub.plan, hub.spec, hub.interfaces, 1.0))
    assert os.stat(file).st_mode & 0o777 == 0o600
    assert os.stat(os.path.dirname(file)).st_mode & 0o777 == 0o700
    holders = [
        str(path) for path in Path(hub.plan.paths.root).rglob("*") if path.is_file() and "XYZXYZ" in path.read_text()
    ]
    assert holders == [file]
    argv = [argument for process in hub.plan.processes for argument in process.argv]
    assert "XYZ" not in repr(hub) + repr(hub.plan) + "".join(argv)


def test_new_secret_is_in_the_fingerprint_of_its_process_alone(future: Run) -> None:
    text = "login: {client_secret: {env: CLIENT}}\n"
    one, two, none = future(text, CLIENT="one"), future(text, CLIENT="two"), future("")
    changed = {name for name, print in one.fingerprints.items() if print != two.fingerprints[name]}
    assert changed == {"serve"}
    assert one.fingerprints["serve"].program == two.fingerprints["serve"].program
    assert none.fingerprints["serve"] not in (one.fingerprints["serve"], two.fingerprints["serve"])
    assert "one" not in repr(one.fingerprints)


@pytest.mark.parametrize("given", GIVEN.values(), ids=GIVEN)
def test_new_secret_may_be_a_variable_of_a_process_whatever_its_form(
    run: Run, monkeypatch: pytest.MonkeyPatch, given: str
) -> None:
    """As an agent's would be: the consumer is one line, and does not ask in which form the spec has it."""

    def plan_with_consumer(loaded: LoadedSpec, network: NetworkFacts, installation: Installation) -> Plan | None:
        plan = build_plan(loaded, network, installation)
        assert plan
        variable = Variable("CLIENT_SECRET", file=installation.paths.secret(CLIENT_SECRET))
        [*others, last] = plan.processes
        return replace(plan, processes=(*others, replace(last, variables=(variable,))))

    monkeypatch.setattr(load, "Spec", FutureSpec)
    monkeypatch.setattr(prepare, "build_plan", plan_with_consumer)
    text = f"login: {{client_secret: {given}}}\n"
    Path("client.secret").write_text("XYZXYZ\n")
    hub = run(text, CLIENT="XYZXYZ")
    write_files(hub)
    last = hub.plan.processes[-1]
    assert resolve_variables(last.variables, {}) == {"CLIENT_SECRET": "XYZXYZ"}, "as the supervisor does at its start"
    assert "XYZ" not in repr(hub)
    Path("client.secret").write_text("ZYXZYX\n")
    other = run(text.replace("XYZXYZ", "ZYXZYX"), CLIENT="ZYXZYX")
    changed = {name for name, print in hub.fingerprints.items() if print != other.fingerprints[name]}
    assert changed == {last.name}


def test_new_secret_that_no_process_reads_is_in_no_file(future: Run) -> None:
    hub = future("notified:\n- {url: u, secret: {env: HOOK}}\n", HOOK="XYZXYZ-of-hook")
    assert "XYZXYZ-of-hook" not in "".join(hub.files.values())
    assert hub.environ == {"HOOK": "XYZXYZ-of-hook"}, "it is resolved again when the spec is"


def test_new_secrets_that_are_not_there_are_faults_at_their_own_lines_all_at_once(future: Run) -> None:
    Path("blank.secret").write_text(" \n")
    text = (
        "web: 0\n"
        "login:\n  client_secret: {file: nowhere.secret}\n"
        "notified:\n"
        "- url: a\n  secret: {env: HOOK}\n"
        "- url: b\n  secret: {file: blank.secret}\n"
        "turn: {external: [{url: 'turn:a', secret: {env: COTURN}}]}\n"
    )
    with pytest.raises(SpecError) as refused:
        future(text)
    assert [(fault.line, fault.key) for fault in refused.value.faults] == [
        (1, "web"),
        (3, "login.client_secret"),
        (6, "notified[0].secret"),
        (8, "notified[1].secret"),
        (9, "turn.external[0]"),
    ]
    assert "hub.yaml:6: notified[0].secret: the environment variable HOOK is not set" in refused.value.message
    assert "hub.yaml:8: notified[1].secret: the secret is empty" in refused.value.message
    assert not os.path.exists("state"), "a spec that is wrong changes nothing"


@pytest.mark.parametrize(
    ("text", "line", "key"),
    [
        ("login: XYZXYZ\n", 1, "login"),
        ("login: {client_secret: {vault: XYZXYZ}}\n", 1, "login.client_secret"),
        ("login: {client_secret: [XYZXYZ]}\n", 1, "login.client_secret"),
        ("login:\n  client_secret:\n", 2, "login.client_secret"),
        ("login:\n  client_secert: XYZXYZ\n", 2, "login.client_secert"),
        ("notified: XYZXYZ\n", 1, "notified"),
        ("notified: [XYZXYZ]\n", 1, "notified[0]"),
        ("notified:\n- url: a\n  secret: {vault: XYZXYZ}\n", 3, "notified[0].secret"),
        ("notified:\n- url: a\n  secert: XYZXYZ\n  secret: x\n", 3, "notified[0].secert"),
        ("notified:\n- url: a\n  secret:\n", 3, "notified[0].secret"),
    ],
)
def test_malformed_new_secret_is_reported_and_not_repeated(future: Run, text: str, line: int, key: str) -> None:
    with pytest.raises(SpecError) as refused:
        future(text)
    assert [(fault.line, fault.key) for fault in refused.value.faults] == [(line, key)]
    assert "XYZ" not in refused.value.message
