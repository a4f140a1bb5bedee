"""A folder with a spec, the project of an agent and that of a site becomes a service by one command, and is there again
after a reboot: with the real uv, and with packages from a folder, since the machine has no way to a registry."""

import json
import shutil
import subprocess
import sysconfig
from pathlib import Path

import pytest

from tests.agents.conftest import find_wheels, write_project
from tests.kit.booted import Booted
from tests.kit.netns import Namespace
from tests.targets.conftest import ADDRESS, SETUP
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
    assert list_codes(service) & {"site-build-not-apart", "site-build-failed", "agent-install-failed"} == {
        "site-build-not-apart"
    }
    again = service.run("cd /srv/hub && lkhub install")
    assert (again.returncode, "is not used" in again.stderr) == (0, False), again


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
