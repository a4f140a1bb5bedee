"""A server of PostgreSQL that listens on a Unix socket, and at an address only if it is given one."""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import psutil

# Debian keeps the programs of each version in a folder of its own.
_BIN = Path("/usr/lib/postgresql")


@dataclass(frozen=True)
class Postgres:
    """A running server. Its files are in `folder`, and its socket too. With an `address`, clients connect to that.
    `prefix` goes in front of its command lines, to run it in a network namespace."""

    folder: Path
    prefix: Sequence[str] = ()
    address: str = ""

    def create(self, encoding: str = "UTF8") -> str:
        """A new, empty database, as a URL of SQLAlchemy."""
        name = f"lkhub_{uuid4().hex}"
        self._as_owner([_find("createdb"), "-E", encoding, "-T", "template0", "-h", str(self.folder), name])
        return f"postgresql+psycopg://postgres@/{name}?host={self.address or self.folder}"

    def drop(self, url: str) -> None:
        """Drop a database, although it is in use."""
        self._as_owner([_find("dropdb"), "--force", "-h", str(self.folder), _name(url)])

    def create_again(self, url: str) -> None:
        """Create a database that was dropped."""
        self._as_owner([_find("createdb"), "-h", str(self.folder), _name(url)])

    def authenticate(self, method: str) -> None:
        """From the next start on, let clients in by this method, such as `trust` and `scram-sha-256`."""
        (self.folder / "data/pg_hba.conf").write_text(f"local all all {method}\nhost all all all {method}\n")

    def start(self) -> None:
        listens = f"-c listen_addresses={self.address} -c unix_socket_directories={self.folder}"
        options = f"{listens} -c fsync=off -c max_connections=200"
        self._control("-o", options, "-l", str(self.folder / "log"), "-w", "start")

    def stop(self) -> None:
        self._control("-m", "immediate", "-w", "stop")

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """None of its processes runs, and their sockets are open."""
        server = psutil.Process(int((self.folder / "data/postmaster.pid").read_text().split()[0]))
        server.suspend()  # first, so that it starts no other
        children = server.children()
        for child in children:
            with suppress(psutil.NoSuchProcess):  # its session was just ending
                child.suspend()
        try:
            yield
        finally:
            for process in (server, *children):
                with suppress(psutil.NoSuchProcess):
                    process.resume()

    def initialize(self) -> None:
        self._as_owner([_find("initdb"), "-D", str(self.folder / "data"), "-E", "UTF8", "--locale=C", "-A", "trust"])

    def _control(self, *arguments: str) -> None:
        self._as_owner([_find("pg_ctl"), "-D", str(self.folder / "data"), *arguments])

    def _as_owner(self, command: list[str]) -> None:
        """The server refuses to run as root."""
        owner = ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups"]
        command = [*self.prefix, *owner, *command]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/")


@contextmanager
def run_postgres(prefix: Sequence[str] = (), address: str = "") -> Iterator[Postgres]:
    """A server with nothing in it; it is gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="pg-"))
    shutil.chown(folder, "postgres", "postgres")
    server = Postgres(folder, prefix, address)
    server.initialize()
    server.authenticate("trust")
    try:
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder)


def _name(url: str) -> str:
    return url.partition("@/")[2].partition("?")[0]


def _find(program: str) -> str:
    return str(max(_BIN.glob(f"*/bin/{program}"), key=lambda path: int(path.parts[-3])))
