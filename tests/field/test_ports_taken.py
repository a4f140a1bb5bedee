"""Another program has the hub's ports: another hub, a web server, a left-over socket."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.kit.hub import Hub, make_hub
from tests.kit.netns import Namespace
from tests.kit.proxies import find_program
from tests.namespaces.lan import PORTS
from tests.namespaces.test_taken import holding
from tests.waiting import wait_until

PUBLIC = "93.184.216.5"


def refused(hub: Hub) -> tuple[list[str], list[str]]:
    """The lines of the error, and the hints, of an `up` that this machine prevents."""
    done = hub.run("up", "--detach")
    assert (done.returncode, done.stdout) == (3, ""), done.stdout + done.stderr
    said, *hints = done.stderr.split("hint: ")
    assert "kill" not in done.stderr
    lines = said.partition("error: ")[2].splitlines()
    return [line for line in lines if "is in use by" in line], [" ".join(hint.split()) for hint in hints]


@pytest.mark.case("two-hubs")
def test_second_hub_of_a_machine_names_the_first(machine: Namespace, hub: Hub) -> None:
    hub.up("--no-verify")
    with make_hub(machine.prefix, PORTS) as second:
        lines, hints = refused(second)
        ports = {"udp port 7882", "tcp port 7880", "udp port 3478", "tcp port 8080"}
        assert {line.partition(" (")[0] for line in lines} == ports
        assert len(lines) == len(ports), "a line a port"
        assert all(f"in use by the hub in {hub.state} (pid " in line for line in lines)
        [hint] = hints
        assert hint.startswith(f"`lkhub down --state {hub.state}` stops that hub; or give these keys other ports: ")
        assert hub.status()["hub"]["state"] == "running"
        # The way out is one.
        down = second.run("down", "--state", str(hub.state))
        assert down.returncode == 0, down.stderr
        second.up("--no-verify")


@pytest.mark.case("two-hubs")
def test_web_server_on_443_stays_in_front(machine: Namespace, hub: Hub, tmp_path: Path) -> None:
    machine.add_bridge("eth0", f"{PUBLIC}/24")
    machine.add_default_route("93.184.216.1")
    hub.spec.write_text("reach: public\ndomain: rtc.example.com\n")
    with nginx_on(machine, tmp_path, 443):
        lines, hints = refused(hub)
    [line] = lines
    assert line.startswith("tcp port 443 (HTTPS, signalling, TURN over TLS) is in use by nginx (pid ")
    assert hints[0].startswith(
        "keep nginx in front: write domain: NAME and tls.mode: external, and `lkhub render proxy"
    )
    assert hints[1].endswith("or give tls.listen another port")


@pytest.mark.case("two-hubs")
def test_socket_that_was_left_is_named(machine: Namespace, hub: Hub) -> None:
    with holding(machine, "udp 0.0.0.0 7882") as pid:
        lines, [hint] = refused(hub)
    [line] = lines
    assert line.startswith("udp port 7882 (media) is in use by python")
    assert f"(pid {pid}" in line
    assert hint.endswith("or give media.udp another port")


@contextmanager
def nginx_on(machine: Namespace, folder: Path, port: int) -> Iterator[None]:
    (folder / "nginx.conf").write_text(
        f"daemon off; pid {folder}/pid; error_log {folder}/error.log; events {{}}\n"
        f"http {{ access_log off; server {{ listen {port}; return 204; }} }}\n"
    )
    argv = [*machine.prefix, find_program("nginx"), "-c", str(folder / "nginx.conf"), "-p", str(folder)]
    with subprocess.Popen(argv, stderr=subprocess.DEVNULL) as process:
        try:
            wait_until(lambda: machine.run("ss", "-Hltn", f"sport = :{port}").strip(), "nginx listens")
            yield
        finally:
            process.terminate()
