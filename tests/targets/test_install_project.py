"""A folder with a spec, the project of an agent and that of a site becomes a service by one command, and is there again
after a reboot: with the real uv, and with packages from a folder, since the machine has no way to a registry."""

import json
import re
import shutil
import subprocess
import sysconfig
from pathlib import Path

import pytest

from tests.agents.conftest import find_wheels, write_project
from tests.kit.booted import Booted
from tests.kit.netns import Namespace
from tests.targets.conftest import ADDRESS, SETUP
from tests.targets.test_agent_units import REFUSALS, STATE, TRIES
from tests.targets.test_reboot import list_codes, wait_verified
from tests.targets.test_upgrade_agent import list_workers, listening
from tests.waiting import wait_until

# Where the machine has them.
PACKAGES = "/srv/packages"

# As in examples/bmo: each path starts from the folder of the spec.
SPEC = f"""\
reach: lan
media: {{advertise: {ADDRESS}}}
drain: 5s
agents: [{{name: tone, project: tone}}]
sites:
  - name: page
    root: page/dist
    port: 3001
    build: sh build.sh
    env: {{TOKEN: {{token: {{room: lobby, identity: visitor}}}}}}
"""

BUILD = 'mkdir dist && echo "token: $TOKEN" >dist/index.html\n'

# What a build has no business with.
FILES = [
    *("/etc/lkhub/hub.yaml", "/etc/shadow", "/root", STATE, f"{STATE}/keys.yaml", f"{STATE}/managed-keys.yaml"),
    *(f"{STATE}/ca/root.key", f"{STATE}/run/control.sock", f"{STATE}/run/media.sock", f"{STATE}/for-agents"),
    *("/var/lib/private/lkhub-agents/tone/agent", f"{STATE}/for-sites"),
]

LOG = "journalctl --boot --unit lkhub-agent-tone --output cat"

# uv unpacks 120 MB, and Python compiles them.
INSTALLED_SECONDS = 300
REGISTERED_SECONDS = 120


@pytest.fixture(scope="module")
def service(booted: Booted) -> Booted:
    # As `pip install 'lkhub[agents]'` does.
    shutil.copy(Path(sysconfig.get_path("scripts"), "uv"), f"{booted.root}{SETUP}/bin/uv")
    shutil.copytree(find_wheels(), f"{booted.root}{PACKAGES}")
    folder = booted.root / "srv/hub"
    folder.mkdir()
    write_project(folder / "tone", Path(PACKAGES))
    (folder / "page").mkdir()
    (folder / "page/build.sh").write_text(BUILD)
    (folder / "hub.yaml").write_text(SPEC)
    booted.must("chmod -R go+rX /srv")
    return booted


@pytest.fixture(scope="module")
def installed(service: Booted) -> subprocess.CompletedProcess[str]:
    """What `lkhub install` said in the folder of the spec, once its agent has registered."""
    done = service.run(f"cd /srv/hub && {SETUP}/bin/lkhub install")
    wait_until(lambda: len(list_workers(service)) == 1, "the worker has registered", INSTALLED_SECONDS)
    return done


def read_page(service: Booted, client: Namespace) -> str:
    """The site as a visitor gets it."""
    root = f"{service.root}/var/lib/lkhub/ca/root.crt"
    argv = [*client.prefix, "curl", "--silent", "--show-error", "--fail", "--cacert", root, f"https://{ADDRESS}:3001/"]
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout


def test_folder_becomes_a_service(
    service: Booted, installed: subprocess.CompletedProcess[str], network: tuple[Namespace, Namespace]
) -> None:
    assert installed.returncode == 0, installed
    assert "paths that were relative are absolute in /etc/lkhub/hub.yaml" in " ".join(installed.stderr.split())
    assert service.must("grep -c /srv/hub/ /etc/lkhub/hub.yaml").strip() == "2"
    assert "install its dependencies" in service.must(LOG)
    # It is built when the command returns.
    assert read_page(service, network[1]).startswith("token: ey")
    with listening(service, network[1]):
        pass
    assert not list_codes(service) & {"site-build-not-apart", "site-build-failed", "agent-install-failed"}
    again = service.run("cd /srv/hub && lkhub install")
    assert (again.returncode, "is not used" in again.stderr) == (0, False), again


def test_build_gets_nothing_of_the_hub(
    service: Booted, installed: subprocess.CompletedProcess[str], network: tuple[Namespace, Namespace]
) -> None:
    missing = [path for path in FILES if service.run(f"test -e {path}").returncode]
    assert missing == [], "it would try what is not there"
    shutil.copy(TRIES, service.root / "srv/hub/page")
    (service.root / "srv/hub/page/build.sh").write_text(f"{BUILD}timeout 20 python3 tries.py {' '.join(FILES)}\n:\n")
    service.must("chmod -R go+rX /srv/hub/page && lkhub install")
    log = service.must("lkhub logs site-page")
    told = json.loads(re.findall(r"TRIED (.*)$", log, re.MULTILINE)[-1])
    assert set(told["reached"]) == {path for path in FILES if path.endswith(".sock")}
    # ENOENT: its sandbox hides what root sees.
    assert {*told["read"].values(), *told["reached"].values()} <= REFUSALS, told
    assert (told["others"], told["rights"], told["written"]) == ([], False, [])
    uid = told["uid"]
    assert uid not in (0, int(service.must("id -u lkhub")))
    assert "token" in read_page(service, network[1])
    # The variable's name stands where a build would print its token.
    assert told["variables"]["TOKEN"] == "[TOKEN]"
    assert not [name for name in told["variables"] if name.startswith(("LKHUB", "CREDENTIALS", "NOTIFY"))]
    exposed = service.must("systemd-analyze security --no-pager lkhub-site-page").splitlines()[-1]
    assert float(re.findall(r"service: ([\d.]+)", exposed)[0]) <= 1.6, exposed
    wait_until(lambda: service.run(f"pgrep --uid {uid} --full tries.py").stdout == "", "the end of its processes")


def test_build_goes_on_when_its_unit_is_killed_and_calls_go_first(
    service: Booted, installed: subprocess.CompletedProcess[str], network: tuple[Namespace, Namespace]
) -> None:
    """The hub gives it out again."""
    (service.root / "srv/hub/page/build.sh").write_text(f"{BUILD}sleep 3\n")
    with (
        listening(service, network[1]),
        subprocess.Popen(
            [*service.prefix, "lkhub", "install"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        ) as made,
    ):
        wait_until(lambda: service.run("pgrep --exact sleep").stdout != "", "the build", INSTALLED_SECONDS)
        service.must("systemctl kill --signal=KILL lkhub-site-page")
        said, _ = made.communicate(timeout=INSTALLED_SECONDS)
    assert made.returncode == 0, said
    assert read_page(service, network[1]).startswith("token: ey")
    assert service.must("systemctl show --property=CPUWeight --value lkhub-site-page").strip() == "1"


def test_build_that_stops_what_runs_it_ends_with_the_unit(
    service: Booted, installed: subprocess.CompletedProcess[str], network: tuple[Namespace, Namespace]
) -> None:
    page = read_page(service, network[1])
    drop_in = "/etc/systemd/system/lkhub-site-page.service.d"
    service.must(f"mkdir {drop_in} && printf '[Service]\\nWatchdogSec=5\\nTimeoutAbortSec=2\\n' >{drop_in}/short.conf")
    service.must("systemctl daemon-reload && systemctl restart lkhub-site-page")
    # Each of its three tries is stopped.
    (service.root / "srv/hub/page/build.sh").write_text("pkill -STOP --full run-build\nsleep 98765\n")
    done = service.run("lkhub install")
    assert done.returncode == 1, done
    assert "the site page was not built: the unit lkhub-site-page.service" in " ".join(done.stderr.split())
    assert service.run("pgrep --full '^sleep 98765'").stdout == ""
    assert read_page(service, network[1]) == page
    service.must(f"rm -r {drop_in} && systemctl daemon-reload")
    service.must(f"cat >/srv/hub/page/build.sh <<'END'\n{BUILD}END\nlkhub install")


def test_both_are_there_again_after_a_reboot(
    service: Booted, installed: subprocess.CompletedProcess[str], network: tuple[Namespace, Namespace]
) -> None:
    page = read_page(service, network[1])
    service.power_off()
    service.boot()
    wait_verified(service)
    wait_until(lambda: len(list_workers(service)) == 1, "the worker has registered", REGISTERED_SECONDS)
    assert read_page(service, network[1]) == page
    with listening(service, network[1]):
        pass
    assert json.loads(service.must("lkhub status --json"))["hub"]["state"] == "running"
    # The page has the same token, so it was not built anew, nor was the agent installed anew.
    assert "install its dependencies" not in service.must(LOG)


def test_build_that_fails_is_told_with_the_command_that_a_service_takes(
    service: Booted, installed: subprocess.CompletedProcess[str], network: tuple[Namespace, Namespace]
) -> None:
    page = read_page(service, network[1])
    service.must("echo 'echo No such module; exit 3' >/srv/hub/page/build.sh")
    done = service.run("lkhub install")
    said = " ".join(done.stderr.split())
    assert done.returncode == 1, done
    assert "the site page was not built: it ended with exit code 3" in said
    assert "No such module" in said
    assert "once that is mended, build it again: `lkhub install`" in said
    assert read_page(service, network[1]) == page
    service.must(f"cat >/srv/hub/page/build.sh <<'END'\n{BUILD}END\nlkhub install")
    assert "site-build-failed" not in list_codes(service)


def test_unit_leaves_with_its_site(service: Booted, installed: subprocess.CompletedProcess[str]) -> None:
    def reads(state: str) -> bool:
        return service.run("systemctl is-active lkhub-site-page").stdout.strip() == state

    # It is started anew after each build.
    wait_until(lambda: reads("active"), "it waits for a build")
    service.must("systemctl stop lkhub")
    assert reads("inactive")
    service.must("systemctl start lkhub")
    wait_until(lambda: reads("active"), "it waits for a build")
    service.must("sed -i '/^sites:/,$d' /etc/lkhub/hub.yaml && lkhub install")
    assert "lkhub-site" not in service.must("systemctl list-units --all; ls /etc/systemd/system /opt/lkhub/units")
