"""A real keeper of an agent, whose worker is a short script."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import psutil

import lkhub
from lkhub.wire.agent import ENDED_FILE, GIVEN_FILE, GivenAgent, dump_given
from tests.waiting import wait_until

# The keeper, with other times than for real calls.
KEEPER = """
import os, sys
from lkhub.supervise import agent_keeper, told
agent_keeper.LOOK_SECONDS, agent_keeper.ORPHANED_SECONDS, agent_keeper.TOLD_SECONDS = 0.05, 0.2, 0.2
agent_keeper.GONE_SECONDS, told.TELL_SECONDS = float(os.environ["GONE_SECONDS"]), 0.1
place = os.path.dirname(os.path.abspath(sys.argv[1]))
home = place + "/home"

def break_where_asked(name):
    method = getattr(agent_keeper.AgentKeeper, name)
    def breaking(*args):
        if os.path.exists(f"{place}/break{name}"):
            os.rename(f"{place}/break{name}", f"{place}/broke{name}")
            raise RuntimeError("a bug")
        return method(*args)
    setattr(agent_keeper.AgentKeeper, name, breaking)

for name in filter(None, os.environ.get("BREAKS", "").split(",")):
    break_where_asked(name)
sys.exit(agent_keeper.AgentKeeper(sys.argv[1], tuple(sys.argv[2:]), home).run())
"""

# A worker connects where `connects` is there, and notes its start. When it is told to end it waits until `finish` is
# there.
WORKER = """
import os, pathlib, signal, socket, sys, time
place = pathlib.Path(sys.argv[1])
ends = []
signal.signal(signal.SIGTERM, lambda *_: (ends.append(1), (place / f"told-{os.getpid()}").touch()))
if (place / "connects").exists(): connection = socket.create_connection(("127.0.0.1", int(sys.argv[2])))
with open(place / "starts", "a") as file: print(os.getpid(), file=file, flush=True)
if (place / "fails").exists(): sys.exit(3)
while not (ends and (place / "finish").exists()): time.sleep(0.02)
"""

# What the keeper does again and again, each of which a test breaks.
BREAKS = (
    *("_reap", "_see_left", "_tell_succeeded", "_kill_overdue", "_has_no_hub", "_is_replaced", "_read"),
    *("_find_connection", "_tell_of_workers", "_find_failure", "_tell"),
)


class Kept:
    """A keeper with its worker. `place` is the worker's folder."""

    def __init__(self, place: Path, port: int, *, ended: bool = False, shell: bool = False, gone: float = 0.2) -> None:
        self.place, self.given, self.port = place, place / "given", port
        self.given.mkdir()
        if ended:
            (self.given / ENDED_FILE).touch()
        by = ["/bin/sh", "-c", '"$@"; exit $?', "sh"] if shell else []
        self.worker = (*by, sys.executable, "-c", WORKER, str(place), str(port))
        self._environ = {"PATH": os.environ["PATH"], "PYTHONPATH": str(Path(lkhub.__file__).parents[1])}
        self._environ |= {"GONE_SECONDS": str(gone), "NOTIFY_SOCKET": f"{place}/notify"}
        self._environ["BREAKS"] = ",".join(BREAKS)
        self._notices = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._notices.bind(f"{place}/notify")
        self.process = self._start(str(self.given), *self.worker)

    def _start(self, given: str, *worker: str, cwd: Path | None = None) -> subprocess.Popen[str]:
        words = [sys.executable, "-c", KEEPER, given, *worker]
        return subprocess.Popen(words, cwd=cwd, env=self._environ, stderr=subprocess.PIPE, text=True)

    def start_anew(self, given: str, *worker: str, cwd: Path | None = None) -> None:
        """Keep another worker, or what another folder has."""
        self.process.kill()
        self.process.communicate()
        self.process = self._start(given, *worker, cwd=cwd)

    def give(self, word: str) -> None:
        """What the hub gives, which differs by `word`."""
        variables = {"LIVEKIT_URL": f"ws://127.0.0.1:{self.port}", "WORD": word}
        agent = GivenAgent("bmo", "x", (), "x", "", "", {"agent-bmo": 8081}, variables)
        (self.given / "new").write_text(dump_given(agent))
        (self.given / "new").rename(self.given / GIVEN_FILE)

    @property
    def starts(self) -> list[int]:
        path = self.place / "starts"
        return [int(line) for line in path.read_text().splitlines()] if path.exists() else []

    def wait_starts(self, number: int) -> int:
        """The pid of this worker, counted from 1."""
        return wait_until(lambda: self.starts[number - 1] if len(self.starts) >= number else None, "a worker starts")

    def wait_told(self, text: str) -> str:
        """What the service manager is told with this in it."""
        self._notices.settimeout(60)
        while text not in (told := self._notices.recv(1000).decode()):
            pass
        return told

    def finish(self) -> None:
        (self.place / "finish").touch()

    def close(self) -> None:
        self.process.kill()
        # Also a worker that has not noted its start yet: it keeps stderr open.
        for process in psutil.process_iter(["cmdline"]):
            if str(self.place) in (process.info["cmdline"] or ()):
                process.kill()
        self.process.communicate(timeout=60)
        self._notices.close()
