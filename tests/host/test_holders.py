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

from lkhub.host.holders import Holder, advise, find_holder, is_listening
from lkhub.host.runs_in import read_cgroup

HERE = ip_address("127.0.0.1")


@pytest.mark.parametrize(
    ("cgroup", "found"),
    [
        ("0::/system.slice/nginx.service\n", ("nginx.service", False, "")),
        ("0::/system.slice/system-caddy.slice/caddy@web.service\n", ("caddy@web.service", False, "")),
        # A unit below a unit: the last one can be stopped.
        ("0::/system.slice/web.service/nginx.service/worker\n", ("nginx.service", False, "")),
        (
            "0::/user.slice/user-1000.slice/user@1000.service/app.slice/livekit.service\n",
            ("livekit.service", True, ""),
        ),
        ("0::/user.slice/user-1000.slice/user@1000.service/app.slice/app-foo.scope\n", ("", False, "")),
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
locks = [os.open(path, os.O_RDWR | os.O_CREAT) for path in sys.argv[2:]]
print(held.getsockname()[1], flush=True)
sys.stdin.read()
"""


@contextmanager
def holding(*arguments: str) -> Iterator[tuple[int, int]]:
    """Pid and port of a process with these arguments; further ones than the first are files that it has open."""
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", _HOLD, *arguments], stdin=pipe, stdout=pipe, text=True) as process:
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
