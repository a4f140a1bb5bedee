"""The process that holds a port, and the hint for it."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from pathlib import Path

import psutil
import pytest

from lkhub.host.holders import Holder, _read, advise, find_holder, is_listening
from lkhub.host.runs_in import read_cgroup

HERE = ip_address("127.0.0.1")

OF_USER = "0::/user.slice/user-1000.slice/user@1000.service"

OTHER = 65534

needs_users = pytest.mark.skipif(os.geteuid() != 0, reason="only root can start a program as another user")


@pytest.mark.parametrize(
    ("cgroup", "found"),
    [
        ("0::/system.slice/nginx.service\n", ("nginx.service", False, "")),
        ("0::/system.slice/system-caddy.slice/caddy@web.service\n", ("caddy@web.service", False, "")),
        # systemd puts no unit below a service: that is a group that the service has made, under any name.
        ("0::/system.slice/web.service/nginx.service/worker\n", ("web.service", False, "")),
        (
            "0::/user.slice/user-1000.slice/user@1000.service/app.slice/livekit.service\n",
            ("livekit.service", True, ""),
        ),
        ("0::/user.slice/user-1000.slice/user@1000.service/app.slice/app-foo.scope\n", ("", True, "")),
        (f"{OF_USER}/app.slice/a.service/nginx.service\n", ("a.service", True, "")),
        (f"{OF_USER}/user@0.service/nginx.service\n", ("user@0.service", True, "")),
        # Names that are no unit's: a command for the shell, an option of systemctl, the end of a line.
        (f"{OF_USER}/x$(touch pwned).service\n", ("", True, "")),
        (f"{OF_USER}/`id`.service\n", ("", True, "")),
        (f"{OF_USER}/-Hhost.service\n", ("", True, "")),
        (f"{OF_USER}/{'a' * 248}.service\n", ("", True, "")),
        (f"{OF_USER}/a\r0::/system.slice/nginx.service\n", ("nginx.service", True, "")),
        ("0::/system.slice/dev-a\\x2db.service\n", ("dev-a\\x2db.service", False, "")),
        ("0::/user.slice/user-1000.slice/session-3.scope\n", ("", False, "")),
        ("0::/init.scope\n", ("", False, "")),
        ("0::/\n", ("", False, "")),
        ("", ("", False, "")),
        # The old hierarchy beside others.
        (
            "9:name=systemd:/system.slice/haproxy.service\n4:memory:/system.slice/other.service\n0::/\n",
            ("haproxy.service", False, ""),
        ),
        ("4:memory:/system.slice/other.service\n", ("", False, "")),
        (f"0::/system.slice/docker-{'ab12' * 16}.scope\n", ("", False, "ab12ab12ab12")),
        (f"0::/docker/{'ab12' * 16}\n", ("", False, "ab12ab12ab12")),
        (f"0::/machine.slice/libpod-{'cd34' * 16}.scope/container\n", ("", False, "cd34cd34cd34")),
    ],
)
def test_unit_and_container_are_read_from_the_cgroup(cgroup: str, found: tuple[str, bool, str]) -> None:
    assert read_cgroup(cgroup) == found


NGINX = Holder(12, "nginx", unit="nginx.service")


@pytest.mark.parametrize(
    ("holder", "keys", "said"),
    [
        (
            Holder(12, "lkhub-engine", hub="/srv/my hub"),
            ["media.udp", "media.tcp", "media.udp"],
            ["`lkhub down --state '/srv/my hub'` stops that hub; or give these keys other ports: media.udp, media.tcp"],
        ),
        (
            NGINX,
            ["tls.listen"],
            [
                "keep nginx in front: write domain: NAME and tls.mode: external, and `lkhub render proxy -o proxy` "
                "writes what nginx needs",
                "`sudo systemctl stop nginx.service` stops it; or give tls.listen another port",
            ],
        ),
        # A web server on another port than the hub's own of the web can't stay in front.
        (NGINX, ["media.tcp"], ["`sudo systemctl stop nginx.service` stops it; or give media.tcp another port"]),
        (
            Holder(12, "python3", unit="app.service", user_unit=True),
            ["web"],
            ["`systemctl --user stop app.service` stops it; or give web another port"],
        ),
        (
            Holder(12, "python3", unit="dev-a\\x2db.service"),
            ["web"],
            ["`sudo systemctl stop 'dev-a\\x2db.service'` stops it; or give web another port"],
        ),
        (
            Holder(12, "tailscaled", unit="tailscaled.service"),
            ["tls.listen"],
            [
                "`tailscale serve status` shows what Tailscale serves there, and `tailscale serve reset` ends all of "
                "it; or give tls.listen another port"
            ],
        ),
        (
            Holder(12, "docker-proxy", unit="docker.service"),
            ["web"],
            ["a container has it: `docker ps` shows which, `docker stop NAME` stops it; or give web another port"],
        ),
        (
            Holder(12, "node", container="ab12ab12ab12"),
            ["web"],
            ["a container has it: `docker stop ab12ab12ab12` stops it (or podman); or give web another port"],
        ),
        (
            Holder(12, "node"),
            ["web"],
            ["stop node in the way it was started (`ps -o ppid=,args= -p 12` shows it); or give web another port"],
        ),
        (Holder(), ["web"], ["see whose it is as root: `sudo ss -lntup`; or give web another port"]),
    ],
)
def test_each_holder_has_its_own_remedy(holder: Holder, keys: list[str], said: list[str]) -> None:
    hints = advise({holder: keys})
    assert list(hints) == said
    assert not any("kill" in hint for hint in hints), "what somebody keeps up comes back, and cuts what it carries"


def test_processes_of_one_hub_have_one_remedy() -> None:
    held = {Holder(12, "lkhub-engine", hub="/srv/hub"): ["media.udp"], Holder(13, "python3", hub="/srv/hub"): ["web"]}
    assert advise(held) == (
        "`lkhub down --state /srv/hub` stops that hub; or give these keys other ports: media.udp, web",
    )


def test_holders_are_named_with_what_runs_them() -> None:
    assert str(NGINX) == "nginx (pid 12, nginx.service)"
    assert str(Holder(12, "node", container="ab12")) == "node (pid 12, container ab12)"
    assert str(Holder(12, "node")) == "node (pid 12)"
    assert str(Holder(12, "lkhub-engine", hub="/srv/hub")) == "the hub in /srv/hub (pid 12)"
    assert str(Holder()) == "a process that this user can't see"


_HOLD = """
import os, socket, sys
held = socket.create_server(("127.0.0.1", 0))
locks = [os.open(path, os.O_RDWR | os.O_CREAT) for path in sys.argv[3:]]
if sys.argv[1]:
    os.setresuid(*[int(sys.argv[1])] * 3)
print(held.getsockname()[1], flush=True)
sys.stdin.read()
"""


@contextmanager
def holding(*arguments: str, program: str = sys.executable, uid: int | None = None) -> Iterator[tuple[int, int]]:
    """Pid and port of a process that is the user `uid`, with these arguments; further ones than the first are files
    that it has open."""
    argv, pipe = [program, "-Ic", _HOLD, "" if uid is None else str(uid), *arguments], subprocess.PIPE
    with subprocess.Popen(argv, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdout
        try:
            yield process.pid, int(process.stdout.readline())
        finally:
            process.kill()


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """The state directory of a hub that was up."""
    (tmp_path / "run").mkdir()
    (tmp_path / "applied.json").write_text(json.dumps({}))
    return tmp_path


def test_process_of_another_hub_is_known_by_its_rendered_file(state: Path) -> None:
    with holding(f"{state}/rendered/livekit.yaml") as (pid, port):
        holder = find_holder("tcp", HERE, port)
        assert (holder.pid, holder.name, holder.hub) == (pid, psutil.Process(pid).name(), str(state))


def test_supervisor_of_another_hub_is_known_by_its_lock(state: Path) -> None:
    with holding("up", f"{state}/run/lock") as (_, port):
        assert find_holder("tcp", HERE, port).hub == str(state)


@needs_users
@pytest.mark.parametrize(
    ("owner", "uid", "believed"), [(0, OTHER, False), (OTHER - 1, OTHER, False), (OTHER, OTHER, True), (OTHER, 0, True)]
)
@pytest.mark.parametrize("how", ["argument", "lock"])
def test_process_of_a_hub_is_root_s_or_of_the_owner_of_its_directory(
    state: Path, owner: int, uid: int, believed: bool, how: str
) -> None:
    """`lkhub down`, which a hint would name, ends the calls of that hub."""
    for path in (state, state / "applied.json"):
        os.chown(path, owner, owner)
    given = (f"{state}/rendered/livekit.yaml",) if how == "argument" else ("up", f"{state}/run/lock")
    with holding(*given, uid=uid) as (pid, port):
        holder = find_holder("tcp", HERE, port)
    assert (holder.pid, holder.hub) == (pid, str(state) if believed else "")


def test_hub_in_a_container_is_not_taken_for_one_of_the_same_path_here(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lkhub.host.holders.means_the_same", lambda *_: False)
    with holding(f"{state}/rendered/livekit.yaml") as (_, port):
        assert find_holder("tcp", HERE, port).hub == ""


@pytest.mark.parametrize("name", ["my\nhub", "a\x1b[2Jb"])
def test_hub_whose_folder_would_forge_a_hint_is_not_named(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    (tmp_path / name / "applied.json").touch()
    with holding(f"{tmp_path}/{name}/rendered/livekit.yaml") as (_, port):
        assert find_holder("tcp", HERE, port).hub == ""


def test_folder_that_a_process_names_from_its_own_is_not_taken_for_one_of_ours(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(state.parent)
    with holding(f"{state.name}/rendered/livekit.yaml") as (_, port):
        assert find_holder("tcp", HERE, port).hub == ""


@pytest.mark.skipif(sys.platform != "linux", reason="Linux keeps 15 bytes of a name, and psutil completes them")
@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("fifteen-letters\nhint: `touch pwned` mends it", r"fifteen-letters\nhint: 'touch pwned' mends it"),
        ("fifteen-letters\x1b[2J", r"fifteen-letters\x1b[2J"),
        ("fifteen-letters" * 9, ("fifteen-letters" * 4)[:57] + "…"),
    ],
)
def test_name_of_a_process_is_one_short_line_and_no_command(tmp_path: Path, name: str, shown: str) -> None:
    program = tmp_path / name
    program.symlink_to(os.path.realpath(sys.executable))
    with holding(program=str(program)) as (pid, port):
        holder = find_holder("tcp", HERE, port)
        assert str(holder) == f"{shown} (pid {pid})"
        assert advise({holder: ["web"]})[0].startswith(f"stop {shown} in the way it was started (`ps ")


@needs_users
@pytest.mark.parametrize("group", ["app.service", f"libpod-{'cd34' * 16}.scope"])
def test_group_that_another_user_has_named_is_in_no_hint(monkeypatch: pytest.MonkeyPatch, group: str) -> None:
    """`systemctl --user`, typed by root, would stop a unit of root's, and `docker stop` any container."""
    monkeypatch.setattr("lkhub.host.holders._read", lambda _: f"{OF_USER}/{group}\n")
    with holding() as (_, port):
        own = find_holder("tcp", HERE, port)
    assert (own.unit, own.user_unit, own.container) in (("app.service", True, ""), ("", False, "cd34cd34cd34"))
    with holding(uid=OTHER) as (_, port):
        others = find_holder("tcp", HERE, port)
    assert (others.unit, others.user_unit, others.container) == ("", False, "")
    assert "`ps " in advise({others: ["web"]})[0]


def test_group_whose_name_is_no_text_is_read(tmp_path: Path) -> None:
    (tmp_path / "cgroup").write_bytes(b"0::/a\xff\r0::/system.slice/nginx.service\n")
    assert read_cgroup(_read(str(tmp_path / "cgroup"))) == ("nginx.service", False, "")
    (tmp_path / "cgroup").write_bytes(f"{OF_USER}/a\r0::/system.slice/nginx.service\n".encode())
    assert read_cgroup(_read(str(tmp_path / "cgroup"))) == ("nginx.service", True, ""), "of that user's, on one line"


def test_program_that_only_has_such_an_argument_is_no_hub(tmp_path: Path) -> None:
    with holding(f"{tmp_path}/rendered/livekit.yaml") as (pid, port):
        holder = find_holder("tcp", HERE, port)
        assert (holder.pid, holder.hub) == (pid, "")


def test_holder_that_can_t_be_seen_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another user's process; or /proc shows processes alone, and psutil finds no /proc/net/tcp."""

    def refuse(_: str) -> None:
        raise FileNotFoundError("/proc/net/tcp")

    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert find_holder("tcp", HERE, port).pid == os.getpid()
        monkeypatch.setattr(psutil, "net_connections", refuse)
        assert find_holder("tcp", HERE, port) == Holder()
        monkeypatch.setattr(psutil, "net_connections", lambda _: [])
        assert find_holder("tcp", HERE, port) == Holder()


LISTEN = "import socket; s = socket.create_server(('127.0.0.1', 0)); print(s.getsockname()[1], flush=True); input()"
WRAP = f"import subprocess, sys; subprocess.run([sys.executable, '-ISsc', {LISTEN!r}])"


@pytest.mark.parametrize("script", [LISTEN, WRAP], ids=["itself", "a child of a wrapper"])
def test_process_is_seen_to_listen_itself_or_by_what_it_has_started(script: str) -> None:
    popen = subprocess.Popen(
        [sys.executable, "-ISsc", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    )
    with popen:
        assert popen.stdin is not None
        assert popen.stdout is not None
        port = int(popen.stdout.readline())
        assert is_listening(popen.pid, port)
        assert not is_listening(popen.pid, port + 1)
        assert not is_listening(os.getpid(), port), "it has a session of its own"
        popen.stdin.close()
    assert not is_listening(popen.pid, port), "nothing is seen of one that is gone"


def test_socket_that_is_bound_and_does_not_listen_is_none() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        assert not is_listening(os.getpid(), bound.getsockname()[1])
        bound.listen()
        assert is_listening(os.getpid(), bound.getsockname()[1])
