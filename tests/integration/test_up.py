"""`lkhub up` and its surroundings: a second run changes nothing, bad input loses nothing, refusals of the machine."""

import fcntl
import json
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import jwt
import psutil
import pytest

from tests.kit.hub import Hub
from tests.kit.ports import free_port
from tests.waiting import wait_until


def test_up_verifies_and_says_all_that_a_person_needs(hub: Hub) -> None:
    done = hub.run("up", "--detach")
    assert done.returncode == 0, done.stderr
    ports = hub.ports
    for expected in (
        "hub is up",
        "verified udp",
        "verified turn-udp",
        f"ws://127.0.0.1:{ports['signal']}",
        "lkhub token --room lobby --link",
        "lkhub env",
    ):
        assert expected in done.stdout
    status = hub.status()
    assert status["hub"]["state"] == "running"
    assert {path["path"]: path["ok"] for path in status["verified"]["paths"]} == {"udp": True, "turn-udp": True}
    assert status["findings"] == []


def test_a_hub_whose_codecs_the_picture_of_a_verification_lacks_is_verified_by_sound(hub: Hub) -> None:
    hub.write_spec("livekit: {room: {enabled_codecs: [{mime: audio/opus}, {mime: video/h264}]}}\n")
    done = hub.run("up", "--detach")
    assert done.returncode == 0, done.stdout + done.stderr
    paths = hub.status()["verified"]["paths"]
    assert {path["path"]: (path["ok"], path["picture_loss"]) for path in paths} == {
        "udp": (True, None),
        "turn-udp": (True, None),
    }
    assert "a picture was not tried, since the server did not take one" in paths[0]["detail"]


def test_hub_with_the_key_of_every_example_works(hub: Hub) -> None:
    hub.write_spec("keys: {source: dev}\n")
    hub.up()
    assert hub.env() | {"LIVEKIT_URL": ""} == {
        "LIVEKIT_URL": "",
        "LIVEKIT_API_KEY": "devkey",
        "LIVEKIT_API_SECRET": "secret",
    }
    assert hub.run("rooms", "create", "lobby").returncode == 0


def test_up_twice_is_up_once(running: Hub) -> None:
    before = running.status()
    done = running.run("up", "--detach", "--no-verify")
    assert done.returncode == 0
    assert "restarted" not in done.stderr
    assert running.status()["processes"] == before["processes"]


def test_up_without_detach_on_a_running_hub_returns(running: Hub) -> None:
    before = running.pids()
    assert running.run("up").returncode == 0
    assert running.pids() == before


def test_a_changed_web_port_restarts_the_service_alone(running: Hub) -> None:
    before = running.pids()
    running.spec.write_text(running.spec.read_text().replace(f"web: {running.ports['web']}", f"web: {free_port()}"))
    done = running.run("up", "--detach", "--no-verify")
    assert done.returncode == 0, done.stderr
    after = running.pids()
    assert (after["media"], after["relay"]) == (before["media"], before["relay"])
    assert after["serve"] != before["serve"]


def test_a_wrong_spec_leaves_the_running_hub_running_and_says_so(running: Hub) -> None:
    before = running.status()["processes"]
    running.spec.write_text("reach: local\nmedai: {}\nweb: 99999\n")
    done = running.run("up", "--detach")
    assert done.returncode == 2
    assert "hub.yaml:2: medai: unknown key" in done.stderr
    assert "did you mean media?" in done.stderr
    assert "hub.yaml:3: web: 99999 is not a port" in done.stderr
    assert "nothing was changed" in done.stderr
    assert done.stdout == ""
    after = running.status()
    assert after["processes"] == before
    assert [finding["code"] for finding in after["findings"]] == ["spec-not-applied"]


def test_a_change_that_does_not_start_is_undone(running: Hub) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        running.spec.write_text(running.spec.read_text().replace(f"web: {running.ports['web']}", f"web: {port}"))
        done = running.run("up", "--detach", "--no-verify")
    assert done.returncode == 3
    assert f"tcp port {port} (web application) is in use by" in done.stderr
    assert f"pid {os.getpid()}" in done.stderr
    assert "the change was not made, and nothing was interrupted" in done.stderr
    status = running.status()
    assert status["hub"]["state"] == "running"
    assert running.env()["LIVEKIT_URL"] == f"ws://127.0.0.1:{running.ports['signal']}"


@pytest.mark.parametrize(("name", "kind"), [("signal", socket.SOCK_STREAM), ("udp", socket.SOCK_DGRAM)])
@pytest.mark.parametrize("how", [("--detach",), ()])
def test_a_port_in_use_names_its_holder(hub: Hub, name: str, kind: socket.SocketKind, how: tuple[str, ...]) -> None:
    with socket.socket(socket.AF_INET, kind) as taken:
        taken.bind(("127.0.0.1", hub.ports[name]))
        if kind == socket.SOCK_STREAM:
            taken.listen()
        done = hub.run("up", *how)
    assert done.returncode == 3
    assert f"port {hub.ports[name]}" in done.stderr
    assert f"(pid {os.getpid()})" in done.stderr
    assert f"media.{name}" in done.stderr
    assert hub.status()["hub"]["state"] == "stopped"


@pytest.mark.parametrize(
    "how", [("--detach",), pytest.param((), marks=pytest.mark.field)], ids=["detached", "in front"]
)
def test_two_first_starts_at_once_are_one_hub_with_one_set_of_keys(hub: Hub, how: tuple[str, ...]) -> None:
    started = [hub.start("up", "--no-verify", *how) for _ in range(2)]
    wait_until(lambda: sum(each.poll() is not None for each in started) >= (2 if how else 1), "one of them returns")
    wait_until(lambda: hub.status()["hub"]["state"] == "running", "the hub runs")
    keys = hub.env()["LIVEKIT_API_SECRET"]
    assert keys in (hub.state / "managed-keys.yaml").read_text()
    assert keys in (hub.state / "keys.yaml").read_text()
    # The process in the foreground may be stopped before it has reported this.
    returned = [each for each in started if each.poll() is not None]
    hub.run("down")
    for each in started:
        out, err = each.communicate(timeout=30)
        assert each.returncode == 0, err
        assert "hub is up" in out or each not in returned


@pytest.mark.case("state-path-too-long")
def test_state_directory_with_too_long_a_path_is_refused_before_anything_is_written(hub: Hub) -> None:
    state = hub.folder / ("x" * 100)
    for how in (("--detach",), ()):
        done = hub.run("up", *how, "--state", str(state))
        assert done.returncode == 3
        assert re.search(r"the state directory's path is \d+ characters too long for a socket", done.stderr)
        assert "--state DIR" in done.stderr
    assert not state.exists()


def test_foreground_drains_at_the_first_signal_and_leaves_nothing(hub: Hub) -> None:
    with hub.start("up", "--no-verify") as process:
        wait_until(lambda: hub.status()["hub"]["state"] == "running", "the hub is up")
        pids = hub.pids()
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
    assert not any(psutil.pid_exists(pid) for pid in pids.values())
    assert hub.status()["hub"]["state"] == "stopped"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(("how", "code"), [((), 0), (("--detach",), 1)])
def test_up_says_that_the_hub_was_stopped_while_it_was_starting(
    hub: Hub, number: signal.Signals, how: tuple[str, ...], code: int
) -> None:
    engine = hub.folder / "livekit-server"
    engine.write_text("#!/bin/sh\nexec sleep 600\n")
    engine.chmod(0o755)
    hub.spec.write_text(f"{hub.spec.read_text()}engine: {engine}\n")
    with hub.start("up", *how) as process:
        wait_until(lambda: list((hub.state / "run").glob("media*.json")), "media was started")
        [supervisor] = psutil.Process(process.pid).children() if how else [process]
        supervisor.send_signal(number)
        assert process.wait(30) == code
        assert process.stderr is not None
        told = process.stderr.read()
    assert "was stopped before it was up" in told
    assert "the hub is stopping" not in told
    assert ("error" in told) == bool(how)


def test_foreground_ends_its_start_with_what_a_person_needs(hub: Hub) -> None:
    with hub.start("up") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        shown = []
        for line in process.stdout:
            shown.append(line)
            if line.lstrip().startswith("API key"):
                break
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
        told = process.stderr.read()
    assert shown[0] == "hub is up\n", shown
    assert "verified udp" in "".join(shown)
    assert "error" not in told


def test_down_of_a_hub_that_is_not_running_is_done(hub: Hub) -> None:
    assert hub.run("down").returncode == 0


def test_crashing_media_is_reported_with_the_end_of_its_log(running: Hub) -> None:
    os.kill(running.pids()["media"], signal.SIGKILL)
    wait_until(lambda: "was killed by signal 9" in running.log("hub"), "the report of the crash")
    wait_until(lambda: running.status()["hub"]["state"] == "running", "media is back")


def test_data_commands_print_nothing_but_data(running: Hub) -> None:
    token = running.run("token", "--room", "r", "--identity", "ann")
    claims = jwt.decode(token.stdout.strip(), options={"verify_signature": False})
    assert (claims["sub"], claims["video"]["room"]) == ("ann", "r")
    assert token.stderr == ""
    variables = dict(line.split("=", 1) for line in running.run("env").stdout.splitlines())
    assert list(variables) == ["LIVEKIT_URL", "LIVEKIT_API_KEY", "LIVEKIT_API_SECRET"]
    shell = running.run("env", "--format", "shell").stdout
    shown = subprocess.run(["sh", "-c", f'{shell}\nprintf %s "$LIVEKIT_API_SECRET"'], capture_output=True, text=True)
    assert shown.stdout == variables["LIVEKIT_API_SECRET"] == running.env()["LIVEKIT_API_SECRET"]
    assert set(running.status()) == {"hub", "urls", "processes", "verified", "findings"}
    assert running.run("token", "--room", "r", "--identity", "a", "--dotenv", "T").stdout.startswith("T=ey")
    verified = json.loads(running.run("verify", "--json", "--path", "udp").stdout)
    assert verified["ok"] is True
    assert [path["path"] for path in verified["paths"]] == ["udp"]


@pytest.mark.parametrize("when", ["from the start", pytest.param("later", marks=pytest.mark.field)])
def test_secret_from_the_environment_is_in_that_of_no_process(hub: Hub, when: str) -> None:
    secret = "SECRETSECRET" * 4
    hub.environ = {"HUB_KEY": "APIhub", "HUB_SECRET": secret, "KEPT": "kept"}
    if when == "later":  # lkhub does not touch files that the spec does not name
        hub.up("--no-verify")
        assert psutil.Process(hub.pids()["media"]).environ()["HUB_SECRET"] == secret
    hub.write_spec("keys: {source: {env: [HUB_KEY, HUB_SECRET]}}\n")
    hub.up("--no-verify")
    assert hub.env()["LIVEKIT_API_SECRET"] == secret
    if when == "later":  # processes that run take other keys over, and keep their environment
        assert hub.run("restart").returncode == 0
    for pid in hub.pids().values():
        environ = psutil.Process(pid).environ()
        assert environ["KEPT"] == "kept"
        assert "HUB_KEY" not in environ
        assert secret not in environ.values()


def test_secrets_are_in_no_argument_log_or_readable_file(running: Hub) -> None:
    running.run("verify")
    secrets = [running.env()["LIVEKIT_API_SECRET"], (running.state / "relay.secret").read_text().strip()]
    arguments = [" ".join(psutil.Process(pid).cmdline()) for pid in running.pids().values()]
    logs = [running.log(name) for name in ("media", "relay", "serve", "hub")]
    for text in [*arguments, *logs]:
        assert not any(secret in text for secret in secrets)
        assert "eyJ" not in text, "a token"
    for path in [running.state, *running.state.rglob("*")]:
        assert path.stat().st_mode & 0o077 == 0 or path.is_socket(), path
        assert not path.is_socket() or path.stat().st_mode & 0o077 == 0, path


def test_a_state_directory_of_another_user_is_refused(hub: Hub) -> None:
    hub.state.mkdir(mode=0o700)
    os.chown(hub.state, 12345, 12345)
    done = hub.run("up", "--detach")
    assert done.returncode == 3
    assert "belongs to user 12345" in done.stderr
    os.chown(hub.state, os.geteuid(), os.getegid())


@pytest.mark.parametrize(("options", "reason"), [("ro", "read-only"), ("size=64k", "full")])
def test_a_read_only_or_full_disk_is_said(hub: Hub, options: str, reason: str) -> None:
    hub.state.mkdir(mode=0o700)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"{options},mode=700", "tmpfs", hub.state], check=True)
    try:
        if reason == "full":
            filler = hub.state / "logs" / "old.log"
            filler.parent.mkdir(mode=0o700)
            _fill(filler)
        done = hub.run("up", "--detach")
        assert done.returncode == 3, done.stdout + done.stderr
        assert reason in done.stderr
    finally:
        hub.run("down", "--now")
        subprocess.run(["umount", "-l", hub.state], check=True)


def test_a_detached_hub_survives_its_terminal(hub: Hub) -> None:
    command = hub.command("up", "--detach", "--no-verify")
    # A terminal of its own, which is closed when `up` has returned.
    script = f"import os, pty, sys; os.chdir({str(hub.folder)!r}); os.environ['LKHUB_STATE'] = {str(hub.state)!r}; "
    script += f"sys.exit(os.waitstatus_to_exitcode(pty.spawn({command!r})))"
    done = subprocess.run([sys.executable, "-c", script], stdin=subprocess.DEVNULL, capture_output=True, timeout=60)
    assert done.returncode == 0, done.stdout
    assert hub.status()["hub"]["state"] == "running"


def test_a_detached_hub_does_not_hold_what_its_caller_has_open(hub: Hub) -> None:
    """As the lock of a script, with which other commands wait for their turn."""
    with open(hub.folder / "lock", "w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        command = hub.command("up", "--detach", "--no-verify")
        environ = {**os.environ, "LKHUB_STATE": str(hub.state)}
        subprocess.run(command, cwd=hub.folder, env=environ, pass_fds=[held.fileno()], check=True, timeout=60)
    with open(hub.folder / "lock") as next_one:
        fcntl.flock(next_one, fcntl.LOCK_EX | fcntl.LOCK_NB)
    assert hub.status()["hub"]["state"] == "running"


def _fill(path: Path) -> None:
    with path.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"\0" * 512)
        except OSError:
            pass


def test_unknown_raw_key_is_reported_with_its_line_and_a_near_match(hub: Hub) -> None:
    hub.write_spec("livekit:\n  room: {auto_create: true}\n  rooms:\n    max_participants: 3\n")
    done = hub.run("up", "--detach")
    line = hub.spec.read_text().splitlines().index("  rooms:") + 1
    assert done.returncode == 2
    assert f"hub.yaml:{line}: livekit.rooms: LiveKit has no such key\n    hint: did you mean room?" in done.stderr
