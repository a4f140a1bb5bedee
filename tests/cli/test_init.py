import errno
import os
from pathlib import Path

import pytest

from lkhub.plan.build import build_plan
from lkhub.plan.model import Plan
from lkhub.spec.load import load_spec
from lkhub.spec.ports import PortRange
from tests.cli.conftest import Run
from tests.machines import INSTALLATION, MACHINES


@pytest.mark.parametrize("reach", ["local", "lan"])
def test_first_spec_is_written_and_sound(run: Run, reach: str) -> None:
    done = run("init", "--reach", reach, "--name", "my-hub")
    assert (done.code, done.out) == (0, "")
    spec = load_spec(Path("hub.yaml").read_bytes()).require_sound()
    assert (spec.reach, spec.name) == (reach, "my-hub")


def plan_written(machine: str) -> Plan:
    """The plan of the spec that was written, on that machine."""
    loaded = load_spec(Path("hub.yaml").read_bytes())
    plan = build_plan(loaded, MACHINES[machine], INSTALLATION)
    assert loaded.faults == []
    assert plan is not None
    return plan


def test_public_hub_needs_a_name_and_says_how(run: Run) -> None:
    for arguments in ((), ("--domain", "")):
        done = run("init", "--reach", "public", *arguments)
        assert (done.code, done.out) == (2, "")
        assert "--reach public needs --domain" in done.err
        assert "add `--domain rtc.example.com`" in done.err
    assert not Path("hub.yaml").exists()


def test_public_hub_is_written_with_its_name_and_says_what_its_certificate_costs(run: Run) -> None:
    done = run("init", "--reach", "public", "--domain", "RTC.example.com")
    assert done.code == 0
    assert "\nnote: the certificate comes from Let's Encrypt" in done.err
    assert "native applications not for TURN over TLS" in done.err
    assert "tls.email" in done.err, "and what to do about it"
    assert plan_written("vps").urls.web == "https://rtc.example.com"


def test_issuer_is_no_matter_where_none_is_asked(run: Run) -> None:
    assert "certificate" not in run("init", "--reach", "lan", "--domain", "hub.example.com").err
    assert plan_written("laptop").urls.web == "https://hub.example.com"


@pytest.mark.parametrize(
    "domain", ["https://rtc.example.com", "localhost", "192.168.1.5", "a b.example.com", "a.b: c", "*.x.com", "#x"]
)
def test_domain_that_is_none_is_refused_and_nothing_is_written(run: Run, domain: str) -> None:
    done = run("init", "--reach", "public", "--domain", domain)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("error: --domain: ")
    assert not Path("hub.yaml").exists()


@pytest.mark.parametrize(
    ("arguments", "machine"),
    [
        (("--reach", "public", "--domain", "rtc.example.com"), "vps-v4"),
        (("--reach", "lan"), "laptop"),
    ],
)
def test_single_port_hub_opens_443_and_nothing_else(run: Run, arguments: tuple[str, ...], machine: str) -> None:
    assert run("init", "--single-port", *arguments).code == 0
    plan = plan_written(machine)
    open_to_others = {(listener.protocol, listener.ports) for listener in plan.listeners if listener.client_facing}
    assert open_to_others == {("tcp", PortRange(443, 443)), ("udp", PortRange(443, 443))}
    assert plan.probes == ("udp", "turn-tls")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a link of another user")
@pytest.mark.parametrize("how", [(), ("--force",)], ids=str)
@pytest.mark.parametrize("link", ["all/hub.yaml", "all/a"])
def test_link_of_another_user_does_not_choose_what_is_written_over(run: Run, link: str, how: tuple[str, ...]) -> None:
    Path("all").mkdir()
    Path("all").chmod(0o1777)
    Path("root").mkdir()
    Path(link).symlink_to("../root/hub.yaml" if link.endswith(".yaml") else "../root")
    os.lchown(link, 65534, 65534)
    done = run("init", "--spec", "all/hub.yaml" if link.endswith(".yaml") else f"{link}/hub.yaml", *how)
    assert (done.code, f"{Path(link).absolute()} is a link that nobody has made" in done.err) == (2, True)
    assert os.listdir("root") == []


@pytest.mark.parametrize("fails", ["exists", "write_text"])
@pytest.mark.parametrize(
    ("error", "hint"),
    [
        (errno.EROFS, "choose another place with --spec FILE"),
        (errno.EACCES, "choose a folder of your own with --spec FILE"),
    ],
)
def test_place_that_can_not_be_written_is_chosen_by_its_option(
    run: Run, monkeypatch: pytest.MonkeyPatch, fails: str, error: int, hint: str
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(error, os.strerror(error))

    monkeypatch.setattr(Path, fails, refuse)
    done = run("init")
    assert (done.code, hint in done.err, "--state" in done.err) == (3, True, False)


def test_single_port_is_for_hubs_that_others_reach(run: Run) -> None:
    done = run("init", "--single-port")
    assert done.code == 2
    assert "--reach lan" in done.err
    assert not Path("hub.yaml").exists()


def test_reach_that_there_is_not_is_refused(run: Run) -> None:
    assert run("init", "--reach", "world").code == 2
    assert not Path("hub.yaml").exists()


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
    "name",
    ["Bad Name", "", "yes\nreach: lan", "a: b", "-a", "é", "~", "#x", "hub # prod", "*all", "a\udcffb", "\x7f"],
)
def test_name_that_no_hub_can_have_is_refused_and_nothing_is_written(run: Run, name: str) -> None:
    done = run("init", "--name", name)
    assert (done.code, done.err.startswith("error: --name: ")) == (2, True)
    assert not Path("hub.yaml").exists()


@pytest.mark.parametrize("name", ["a", "true-hub", "no", "hub-1", "null", "123", "0x10", "1e3", "yes"])
def test_name_that_a_hub_can_have_is_in_the_spec(run: Run, name: str) -> None:
    assert run("init", "--name", name).code == 0
    assert load_spec(Path("hub.yaml").read_bytes()).require_sound().name == name


def test_folder_that_is_not_there_is_exit_3(run: Run) -> None:
    assert run("init", "--spec", "nowhere/hub.yaml").code == 3


@pytest.mark.parametrize(
    ("options", "command"), [((), "lkhub up"), (("--spec", "a b.yaml"), "lkhub up --spec 'a b.yaml'")]
)
def test_command_that_is_named_takes_the_spec_that_was_written(
    run: Run, options: tuple[str, ...], command: str
) -> None:
    assert f"; `{command}` makes it run" in run("init", *options).err


def test_file_that_cannot_be_looked_for_is_named(run: Run) -> None:
    """As one in a folder of another user."""
    path = "/tmp/" + "a" * 300
    done = run("init", "--spec", path)
    assert (done.code, done.out) == (3, "")
    assert f"can't look for {path}: file name too long" in done.err


@pytest.mark.parametrize(
    ("given", "blamed"),
    [
        (("--name", "a b"), ["--name"]),
        (("--name", ""), ["--name"]),
        (("--domain", "a b"), ["--domain"]),
        (("--name", "A", "--domain", "http://a"), ["--name", "--domain"]),
    ],
    ids=str,
)
def test_wrong_value_is_blamed_on_its_option_and_on_no_line_that_was_not_written(
    run: Run, given: tuple[str, ...], blamed: list[str]
) -> None:
    for more in ((), ("--spec", "other.yaml")):
        done = run("init", "--reach", "lan", *given, *more)
        assert (done.code, list(Path().iterdir())) == (2, [])
        assert all(f"{option}: " in done.err for option in blamed), done.err
        assert ".yaml" not in done.err


@pytest.mark.parametrize("force", [(), ("--force",)], ids=str)
def test_folder_is_no_spec(run: Run, force: tuple[str, ...]) -> None:
    Path("my hub").mkdir()
    done = run("init", "--spec", "my hub", *force)
    assert (done.code, "my hub is a folder" in done.err) == (2, True)
    assert run("init", "--spec", "my hub/hub.yaml").code == 0
    assert "`--spec 'my hub/hub.yaml'`" in done.err
