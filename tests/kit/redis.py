"""A Redis server for a test, on a port of its own."""

import shutil
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from lkhub.errors import MachineError
from lkhub.host.redis import require_redis
from lkhub.plan.model import RedisPlan
from lkhub.secret import Secret
from tests.kit.ports import free_port
from tests.waiting import DEADLINE_SECONDS, wait_until


@dataclass
class RedisServer:
    """`prefix` goes in front of its command line, to run it in a network namespace."""

    port: int
    password: str = ""
    prefix: Sequence[str] = ()
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    @property
    def plan(self) -> RedisPlan:
        return RedisPlan(f"127.0.0.1:{self.port}", self.url, 0, False, "", bool(self.password))

    def start(self) -> None:
        """Start it, and wait until it answers."""
        program = shutil.which("redis-server")
        assert program, "redis-server of Debian is missing"
        # Nothing is written to disk.
        argv = [program, "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        argv += ["--requirepass", self.password] if self.password else []
        self.process = subprocess.Popen([*self.prefix, *argv], stdout=subprocess.DEVNULL, cwd="/")
        if not self.prefix:
            wait_until(self._answers, "Redis answers")

    def _answers(self) -> bool:
        try:
            require_redis(self.plan, Secret(self.password) if self.password else None)
        except MachineError:
            return False
        return True

    def ask(self, *words: str) -> str:
        """The answer to a command."""
        argv = ["redis-cli", "-p", str(self.port), *words]
        return subprocess.run(argv, capture_output=True, text=True, check=True).stdout

    def hang(self) -> None:
        """Have it answer nothing, until `go_on`."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait(DEADLINE_SECONDS)
            self.process = None


@contextmanager
def run_redis(password: str = "", prefix: Sequence[str] = (), port: int | None = None) -> Iterator[RedisServer]:
    """A running server, ended at the end. By default its port is one that is free."""
    server = RedisServer(free_port() if port is None else port, password, prefix)
    try:
        server.start()
        yield server
    finally:
        server.stop()
