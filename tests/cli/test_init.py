from pathlib import Path

import pytest

from lkhub.spec.load import load_spec
from tests.cli.conftest import Run


@pytest.mark.parametrize("reach", ["local", "lan"])
def test_first_spec_is_written_and_sound(run: Run, reach: str) -> None:
    done = run("init", "--reach", reach, "--name", "my-hub")
    assert (done.code, done.out) == (0, "")
    spec = load_spec(Path("hub.yaml").read_bytes()).require_sound()
    assert (spec.reach, spec.name) == (reach, "my-hub")


def test_spec_may_be_written_elsewhere(run: Run) -> None:
    assert run("init", "--spec", "other.yaml").code == 0
    assert Path("other.yaml").exists()
    assert not Path("hub.yaml").exists()


def test_spec_that_is_there_is_kept(run: Run) -> None:
    Path("hub.yaml").write_text("name: mine\n")
    done = run("init")
    assert done.code == 2
    assert "--force" in done.err
    assert Path("hub.yaml").read_text() == "name: mine\n"
    assert run("init", "--force").code == 0
    assert Path("hub.yaml").read_text() != "name: mine\n"


@pytest.mark.parametrize(
    "name", ["Bad Name", "", "null", "123", "yes\nreach: lan", "a: b", "-a", "é", "~", "0x10", "1e3"]
)
def test_name_that_no_hub_can_have_is_refused_and_nothing_is_written(run: Run, name: str) -> None:
    assert run("init", "--name", name).code == 2
    assert not Path("hub.yaml").exists()


@pytest.mark.parametrize("name", ["a", "true-hub", "no", "hub-1"])
def test_name_that_a_hub_can_have_is_in_the_spec(run: Run, name: str) -> None:
    assert run("init", "--name", name).code == 0
    assert load_spec(Path("hub.yaml").read_bytes()).require_sound().name == name


def test_folder_that_is_not_there_is_exit_3(run: Run) -> None:
    assert run("init", "--spec", "nowhere/hub.yaml").code == 3
