"""The programs of docs/guides/applications.md, as their reader runs them: each joins a real hub with a token that it
gets from there, and hears its webhooks."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import httpx
import pytest
from playwright.sync_api import BrowserContext

from tests.documents import BLOCKS, ROOT
from tests.kit.guide import Desk
from tests.kit.hub import Hub, make_hub
from tests.kit.ports import free_port
from tests.waiting import DEADLINE_SECONDS, wait_until

pytestmark = pytest.mark.field

GUIDE = ROOT / "docs/guides/applications.md"
CLIENT = ROOT / "web/node_modules/livekit-client/dist/livekit-client.esm.mjs"

# What the guide has its reader install.
SERVER_SDK = "livekit-server-sdk@2.19.2"

# As in scripts/toolchains, so that what is compiled already is used.
GO_FLAGS = {"CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOFLAGS": "-pgo=off -trimpath"}

# Without anything in the cache, two busy cores need that long.
BUILD_SECONDS = 600

# No toolchain for these is set up. The guide says how each was checked.
NOT_RUN = {"Cargo.toml", "main.rs", "Call.swift", "Call.kt", "call.dart"}

PAGE = """<!doctype html><body>
<script type="importmap">{"imports": {"livekit-client": "/livekit-client.js"}}</script>
<script type="module" src="/page.js"></script>
"""

OWN = [block for block in BLOCKS if block.page == GUIDE]
PROGRAMS = {block.language.split()[1]: block.text for block in OWN if " " in block.language}


@dataclass(frozen=True)
class Application:
    """A hub that its reader has made by the guide, and the variables that programs read. Webhooks go to `port`."""

    hub: Hub
    variables: Mapping[str, str]
    port: int


@dataclass(frozen=True)
class Running:
    """A program that was started, and the file with what it prints."""

    process: subprocess.Popen[bytes]
    printed: Path

    def wait_printed(self, line: str) -> None:
        """Wait for a whole line."""
        try:
            wait_until(lambda: line in self.printed.read_text().splitlines(), repr(line))
        except AssertionError as error:
            raise AssertionError(f"{error}, but\n{self.printed.read_text()}") from None

    def wait_end(self) -> None:
        assert self.process.wait(DEADLINE_SECONDS) == 0, self.printed.read_text()


@contextmanager
def running(application: Application, folder: Path, *command: str) -> Iterator[Running]:
    printed = folder / f"{Path(command[0]).name}.txt"
    environ = {**os.environ, **application.variables, "PORT": str(application.port)}
    with printed.open("w") as output:
        process = subprocess.Popen(command, cwd=folder, env=environ, stdout=output, stderr=subprocess.STDOUT)
        try:
            yield Running(process, printed)
        finally:
            process.kill()
            process.wait()


class Site(BaseHTTPRequestHandler):
    """The web site that the page and the program behind it belong to: it has the files, and passes the rest on."""

    files: ClassVar = {"/": PAGE, "/page.js": PROGRAMS["page.js"]}
    behind = ""

    def do_GET(self) -> None:
        kind = "text/html" if self.path == "/" else "text/javascript"
        text = CLIENT.read_text() if self.path == "/livekit-client.js" else self.files.get(self.path, "")
        self._answer(200, text.encode(), kind)

    def do_POST(self) -> None:
        headers = {name: value for name in ("authorization", "content-type") if (value := self.headers[name])}
        body = self.rfile.read(int(self.headers["content-length"]))
        answer = httpx.post(self.behind + self.path, content=body, headers=headers, trust_env=False, timeout=60)
        self._answer(answer.status_code, answer.content, "application/json")

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def _answer(self, status: int, body: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("content-type", kind)
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def serve_site(port: int) -> Iterator[str]:
    """The site's URL. Chromium lets no page that a test only pretends to be there ask an address of loopback."""
    handler = type("Behind", (Site,), {"behind": f"http://127.0.0.1:{port}"})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()


@pytest.fixture
def application() -> Iterator[Application]:
    with make_hub() as hub:
        port = free_port()
        desk = Desk(hub.folder, environ={"LKHUB_STATE": str(hub.state)})
        hub.write_spec(PROGRAMS["hub.yaml"].replace(":3000", f":{port}"))
        for block in OWN:
            if block.language == "sh":
                desk.type(block.text.replace(":8080", f":{hub.ports['web']}"))
        names = ("HUB", "HUB_KEY", "LIVEKIT_API_KEY", "LIVEKIT_API_SECRET")
        values = desk.type("; ".join(f'printf "%s\\n" "${name}"' for name in names)).splitlines()
        yield Application(hub, dict(zip(names, values, strict=True)), port)


def test_every_program_is_run_or_says_why_not() -> None:
    assert PROGRAMS.keys() == {"hub.yaml", "server.mjs", "page.js", "bot.py", "bot.go", *NOT_RUN}


def test_page_joins_by_the_server_in_node(application: Application, context: BrowserContext, tmp_path: Path) -> None:
    (tmp_path / "package.json").write_text('{"private": true}')
    (tmp_path / "server.mjs").write_text(PROGRAMS["server.mjs"])
    install = ["npm", "install", "--no-audit", "--no-fund", "--no-save", SERVER_SDK]
    subprocess.run(install, cwd=tmp_path, check=True, capture_output=True, timeout=DEADLINE_SECONDS)
    with running(application, tmp_path, "node", "server.mjs") as server:
        server.wait_printed("ready")
        with serve_site(application.port) as site:
            page = context.new_page()
            page.goto(site)
            page.wait_for_function("document.title === 'ann is in voice-1'")
            server.wait_printed("participant_joined voice-1 ann")
            server.wait_printed("track_published voice-1 ann")
            post = "(path) => fetch(path, {method: 'POST', body: '{}'}).then((answer) => answer.status)"
            assert page.evaluate(post, "/token") == 401
            assert page.evaluate(post, "/livekit") == 400, "a webhook that nothing signed"


def test_bots_in_python_and_go_join_and_end_with_the_room(application: Application, tmp_path: Path) -> None:
    (tmp_path / "bot.py").write_text(PROGRAMS["bot.py"])
    (tmp_path / "bot.go").write_text(PROGRAMS["bot.go"].replace(":3000", f":{application.port}"))
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    build = ["go", "build", "-o", str(tmp_path / "bot"), str(tmp_path / "bot.go")]
    environ = {**os.environ, "PATH": path, **GO_FLAGS}
    subprocess.run(build, cwd=ROOT / "engine", env=environ, check=True, timeout=BUILD_SECONDS)
    with (
        running(application, tmp_path, sys.executable, "bot.py") as python,
        running(application, tmp_path, str(tmp_path / "bot")) as go,
    ):
        python.wait_printed("python-bot is in voice-1")
        go.wait_printed("go-bot is in voice-1")
        for who in ("python-bot", "go-bot"):
            go.wait_printed(f"participant_joined voice-1 {who}")
        assert application.hub.run("rooms", "close", "voice-1", "--yes").returncode == 0
        python.wait_end()
        go.wait_end()


def test_bot_in_python_says_why_it_gets_no_token(application: Application, tmp_path: Path) -> None:
    (tmp_path / "bot.py").write_text(PROGRAMS["bot.py"])
    wrong = replace(application, variables={**application.variables, "HUB_KEY": "lkk_wrong"})
    with running(wrong, tmp_path, sys.executable, "bot.py") as bot:
        assert bot.process.wait(DEADLINE_SECONDS) == 1
    assert bot.printed.read_text().count("\n") == 1
