"""Web sites that a hub builds at `up`."""

import base64
import json
import os
import re
import ssl
import textwrap
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
import pytest

from lkhub.plan.paths import StatePaths
from lkhub.plan.users import FIRST_UID
from lkhub.state.site_build import find_site_build, write_site_build
from tests.kit.hub import Hub, free_ports, make_hub
from tests.kit.ports import free_port
from tests.waiting import wait_until

# What a bundler does, without one.
BUILD = """
    set -eu
    [ ! -e fail ] || { echo "src/main.ts: Unexpected token"; exit 3; }
    mkdir -p dist/assets
    printf '<!doctype html><title>%s</title>' "$(cat title)" > dist/index.html
    printf 'const url = "%s", token = "%s"' "$VITE_LIVEKIT_URL" "$VITE_LIVEKIT_TOKEN" > dist/assets/index-CdE4fGh1.js
    { id -u; pwd; env; ls -A; } > dist/seen.txt 2>&1
    { cat "$KEYS"; cat "$SPEC"; ls "$STATE"; } > dist/stolen.txt 2>&1 || true
    echo "building with $VITE_LIVEKIT_TOKEN"
    """


@dataclass(frozen=True)
class Project:
    """A hub with a site that is built from `folder`."""

    hub: Hub
    port: int

    @property
    def folder(self) -> Path:
        return self.hub.folder / "frontend"

    def write_spec(self, command: str = "sh build.sh") -> None:
        state = self.hub.state
        self.hub.write_spec(
            self.hub.tls_lines
            + textwrap.dedent(f"""
            sites:
              - name: bmo
                root: frontend/dist
                port: {self.port}
                build: {command}
                env:
                  VITE_LIVEKIT_URL: {{url: livekit}}
                  VITE_LIVEKIT_TOKEN: {{token: {{room: bmo-room, identity: bmo-user, ttl: 30d}}}}
                  KEYS: {state}/keys.yaml
                  SPEC: {self.hub.spec}
                  STATE: {state}
            """)
        )

    def up(self) -> tuple[int, str]:
        done = self.hub.run("up", "--detach", "--no-verify")
        return done.returncode, done.stderr + done.stdout

    def get(self, path: str) -> httpx.Response:
        context = ssl.create_default_context(cafile=self.hub.state / "ca" / "root.crt")
        return httpx.get(f"https://127.0.0.1:{self.port}{path}", verify=context, trust_env=False)

    @property
    def token(self) -> str:
        found = re.search(r'token = "(.*)"', self.get("/assets/index-CdE4fGh1.js").text)
        assert found
        return found[1]

    @property
    def claims(self) -> dict[str, object]:
        payload = self.token.split(".")[1]
        return json.loads(base64.urlsafe_b64decode(payload + "=="))  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def project() -> Iterator[Project]:
    with make_hub(ports=free_ports()) as hub:
        made = Project(hub, free_port())
        made.folder.mkdir()
        (made.folder / "build.sh").write_text(textwrap.dedent(BUILD))
        (made.folder / "title").write_text("one")
        made.write_spec()
        code, said = made.up()
        assert code == 0, said
        yield made


@pytest.fixture
def built_anew(project: Project) -> Iterator[Project]:
    """A test that leaves the project as it was."""
    yield project
    (project.folder / "fail").unlink(missing_ok=True)
    project.write_spec()
    assert project.up()[0] == 0


def test_up_returns_when_the_site_is_built_and_served(project: Project) -> None:
    assert "<title>one" in project.get("/").text
    assert project.hub.status()["hub"]["state"] == "running"
    assert f'url = "wss://127.0.0.1:{project.hub.ports["https"]}"' in project.get("/assets/index-CdE4fGh1.js").text
    assert not (project.folder / "dist").exists(), "the project itself is left as it is"


def test_token_in_the_site_is_the_one_that_the_spec_says(project: Project) -> None:
    claims = project.claims
    assert claims["sub"] == "bmo-user"
    assert claims["video"]["room"] == "bmo-room"  # type: ignore[index]
    assert 0 <= float(str(claims["exp"])) - time.time() - 30 * 86400 + 60 <= 60
    listed = project.hub.run("keys", "list", "--json").stdout
    assert "VITE_LIVEKIT_TOKEN" in listed


def test_token_is_in_no_log_no_record_and_no_command_line(project: Project) -> None:
    token = project.token
    log = project.hub.log("site-bmo")
    assert "building with [VITE_LIVEKIT_TOKEN]" in log
    for path in project.hub.state.rglob("*"):
        if path.is_file() and "files-" not in str(path):
            assert token.encode() not in path.read_bytes(), path


def test_build_knows_what_it_is_told_and_nothing_else(project: Project) -> None:
    seen = project.get("/seen.txt").text
    names = set(re.findall(r"^([A-Z_]+)=", seen, re.MULTILINE))
    allowed = {"PATH", "HOME", "TMPDIR", "PWD", "OLDPWD", "SHLVL", "_", "LANG", "TZ", "SSL_CERT_FILE", "SSL_CERT_DIR"}
    assert names - allowed - {"LC_ALL", "LC_CTYPE"} == {
        "VITE_LIVEKIT_URL",
        "VITE_LIVEKIT_TOKEN",
        "KEYS",
        "SPEC",
        "STATE",
    }


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can build as another user")
def test_build_of_root_is_another_user_who_reads_none_of_the_hubs_secrets(project: Project) -> None:
    assert int(project.get("/seen.txt").text.splitlines()[0]) >= FIRST_UID
    stolen = project.get("/stolen.txt").text
    assert stolen.count("Permission denied") == 3, stolen
    assert "reach" not in stolen
    assert not [finding for finding in project.hub.status()["findings"] if finding["code"] == "site-build-not-apart"]


def test_nothing_of_a_build_is_left_beside_the_site(project: Project) -> None:
    folder = project.hub.state / "sites/bmo"
    assert sorted(re.sub("-.*", "", name) for name in os.listdir(folder)) == ["build.json", "current", "files"]
    assert not list(Path("/var/tmp").glob("lkhub-bmo-*"))


def test_site_is_built_again_when_something_has_changed_and_only_then(built_anew: Project) -> None:
    project = built_anew
    before, token = project.hub.log("site-bmo"), project.token
    assert project.up()[0] == 0
    assert project.hub.log("site-bmo") == before
    (project.folder / "title").write_text("two")
    assert project.up()[0] == 0
    assert "<title>two" in project.get("/").text
    assert project.token != token


def test_failed_build_leaves_the_site_and_says_why(built_anew: Project) -> None:
    project = built_anew
    shown = project.get("/").text
    (project.folder / "fail").touch()
    code, said = project.up()
    assert code == 1
    assert "the site bmo was not built: it ended with exit code 3" in said
    assert "src/main.ts: Unexpected token" in said
    assert project.get("/").text == shown
    finding = next(each for each in project.hub.findings() if each["code"] == "site-build-failed")
    assert finding["severity"] == "error"
    assert project.hub.run("status").returncode == 1
    (project.folder / "fail").unlink()
    assert project.up()[0] == 0
    assert project.hub.findings() == []


def test_build_whose_end_can_not_be_noted_is_not_waited_for(built_anew: Project) -> None:
    project = built_anew
    record = project.hub.state / "sites/bmo/build.json"
    record.unlink()
    record.mkdir()
    try:
        (project.folder / "title").write_text("three")
        code, said = project.up()
        assert code == 1
        assert "the site bmo was not built: what came of the build could not be noted" in said
        assert "build.json" in project.hub.log("site-bmo")
    finally:
        record.rmdir()


def test_site_whose_record_is_lost_is_built_again(built_anew: Project) -> None:
    project = built_anew
    record = project.hub.state / "sites/bmo/build.json"
    kept = record.read_text()
    record.unlink()
    code, said = project.up()
    assert code == 0, said
    assert record.exists()
    built = record.read_text()
    assert built != kept
    assert project.up()[0] == 0
    assert record.read_text() == built


def test_failed_build_is_tried_again_by_the_next_up_though_nothing_has_changed(built_anew: Project) -> None:
    project = built_anew
    project.write_spec("date +%N > dist.log; exit 5")
    assert project.up()[0] == 1
    first = project.hub.log("site-bmo").count("exit code 5")
    assert project.up()[0] == 1
    assert project.hub.log("site-bmo").count("exit code 5") == first + 1


def test_site_is_built_again_with_the_key_that_was_rotated(built_anew: Project) -> None:
    project = built_anew
    before = project.claims["iss"]
    assert project.hub.run("keys", "rotate").returncode == 0
    finding = next(each for each in project.hub.findings() if each["code"] == "site-token-key")
    assert (finding["severity"], str(before) in finding["title"]) == ("warning", True)
    assert project.up()[0] == 0
    assert project.claims["iss"] != before
    assert project.hub.findings() == []


def test_token_that_is_about_to_end_is_a_finding_and_up_makes_another(built_anew: Project) -> None:
    project = built_anew
    paths = StatePaths(str(project.hub.state))
    record = find_site_build(paths, "bmo")
    assert record is not None
    assert record.served is not None
    served = type(record.served)(record.served.at - 29 * 86400, record.served.key, time.time() + 86400)
    write_site_build(paths, "bmo", type(record)(**{**vars(record), "served": served}))
    assert [each["code"] for each in project.hub.findings()] == ["site-token-ends"]
    before = project.token
    assert project.up()[0] == 0
    assert project.token != before
    assert project.hub.findings() == []


def test_files_of_a_site_leave_with_it(built_anew: Project) -> None:
    project = built_anew
    assert (project.hub.state / "sites/bmo/current/index.html").exists()
    project.hub.write_spec(project.hub.tls_lines)
    assert project.up()[0] == 0
    assert list((project.hub.state / "sites").iterdir()) == []


def test_stopped_hub_leaves_no_build_running(built_anew: Project) -> None:
    project = built_anew
    project.write_spec("sleep 98763")
    with project.hub.start("up", "--detach", "--no-verify") as up:
        wait_until(lambda: _find("98763"), "the build")
        project.hub.run("down", "--now")
        up.communicate(timeout=60)
    wait_until(lambda: not _find("98763"), "the end of the build")
    wait_until(lambda: "scratch.json" not in os.listdir(project.hub.state / "sites/bmo"), "the end of its copy")


def test_build_that_was_killed_leaves_nothing_after_the_next(built_anew: Project) -> None:
    """The process that builds is killed with -9, as by the kernel for memory. The build itself goes on then."""
    project = built_anew
    project.write_spec("sleep 98762")
    note = project.hub.state / "sites/bmo/scratch.json"
    with project.hub.start("up", "--detach", "--no-verify") as up:
        wait_until(lambda: _find("98762"), "the build")
        wait_until(lambda: json.loads(note.read_text())["process"], "its note")
        left, [build] = Path(json.loads(note.read_text())["folder"]), _find("98762")
        psutil.Process(project.hub.pids()["site-bmo"]).kill()
        wait_until(lambda: not build.is_running(), "the end of the first build")
        wait_until(lambda: _find("98762"), "the second")
        assert not left.exists()
        project.hub.run("down", "--now")
        up.communicate(timeout=60)
    wait_until(lambda: not _find("98762"), "the end of the second build")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can build as another user")
def test_build_that_renames_its_folder_leaves_nothing_either(built_anew: Project) -> None:
    project = built_anew
    project.write_spec('sh build.sh; cd ../..; mv build other; mv "$PWD" ../lkhub-other; true')
    code, said = project.up()
    assert code == 0, said
    assert "<title>" in project.get("/").text
    assert not [each for each in os.listdir("/var/tmp") if each.startswith(("lkhub-bmo", "lkhub-other"))]


def _find(seconds: str) -> list[psutil.Process]:
    return [each for each in psutil.process_iter(["cmdline"]) if each.info["cmdline"] == ["sleep", seconds]]
