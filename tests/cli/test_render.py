import errno
import json
import os
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from lkhub.cli import render
from lkhub.cli.shared import rendered
from lkhub.host.files import explain_os_errors
from lkhub.plan.paths import StatePaths
from tests.cli.conftest import Run, list_owners


def test_livekit_yaml_is_written_without_a_secret(run: Run, paths: StatePaths) -> None:
    done = run("render", "livekit", "-o", "out/deep")
    assert (done.code, done.out) == (0, "")
    assert "out/deep/livekit.yaml: written" in done.err
    text = Path("out/deep/livekit.yaml").read_text()
    assert YAML(typ="safe", pure=True).load(text)["key_file"] == paths.keys
    assert Path(paths.managed_keys).read_text().split('"')[3] not in text
    assert sorted(os.listdir("out/deep")) == [".lkhub-rendered", "livekit.yaml"]
    assert "unchanged" in run("render", "livekit", "-o", "out/deep").err


@pytest.mark.skipif(os.geteuid() != 0, reason="only root acts as others")
def test_root_renders_for_a_service_as_the_services_user(
    run: Run, paths: StatePaths, give_away: Callable[[StatePaths], None]
) -> None:
    Path(paths.root).mkdir(mode=0o700)
    give_away(paths)
    done = run("render", "livekit", "-o", "out")
    assert (done.code, done.out) == (0, ""), done.err
    assert list_owners(paths) == {65534}
    assert Path("out/livekit.yaml").stat().st_uid == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may act as others")
@pytest.mark.parametrize("where", ["named", "in the current folder"])
def test_spec_that_the_hubs_user_cannot_read_is_not_taken_for_none(
    run: Run,
    paths: StatePaths,
    tmp_path: Path,
    give_away: Callable[[StatePaths], None],
    monkeypatch: pytest.MonkeyPatch,
    where: str,
) -> None:
    """As in /root, which other users can't enter: os.path.exists says that there is no file."""
    Path(paths.root).mkdir(mode=0o700)
    give_away(paths)
    closed = tmp_path / "root"
    closed.mkdir(mode=0o700)
    (closed / "hub.yaml").write_text("service: {port: 9999}\n")
    named = ["--spec", str(closed / "hub.yaml")]
    if where != "named":
        monkeypatch.chdir(closed)
        named = []
    done = run("render", "livekit", *named)
    assert (done.code, done.out) == (2, "")
    assert f"nobody can't read {closed}/hub.yaml, and this runs as nobody, who owns {paths.root}" in done.err


def test_without_a_folder_the_file_is_on_stdout_and_nothing_else_is(run: Run) -> None:
    done = run("render", "livekit")
    assert (done.code, done.err) == (0, "")
    assert YAML(typ="safe", pure=True).load(done.out)["port"] == 7880
    refused = run("render", "livekit", "--diff")
    assert (refused.code, refused.out) == (2, "")
    assert "-o DIR is missing" in refused.err


def test_hint_at_a_folder_repeats_what_was_typed_and_works(run: Run) -> None:
    Path("a b.yaml").write_text("reach: lan\n")
    for typed, told in (
        (("cloud-init", "--spec", "a b.yaml", "--diff"), "compares with"),
        (("kubernetes", "--spec=a b.yaml"), "writes into"),
        (("firewall", "--format", "nftables", "--diff", "--spec", "a b.yaml"), "compares with"),
    ):
        hint = re.search(rf"`lkhub (.*)` {told} this folder", run("render", *typed).err)
        assert hint, typed
        words = shlex.split(hint[1])
        assert words == ["render", *typed, "-o", "."]
        assert run(*words).code == ("--diff" in typed)


@pytest.mark.parametrize("how", [(), ("--diff",)], ids=str)
@pytest.mark.parametrize("target", ["livekit", "firewall", "compose", "kubernetes", "nixos"])
def test_folder_in_the_place_of_a_file_is_named_with_all_others_and_nothing_is_written(
    run: Run, target: str, how: tuple[str, ...]
) -> None:
    Path("hub.yaml").write_text("reach: lan\n")
    assert run("render", target, "-o", "right").code == 0
    names = [str(path.relative_to("right")) for path in Path("right").rglob("*") if path.is_file()]
    for name in names:
        Path("out", name).mkdir(parents=True)
    done = run("render", target, "-o", "out", *how)
    assert (done.code, done.out) == (2, "")
    for name in names:
        assert f"out/{name} is a folder, and a file belongs there" in done.err
    assert not [path for path in Path("out").rglob("*") if path.is_file()]


@pytest.mark.parametrize("how", [(), ("--diff",)], ids=str)
def test_file_in_the_place_of_a_folder_is_named(run: Run, how: tuple[str, ...]) -> None:
    Path("hub.yaml").write_text("reach: lan\n")
    Path("out").mkdir()
    Path("out/host-network").touch()
    done = run("render", "kubernetes", "-o", "out", *how)
    assert (done.code, done.err.count("out/host-network is not a folder")) == (2, 1)
    assert os.listdir("out") == ["host-network"]


def test_caddy_json_is_what_the_edge_gets(run: Run, paths: StatePaths) -> None:
    Path("hub.yaml").write_text("tls: {mode: internal, listen: 8443}\n")
    done = run("render", "caddy")
    assert (done.code, done.err) == (0, "")
    rendered = json.loads(done.out)
    assert rendered["apps"]["layer4"]["servers"]["edge"]["listen"] == ["bounded/127.0.0.1:8443"]
    [authority] = rendered["apps"]["pki"]["certificate_authorities"].values()
    assert authority["root"]["private_key"] == paths.ca_key
    assert not Path(paths.ca_key).exists(), "no root is made for a hub that is only looked at"
    assert run("render", "caddy", "-o", "out").code == 0
    assert sorted(os.listdir("out")) == [".lkhub-rendered", "caddy.json"]


def test_hub_without_an_edge_has_no_caddy_json(run: Run) -> None:
    done = run("render", "caddy", "-o", "out")
    assert (done.code, done.out) == (2, "")
    assert "tls.mode off" in done.err
    assert "hint: write tls.mode: internal, acme, files, tailscale or external" in done.err
    assert not Path("out").exists()


def test_file_that_others_fill_is_kept(run: Run) -> None:
    Path("hub.yaml").write_text("agents: [{name: bmo, image: a}]\n")
    assert "agent-bmo.env: written" in run("render", "compose", "-o", "out").err
    assert os.stat("out/agent-bmo.env").st_mode & 0o777 == 0o600
    Path("out/agent-bmo.env").write_text("LIVEKIT_API_KEY=a\n")
    assert "agent-bmo.env: kept" in run("render", "compose", "-o", "out").err
    assert Path("out/agent-bmo.env").read_text() == "LIVEKIT_API_KEY=a\n"
    assert os.stat("out/agent-bmo.env").st_mode & 0o777 == 0o600
    done = run("render", "compose", "-o", "out", "--diff")
    assert (done.code, done.out) == (0, "")


def test_image_is_refused_with_what_works_and_nothing_is_written(run: Run) -> None:
    Path("hub.yaml").write_text("agents: [{name: bmo, image: a}]\n")
    for target in ("systemd", "launchd", "nixos", "cloud-init"):
        done = run("render", target, "-o", "out")
        assert (done.code, done.out) == (2, "")
        assert "agents[0].image" in done.err
        assert "lkhub render compose" in done.err
    done = run("up", "--no-verify")
    assert done.code == 2
    assert "hub.yaml:1: agents[0].image: an agent that is an image needs a hub in containers" in done.err
    assert not os.path.exists("out")


@pytest.mark.parametrize("output", ["/proc/nowhere", "hub.txt/x"])
def test_folder_that_cannot_be_is_exit_3(run: Run, output: str) -> None:
    Path("hub.txt").write_text("")
    done = run("render", "livekit", "-o", output)
    assert (done.code, done.out) == (3, "")
    assert "bug" not in done.err


PROJECT = "agents: [{name: bmo, project: a, command: x}, {name: eve, project: a, command: x}]\n"
IMAGE = "agents: [{name: bmo, image: a}, {name: eve, image: a}]\n"
PUBLIC = "reach: public\ndomain: a.example.com\ntls: {mode: acme}\n"


@pytest.mark.parametrize(
    ("target", "spec", "left"),
    [
        ("systemd", PROJECT, ["lkhub-agent-eve.service"]),
        ("compose", IMAGE, ["agent-eve.env"]),
        (
            "kubernetes",
            PUBLIC + IMAGE,
            [
                f"{network}/{folder}{name}"
                for network in ("host-network", "load-balancer")
                for folder in ("", "chart/templates/")
                for name in ("agent-eve.yaml",)
            ],
        ),
    ],
)
def test_file_that_no_longer_belongs_is_named_and_stays(run: Run, target: str, spec: str, left: list[str]) -> None:
    Path("a").mkdir()
    Path("hub.yaml").write_text(spec)
    first = run("render", target, "-o", "out")
    assert (first.code, "any more" in first.err) == (0, False), first.err
    Path("out/agent-of-others.service").touch()
    assert run("render", target, "-o", "out", "--diff").code == 0
    before = list_files()

    Path("hub.yaml").write_text(spec.replace(", {name: eve", "]\n#"))
    shown = run("render", target, "-o", "out", "--diff")
    assert (shown.code, list_named(shown.err)) == (1, left)
    for _ in range(2):
        again = run("render", target, "-o", "out")
        assert (again.code, list_named(again.err)) == (0, left)
        assert list_files() == before
    for name in left:
        Path("out", name).unlink()
    assert list_named(run("render", target, "-o", "out").err) == []
    assert run("render", target, "-o", "out", "--diff").code == 0


def list_files() -> list[str]:
    return sorted(str(path) for path in Path("out").rglob("*"))


def list_named(text: str) -> list[str]:
    """The files that are said not to belong any more."""
    lines = [line for line in text.splitlines() if "does not follow from the spec any more" in line]
    return sorted(line.removeprefix("note: out/").split(" ")[0] for line in lines)


def test_files_of_another_target_or_form_belong(run: Run) -> None:
    for arguments in (
        ("systemd",),
        ("compose",),
        ("firewall", "--format", "ufw"),
        ("firewall", "--format", "aws"),
        ("firewall",),
    ):
        done = run("render", *arguments, "-o", "out")
        assert (done.code, list_named(done.err)) == (0, []), done.err
    assert list_named(run("render", "systemd", "-o", "out").err) == []


@pytest.mark.parametrize("record", ["systemd /etc/passwd\nsystemd ../hub.yaml\nsystemd gone\nsystemd\n", "\0\n", ""])
def test_record_of_others_names_nothing_outside_the_folder(run: Run, record: str) -> None:
    Path("hub.yaml").touch()
    Path("out").mkdir()
    Path("out/.lkhub-rendered").write_text(record)
    done = run("render", "systemd", "-o", "out")
    assert (done.code, list_named(done.err)) == (0, [])


@pytest.mark.parametrize("name", ["-rf", "`id`", "a\x1b[2J", "a\u202eb"])
def test_record_of_others_names_no_file_that_would_forge_a_hint(run: Run, name: str) -> None:
    Path("hub.yaml").touch()
    Path("out").mkdir()
    Path("out", name).touch()
    Path("out/.lkhub-rendered").write_text(f"systemd {name}\n")
    done = run("render", "systemd", "-o", "out")
    assert (done.code, "any more" in done.err, name in done.err) == (0, False, False)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a link of another user")
@pytest.mark.parametrize("how", [(), ("--diff",)], ids=str)
@pytest.mark.parametrize(
    ("output", "link"),
    [
        ("all/out", "all/out"),
        ("all/out/deep", "all/out"),
        ("all", "all/host-network"),
        ("all", "all/host-network/service.yaml"),
        ("all", "all/.lkhub-rendered"),
    ],
)
def test_link_of_another_user_does_not_choose_what_is_written_over(
    run: Run, output: str, link: str, how: tuple[str, ...]
) -> None:
    """Everybody may write in a folder such as /tmp."""
    Path("hub.yaml").write_text("reach: lan\n")
    for folder in (Path(link).parent, Path("root")):
        folder.mkdir(parents=True)
    Path(link).parent.chmod(0o1777)
    Path(link).symlink_to(Path("root").absolute())
    os.lchown(link, 65534, 65534)
    done = run("render", "kubernetes", "-o", output, *how)
    assert (done.code, done.out) == (2, "")
    assert f"{Path(link).absolute()} is a link that nobody has made to " in done.err
    assert os.listdir("root") == []
    os.lchown(link, 0, 0)
    if "." not in Path(link).name:
        assert run("render", "kubernetes", "-o", output).code == 0
        assert os.listdir("root") != []


@pytest.mark.parametrize("option", [(), ("--diff",)])
def test_file_in_place_of_the_folder_is_exit_2(run: Run, option: tuple[str, ...]) -> None:
    Path("hub.yaml").touch()
    done = run("render", "compose", "-o", "hub.yaml", *option)
    assert (done.code, "hub.yaml is not a folder" in done.err) == (2, True)
    assert Path("hub.yaml").read_text() == ""


def test_folder_that_may_not_be_written_is_named_by_its_option(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("hub.yaml").touch()

    def refuse(path: str, *_: Any, place: str) -> bool:
        with explain_os_errors(path, "write", place):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))
        return False

    for module in (render, rendered):
        monkeypatch.setattr(module, "write_private", refuse)
    done = run("render", "compose", "-o", "out")
    assert (done.code, "choose another place with -o DIR" in done.err) == (3, True)


UNITS = {"systemd", "nixos", "launchd", "cloud-init"}
SPEC = "reach: lan\nagents:\n"


@pytest.mark.parametrize("target", sorted(UNITS))
def test_agents_that_are_images_are_faults_where_no_container_runs(run: Run, target: str) -> None:
    Path("hub.yaml").write_text(
        f"{SPEC}- {{name: bmo, image: a}}\n- {{name: code, project: a}}\n- {{name: c, image: b}}\n"
    )
    done = run("render", target, "-o", "out")
    assert (done.code, os.path.exists("out")) == (2, False)
    said = " ".join(done.err.split())
    for place in ("hub.yaml:3: agents[0].image", "hub.yaml:5: agents[2].image"):
        assert f"{place}: an agent that is an image needs a hub in containers" in said
    assert "agents[1]" not in said
    assert "`lkhub render compose`" in said


def test_agents_that_are_projects_are_faults_in_kubernetes(run: Run) -> None:
    Path("hub.yaml").write_text(f"{SPEC}- {{name: bmo, image: a}}\n- {{name: code, project: a}}\n")
    done = run("render", "kubernetes", "-o", "out")
    assert (done.code, os.path.exists("out")) == (2, False)
    assert "hub.yaml:4: agents[1].project: in Kubernetes an agent is an image" in done.err
    assert "write image: NAME in place of project" in done.err


def test_no_kind_of_agent_is_a_fault_elsewhere(run: Run) -> None:
    Path("hub.yaml").write_text(f"{SPEC}- {{name: bmo, image: a}}\n- {{name: code, project: a}}\n")
    assert {run("render", target, "-o", "out").code for target in ("compose", "firewall")} == {0}


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["-o", "."], ""),
        (["-o", "docker"], "there is no hub.yaml in docker"),
        (["-o", "other"], "other/hub.yaml is another spec than the rendered one"),
        (["-o", "copy"], ""),
        (["-o", "docker", "--spec", "my.yaml"], "there is no hub.yaml in docker"),
        (["-o", ".", "--spec", "my.yaml"], "hub.yaml is another spec than the rendered one"),
    ],
    ids=" ".join,
)
def test_compose_file_that_is_not_beside_its_spec_is_told(run: Run, arguments: list[str], told: str) -> None:
    """The container sees the folder of the compose file alone. Without a spec there, it is another hub: one with
    defaults, which is healthy, and which no client reaches."""
    for name, text in (
        ("hub.yaml", "reach: lan"),
        ("my.yaml", "name: my"),
        ("other/hub.yaml", ""),
        ("copy/hub.yaml", "reach: lan"),
    ):
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_text(f"{text}\n")
    done = run("render", "compose", *arguments)
    assert (done.code, done.out) == (0, "")
    assert ("warning:" in done.err, told in done.err) == (bool(told), True), done.err
    assert ("-o takes the folder of the spec" in done.err) == bool(told)


def test_compose_file_of_a_hub_without_a_spec_needs_none(run: Run) -> None:
    assert "warning" not in run("render", "compose", "-o", "docker").err
