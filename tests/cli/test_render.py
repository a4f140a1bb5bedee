import errno
import json
import os
import re
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from lkhub.cli import render
from lkhub.cli.shared import rendered
from lkhub.errors import MachineError
from lkhub.host.files import explain_os_errors, write_private
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


def test_difference_is_shown_and_nothing_written(run: Run) -> None:
    done = run("render", "livekit", "-o", "out", "--diff")
    assert done.code == 1
    assert "+port: 7880" in done.out
    assert not Path("out").exists()
    run("render", "livekit", "-o", "out")
    assert (run("render", "livekit", "-o", "out", "--diff").code) == 0
    Path("hub.yaml").write_text("media: {signal: 7000}\n")
    done = run("render", "livekit", "-o", "out", "--diff")
    assert done.code == 1
    changed = [line for line in done.out.splitlines() if line[:1] in "+-" and line[:3] not in ("+++", "---")]
    assert changed == ["-port: 7880", "+port: 7000"]


@pytest.mark.parametrize("terminal", [True, False])
def test_difference_commands_no_terminal_and_is_whole_for_a_program(
    run: Run, monkeypatch: pytest.MonkeyPatch, terminal: bool
) -> None:
    """Somebody else may have written what is in the folder; and a program that reads it gets what is there."""
    assert run("render", "livekit", "-o", "out").code == 0
    Path("out/livekit.yaml").write_text("\x1b[2Ja\tb\n")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal)
    done = run("render", "livekit", "-o", "out", "--diff")
    assert done.code == 1
    assert ("-\x1b[2Ja\tb\n" in done.out, "-\ufffd[2Ja\tb\n" in done.out) == (not terminal, terminal)


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


AGENT = "agents: [{name: bmo, project: bmo, command: node agent.js}]\n"


@pytest.mark.parametrize(
    ("target", "spec"),
    [("systemd", AGENT), ("systemd", ""), ("compose", AGENT)],
    ids=["units", "a single file", "a compose file"],
)
def test_edit_is_kept_and_named_before_it_is_written_over(run: Run, target: str, spec: str) -> None:
    Path("bmo").mkdir()
    Path("hub.yaml").write_text(f"drain: 10s\n{spec}")
    assert run("render", target, "-o", "out").code == 0
    path = next(each for each in (Path("out/compose.yaml"), Path("out/lkhub.service")) if each.exists())
    for number, edit in ((1, "EDIT-1"), (2, "EDIT-2")):
        path.write_text(f"{path.read_text()}# {edit}\n")
        done = run("render", target, "-o", "out")
        kept = Path(f"{path}.edited{'' if number == 1 else '-2'}")
        assert f"{path} was edited; it is written now, and what was there is kept as {kept}" in " ".join(
            done.err.split()
        )
        assert kept.read_text().endswith(f"# {edit}\n")
        assert edit not in path.read_text()
    # What follows from a changed spec is no edit.
    Path("hub.yaml").write_text(f"drain: 20s\n{spec}")
    done = run("render", target, "-o", "out")
    assert (done.code, "edited" in done.err) == (0, False)
    assert sorted(each.name for each in Path("out").glob("*.edited*")) == [
        f"{path.name}.edited",
        f"{path.name}.edited-2",
    ]


@pytest.mark.parametrize("error", [errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK])
def test_edit_is_kept_where_the_file_system_has_no_hard_links(
    run: Run, monkeypatch: pytest.MonkeyPatch, error: int
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(error, os.strerror(error))

    Path("hub.yaml").touch()
    assert run("render", "systemd", "-o", "out").code == 0
    path = Path("out/lkhub.service")
    monkeypatch.setattr(os, "link", refuse)
    for kept in ("out/lkhub.service.edited", "out/lkhub.service.edited-2"):
        path.write_text(f"# {kept}\n")
        done = run("render", "systemd", "-o", "out")
        assert (done.code, f"kept as {kept}" in " ".join(done.err.split())) == (0, True)
        assert Path(kept).read_text() == f"# {kept}\n"
        assert "[Unit]" in path.read_text()


def test_file_of_an_earlier_version_counts_as_no_edit(run: Run) -> None:
    """Its record has no digests."""
    Path("hub.yaml").touch()
    assert run("render", "compose", "-o", "out").code == 0
    record = Path("out/.lkhub-rendered")
    record.write_text("".join(f"{' '.join(line.split(' ')[:2])}\n" for line in record.read_text().splitlines()))
    Path("out/compose.yaml").write_text("edited")
    done = run("render", "compose", "-o", "out")
    assert (done.code, "edited" in done.err) == (0, False)


def test_edit_that_is_no_text_is_kept_as_it_is(run: Run) -> None:
    Path("hub.yaml").touch()
    assert run("render", "compose", "-o", "out").code == 0
    path = Path("out/compose.yaml")
    edit = path.read_bytes() + "# Müller\n".encode("latin-1")
    path.write_bytes(edit)
    assert run("render", "compose", "-o", "out", "--diff").code == 1
    assert run("render", "compose", "-o", "out").code == 0
    assert Path("out/compose.yaml.edited").read_bytes() == edit


@pytest.mark.parametrize("at", ["compose.yaml", "Dockerfile", ".lkhub-rendered"])
def test_render_that_was_cut_off_makes_no_edit(run: Run, monkeypatch: pytest.MonkeyPatch, at: str) -> None:
    """The disk is full meanwhile."""
    Path("hub.yaml").write_text("drain: 10s\n")
    assert run("render", "compose", "-o", "out").code == 0
    written: list[str] = []

    def fail(path: str, text: str, mode: int, *, place: str) -> bool:
        written.append(os.path.basename(path))
        # The record is written before and after the files.
        if written[-1] == at and (at != ".lkhub-rendered" or written.count(at) == 2):
            raise MachineError("the disk is full")
        return write_private(path, text, mode, place=place)

    Path("hub.yaml").write_text("drain: 20s\n")
    with monkeypatch.context() as patched:
        for module in (render, rendered):
            patched.setattr(module, "write_private", fail)
        assert run("render", "compose", "-o", "out").code == 3
    for drain in (30, 10):
        Path("hub.yaml").write_text(f"drain: {drain}s\n")
        done = run("render", "compose", "-o", "out")
        assert (done.code, "edited" in done.err) == (0, False)


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


def test_file_that_is_none_of_lkhubs_is_kept(run: Run) -> None:
    """A project may have a Dockerfile of its own."""
    Path("hub.yaml").touch()
    Path("Dockerfile").write_text("FROM scratch\n")
    done = run("render", "compose", "-o", ".")
    assert done.code == 0
    assert "Dockerfile was there, and nothing says that lkhub wrote it" in " ".join(done.err.split())
    assert Path("Dockerfile.edited").read_text() == "FROM scratch\n"
    assert "edited" not in run("render", "compose", "-o", ".").err


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


def test_permissions_that_differ_are_a_difference(run: Run) -> None:
    Path("hub.yaml").touch()
    assert run("render", "compose", "-o", "out").code == 0
    mode = Path("out/lkhub.sh").stat().st_mode & 0o777
    Path("out/lkhub.sh").chmod(0o600)
    done = run("render", "compose", "-o", "out", "--diff")
    assert (done.code, done.out) == (1, f"out/lkhub.sh: old mode 0600\nout/lkhub.sh: new mode {mode:04o}\n")
    assert run("render", "compose", "-o", "out").code == 0
    assert (run("render", "compose", "-o", "out", "--diff").code, Path("out/lkhub.sh").stat().st_mode & 0o777) == (
        0,
        mode,
    )


@pytest.mark.parametrize("umask", [0o022, 0o002, 0o077])
@pytest.mark.parametrize(
    "typed", [("compose",), ("firewall",), ("kubernetes",), ("systemd",), ("nixos",), ("proxy",)], ids=" ".join
)
def test_checkout_of_git_is_no_difference(run: Run, typed: tuple[str, ...], umask: int) -> None:
    """Of the permissions, git keeps whether a file can be run, and the umask decides on the rest."""
    domain = "domain: a.example.com\n" if typed == ("proxy",) else ""
    tls = "{mode: external}" if domain else "{mode: off}"
    Path("hub.yaml").write_text(f"reach: lan\n{domain}tls: {tls}\n")
    assert run("render", *typed, "-o", "out").code == 0
    for path in Path("out").rglob("*"):
        if path.is_file():
            path.chmod((0o777 if path.stat().st_mode & 0o100 else 0o666) & ~umask)
    done = run("render", *typed, "-o", "out", "--diff")
    assert (done.code, done.out) == (0, "")


@pytest.mark.parametrize(
    ("target", "mode", "told"),
    [
        ("livekit", 0o600, False),
        ("livekit", 0o400, False),
        ("livekit", 0o640, True),
        ("livekit", 0o604, True),
        ("livekit", 0o700, True),
        ("systemd", 0o600, False),
        ("systemd", 0o666, False),
        ("systemd", 0o755, True),
    ],
)
def test_file_that_others_may_read_is_a_difference_where_it_is_private(
    run: Run, target: str, mode: int, told: bool
) -> None:
    assert run("render", target, "-o", "out").code == 0
    [path] = [each for each in Path("out").iterdir() if not each.name.startswith(".")]
    path.chmod(mode)
    done = run("render", target, "-o", "out", "--diff")
    assert (done.code, f"{path}: old mode {mode:04o}\n" in done.out) == (int(told), told)


def test_file_that_is_kept_has_the_rights_that_it_had(run: Run) -> None:
    """It may hold a secret, or be a link to one that its owner may not read."""
    Path("hub.yaml").touch()
    Path("out").mkdir()
    Path("out/compose.yaml").write_text("password: secret\n")
    Path("out/compose.yaml").chmod(0o600)
    Path("secret").write_text("secret")
    Path("out/Dockerfile").symlink_to("../secret")
    Path("out/Dockerfile.edited").write_text("earlier")
    assert run("render", "compose", "-o", "out").code == 0
    kept = Path("out/compose.yaml.edited")
    assert (kept.read_text(), kept.stat().st_mode & 0o777) == ("password: secret\n", 0o600)
    assert Path("out/Dockerfile.edited").read_text() == "earlier"
    [link] = [each for each in Path("out").iterdir() if each.is_symlink()]
    assert (link.name, os.readlink(link)) == ("Dockerfile.edited-2", "../secret")
    assert not Path("out/Dockerfile").is_symlink()


def test_end_of_a_file_without_a_line_feed_is_shown(run: Run) -> None:
    Path("hub.yaml").touch()
    assert run("render", "compose", "-o", "out").code == 0
    Path("out/.dockerignore").write_text("x")
    done = run("render", "compose", "-o", "out", "--diff")
    assert "-x\n\\ No newline at end of file\n+" in done.out
