"""What an agent needs is installed, with a stand-in for uv."""

import hashlib
import os
import signal
import sys
from pathlib import Path

import psutil
import pytest

from tests.host.agents.kit import SYSTEM_PYTHON, UV, as_root, configure, run, start
from tests.waiting import wait_until


def test_uv_installs_once_for_each_version_and_gets_no_key(place: Path, project: Path, uv: str) -> None:
    config = configure(place, uv=uv, variables={"LIVEKIT_API_SECRET": "LKHUB_AGENT_LIVEKIT_API_SECRET"})
    held = {"LKHUB_AGENT_LIVEKIT_API_SECRET": "SECRET"}
    for _ in range(2):
        told, err = run(config, held)
        assert told["environ"]["LIVEKIT_API_SECRET"] == "SECRET", err
    copy = f"{config.home}/0123456789abcdef"
    assert Path(f"{config.home}/user/calls").read_text() == f"uv sync --no-dev in {copy}/project\n"
    assert Path(f"{config.home}/user/secrets").read_text() == "0\n"
    (project / "uv.lock").touch()
    run(configure(place, uv=uv, inputs="f" * 64), held)
    assert Path(f"{config.home}/user/calls").read_text().splitlines()[1:] == [
        f"uv sync --no-dev --frozen in {config.home}/{'f' * 16}/project"
    ]


def test_installer_alone_reaches_the_index_as_the_operator_does(place: Path, project: Path, uv: str) -> None:
    Path(uv).write_text(f'#!/bin/sh\nenv > "$HOME/env"\n{Path(uv).read_text()}')
    reaching = {
        "HTTPS_PROXY": "http://proxy:3128",
        "no_proxy": "localhost",
        "SSL_CERT_FILE": str(place / "own.pem"),
        "UV_DEFAULT_INDEX": "https://index.example/simple",
        "UV_CACHE_DIR": "/elsewhere",
    }
    (place / "own.pem").touch()
    config = configure(place, uv=uv)
    told, err = run(config, {**reaching, "UV_PUBLISH_TOKEN": "x", "AWS_KEY": "y"})
    given = dict(line.split("=", 1) for line in Path(config.home, "user/env").read_text().splitlines() if "=" in line)
    assert given["UV_CACHE_DIR"] == f"{config.home}/user/.cache/uv", err
    assert {name: given.get(name) for name in reaching} == {**reaching, "UV_CACHE_DIR": given["UV_CACHE_DIR"]}
    assert not {"UV_PUBLISH_TOKEN", "AWS_KEY"} & given.keys()
    assert not {"HTTPS_PROXY", "no_proxy", "UV_DEFAULT_INDEX"} & told["environ"].keys()


@as_root
def test_certificates_that_an_agent_can_not_read_are_none_of_its_variables(place: Path, project: Path, uv: str) -> None:
    """Python and others fail where they can't read them, also an agent that needs no certificate."""
    Path(uv).write_text(f'#!/bin/sh\nenv > "$HOME/env"\n{Path(uv).read_text()}')
    (place / "closed").mkdir(mode=0o700)
    for folder, mode in ((place, 0o644), (place, 0o600), (place / "closed", 0o644)):
        (folder / f"{mode:o}.pem").touch(mode)
    (place / "certificates").mkdir()
    for name, value, gets in (
        ("SSL_CERT_FILE", f"{place}/644.pem", True),
        ("SSL_CERT_FILE", f"{place}/600.pem", False),
        ("SSL_CERT_FILE", f"{place}/closed/644.pem", False),
        ("SSL_CERT_FILE", f"{place}/nowhere.pem", False),
        ("SSL_CERT_DIR", f"{place}/certificates", True),
        ("SSL_CERT_DIR", f"{place}/certificates:{place}/closed", False),
    ):
        # Another version each time, so that it is installed.
        config = configure(place, uv=uv, inputs=hashlib.sha256(value.encode()).hexdigest())
        told, err = run(config, {name: value})
        assert told["environ"].get(name) == (value if gets else None)
        assert (value in Path(config.home, "user/env").read_text()) == gets
        assert (f"does not get {name}, since its user can't read {value}" in err) == (not gets)


def test_environment_is_first_on_the_path(place: Path, project: Path, uv: str) -> None:
    config = configure(place, uv=uv, command=("python", "agent.py", "start"))
    told, err = run(config)
    assert told["environ"]["PATH"].startswith(f"{config.home}/0123456789abcdef/environment/bin:"), err


@pytest.mark.parametrize("code", ["exit 3", "kill -9 $$"])
def test_installation_that_fails_is_told_and_tried_again(place: Path, project: Path, code: str) -> None:
    uv = place / "uv"
    uv.write_text(f"#!/bin/sh\n{code}\n")
    uv.chmod(0o755)
    for _ in range(2):
        told, err = run(configure(place, uv=str(uv)))
        assert told == {}
        assert "copying" in err
        assert "can't install its dependencies: uv ended with exit code" in err
    uv.write_text(UV.replace("PYTHON", SYSTEM_PYTHON).replace("{ids}", ""))
    told, err = run(configure(place, uv=str(uv)))
    assert told, err


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a process that is left has another parent")
@pytest.mark.parametrize("code", [0, 1])
def test_what_an_installer_has_detached_ends_with_it(place: Path, project: Path, uv: str, code: int) -> None:
    detached = f"(setsid sh -c 'echo $$ > {place}/detached; exec env -i sleep 1000' &)"
    wait = f"until [ -s {place}/detached ]; do sleep 0.1; done"
    with open(uv, "a") as script:
        script.write(f"{detached}\n{wait}\nexit {code}\n")
    (place / "detached").touch()
    (place / "detached").chmod(0o666)
    told, err = run(configure(place, uv=uv))
    assert bool(told) == (code == 0), err
    assert not psutil.pid_exists(int((place / "detached").read_text()))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_installer_ends_with_what_started_it(place: Path, project: Path, number: signal.Signals) -> None:
    uv = place / "uv"
    uv.write_text('#!/bin/sh\nsleep 1000 &\necho $$ $! > "$HOME/pids"\nwait\n')
    uv.chmod(0o755)
    config = configure(place, uv=str(uv))
    noted = Path(config.home, "user/pids")
    with start(config) as process:
        wait_until(lambda: noted.exists() and noted.read_text().strip(), "the installer")
        installer, build = map(int, noted.read_text().split())
        process.send_signal(number)
        process.wait(60)
        if number == signal.SIGKILL:  # of what the installer has started itself, the kernel knows nothing
            os.kill(build, signal.SIGKILL)
        process.communicate(timeout=60)
    wait_until(lambda: not psutil.pid_exists(installer), "its end")
    wait_until(lambda: not psutil.pid_exists(build), "the end of what it has started")
    assert not Path(config.home, "0123456789abcdef/installed").exists()
    noted.unlink()
    uv.write_text(UV.replace("PYTHON", SYSTEM_PYTHON).replace("{ids}", ""))
    told, err = run(config)
    assert told, err


def test_of_two_that_start_at_once_one_installs(place: Path, project: Path, uv: str) -> None:
    Path(uv).write_text(UV.replace("PYTHON", SYSTEM_PYTHON).replace("{ids}", "sleep 0.5"))
    config = configure(place, uv=uv)
    with start(config) as one, start(config) as other:
        for process in (one, other):
            out, err = process.communicate(timeout=60)
            assert "told " in out, err
    assert len(Path(config.home, "user/calls").read_text().splitlines()) == 1
