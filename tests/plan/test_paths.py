import re

from lkhub.plan.paths import StatePaths, name_credential
from lkhub.source.path import Path


def list_paths(root: str) -> list[str]:
    paths = StatePaths(root)
    fixed = [getattr(paths, name) for name, value in vars(StatePaths).items() if isinstance(value, property)]
    return [*fixed, paths.render("x"), paths.socket("x"), paths.record("x"), paths.log("x")]


def test_everything_is_inside_the_state_directory_and_has_a_place_of_its_own() -> None:
    paths = list_paths("/state")
    assert all(path.startswith("/state/") for path in paths)
    assert len(set(paths)) == len(paths)


def test_no_process_has_a_socket_that_is_the_supervisors() -> None:
    paths = StatePaths("/state")
    assert paths.control not in {paths.socket(name) for name in ("media", "relay", "serve")}


def test_secret_of_the_spec_has_a_file_of_its_own_whatever_its_key() -> None:
    paths = StatePaths("/state")
    places: list[Path] = [
        *(("tls", "account", "mac_key"), ("turn", "external", 0, "secret"), ("turn", "external", 1, "secret")),
        *(("login", "client_secret"), ("agents", 0, "env", "A"), ("agents", 1, "env", "A")),
        *(
            ("env", "a.b", "c"),
            ("env", "a", "b.c"),
            ("env", "../../x"),
            ("env", ".."),
            ("env", "a/b"),
            ("env", "a%2Fb"),
        ),
    ]
    files = [paths.secret(place) for place in places]
    assert files[:4] == [
        "/state/rendered/account.key",
        "/state/rendered/turn-1.secret",
        "/state/rendered/turn-2.secret",
        "/state/rendered/login.client_secret.secret",
    ]
    assert len(set(files)) == len(places)
    assert all(file.rpartition("/")[0] == paths.rendered for file in files)


def test_credential_is_named_after_its_file_alone() -> None:
    files = ["a", "b", "/a", "/b", "./a", "a/b", "/x/a/b", "a_b", "a%b", "a b", "aéb", "/x/100%.secret", "é"]
    names = [name_credential(file) for file in files]
    assert names[:2] == ["a", "b"]
    assert len(set(names)) == len(files)
    assert all(re.fullmatch("[A-Za-z0-9._-]+", name) for name in names)
