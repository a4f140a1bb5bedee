"""The command line, run in this process: `main()` itself, with its exit codes."""

import contextlib
import json
import os
import socket
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.client import parse_headers
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

import lkhub
from lkhub.__main__ import main
from lkhub.host import acting
from lkhub.host.files import write_private
from lkhub.host.keyfile import dump_keys
from lkhub.plan.paths import StatePaths
from lkhub.secret import Secret
from lkhub.wire.application import Application, Store
from lkhub.wire.serve_config import ServeConfig, dump_serve

SECRET = Secret("XYZ" * 15)


@dataclass(frozen=True)
class Done:
    """What a command said, and how it ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Run = Callable[..., Done]


def write_serve(paths: StatePaths, application: Application) -> None:
    """The service's configuration of a hub that was up. Its store is the state directory's file, which was not opened
    yet, where `application` has none."""
    if not application.store.url:
        application = replace(application, store=Store(f"sqlite:///{paths.store}"))
    config = ServeConfig(
        name="hub",
        reach="local",
        bind=("127.0.0.1",),
        port=8080,
        hosts=("localhost",),
        open_tokens=False,
        livekit_url="ws://127.0.0.1:7880",
        media_url="http://127.0.0.1:7880",
        keys=paths.keys,
        authorities=(),
        ca="",
        application=application,
    )
    Path(paths.rendered).mkdir(exist_ok=True)
    write_private(paths.render("serve.json"), dump_serve(config))


@pytest.fixture(autouse=True)
def _importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands that a test starts in another folder find the package where we found it."""
    monkeypatch.setenv("PYTHONPATH", str(Path(lkhub.__file__).parents[1]))


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """`run("token", "--room", "lobby")`, in an empty folder, with the state directory of `paths`."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("LKHUB_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("COLUMNS", "200")

    def run_one(*arguments: str) -> Done:
        monkeypatch.setattr(sys, "argv", ["lkhub", *arguments])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        captured = capsys.readouterr()
        assert SECRET.reveal() not in captured.err
        code = ended.value.code
        return Done(code if isinstance(code, int) else 0, captured.out, captured.err)

    return run_one


@pytest.fixture
def paths(tmp_path: Path) -> StatePaths:
    return StatePaths(str(tmp_path / "state"))


@pytest.fixture
def applied(paths: StatePaths) -> StatePaths:
    """The state directory of a hub that has been up and is stopped."""
    Path(paths.run).mkdir(parents=True)
    web = "http://127.0.0.1:8080"
    media = "http://127.0.0.1:7880"
    urls = {"livekit": "ws://127.0.0.1:7880", "web": web, "api": f"{web}/api", "local_media": media}
    record = {"spec": None, "name": "hub", "at": 1.0, "urls": urls, "probes": ["udp", "turn-udp"]}
    record |= {"resolve": {}, "ca": ""}
    write_private(paths.applied, json.dumps(record))
    write_private(paths.keys, dump_keys({"APIcurrent": SECRET, "APIold": Secret("OLD" * 15)}))
    return paths


@pytest.fixture
def give_away(monkeypatch: pytest.MonkeyPatch) -> Callable[[StatePaths], None]:
    """As root, make a state directory that of a user without rights, who can read this lkhub."""

    def give(paths: StatePaths) -> None:
        monkeypatch.setattr(acting, "_require_own_code", lambda _: None)
        for each in (Path(paths.root), *Path(paths.root).rglob("*")):
            os.chown(each, 65534, 65534)
        # pytest's folders are for their user alone.
        for above in Path(paths.root).parents:
            if above != Path(tempfile.gettempdir()) and above.is_relative_to(tempfile.gettempdir()):
                above.chmod(0o755)

    return give


def list_owners(paths: StatePaths) -> set[int]:
    """The users whom files of a state directory belong to."""
    return {each.stat().st_uid for each in Path(paths.root).rglob("*")}


PROCESSES: list[dict[str, Any]] = [
    {"name": name, "pid": 1, "state": "running", "since": 1.0, "restarts": 0, "roles": []}
    for name in ("media", "relay", "serve")
]


class FakeSupervisor:
    """Answers on the control socket with what a test wants; `asked` has the requests."""

    def __init__(self, path: str) -> None:
        self.asked: list[dict[str, Any]] = []
        self.answers: dict[str, Any] = {
            "status": {"processes": PROCESSES, "failures": {}, "pending": False, "spec": None, "pid": 1},
            "apply": {"changed": [], "pending": False, "people": 0, "cut": 0},
            "restart": {"restarted": ["media"], "people": 0, "only_through": []},
            "stop": {},
            "ping": {},
        }
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        self.listener.listen()
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            with connection, connection.makefile("rb") as reader:
                line = reader.readline().decode()
                if not line:  # it was only looked whether anything listens
                    continue
                do, headers = line.split()[1].partition("?")[0].strip("/"), parse_headers(reader)
                body = reader.read(int(headers["content-length"]))
                self.asked.append({"do": do, **json.loads(body or "{}")})
                connection.sendall(b"HTTP/1.1 200 \r\n\r\n" + json.dumps(self.answers[do]).encode() + b"\n")

    def requests(self, do: str) -> list[dict[str, Any]]:
        return [request for request in self.asked if request["do"] == do]

    def close(self) -> None:
        with contextlib.suppress(OSError):  # closed already
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join(10)


@pytest.fixture
def supervisor(applied: StatePaths) -> Iterator[FakeSupervisor]:
    fake = FakeSupervisor(applied.control)
    yield fake
    fake.close()


@pytest.fixture
def tmp_path(short_dir: Path) -> Path:
    """Sockets need a short path."""
    return short_dir
