"""A server whose first boot makes it a hub: the rendered user data, carried out by cloud-init itself."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kit.booted import Booted, make_root
from tests.kit.netns import Namespace
from tests.kit.wheels import make_wheels
from tests.targets.conftest import ADDRESS
from tests.targets.planned import BIND, describe_plan, read_rights

SPEC = f"# A hub from its first boot on.\nreach: lan\nmedia: {{advertise: {ADDRESS}}}\n"

SEED = "var/lib/cloud/seed/nocloud"

# What a provider adds to an image: here user data come from a folder, the network is there already, and there is no
# package with locales.
PROVIDER = "datasource_list: [NoCloud]\nnetwork: {config: disabled}\nlocale: false\n"

# lkhub with its 40 packages is installed meanwhile, copied, and verified.
FIRST_BOOT_SECONDS = 300


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, network: tuple[Namespace, Namespace]) -> Iterator[Booted]:
    folder = tmp_path_factory.mktemp("server")
    root = make_root(folder, "cloud-init")
    (folder / "hub.yaml").write_text(SPEC)
    (root / SEED).mkdir(parents=True)
    (root / SEED / "meta-data").write_text("instance-id: hub\n")
    argv = [*network[0].prefix, sys.executable, "-m", "lkhub", "render", "cloud-init", "-o", str(root / SEED)]
    subprocess.run(argv, cwd=folder, check=True)
    (root / "etc/cloud/cloud.cfg.d/99-provider.cfg").write_text(PROVIDER)
    (root / "etc/apt/sources.list").write_text("")
    (root / "wheels").mkdir()
    make_wheels(root / "wheels")
    (root / "etc/pip.conf").write_text("[global]\nno-index = true\nfind-links = /wheels\n")
    made = Booted(root, network[0])
    try:
        made.boot(FIRST_BOOT_SECONDS)
        yield made
    finally:
        made.cut_power()
        shutil.rmtree(root)


def test_cloud_init_takes_the_user_data(server: Booted) -> None:
    assert "Valid cloud-config" in server.must(f"cloud-init schema --config-file /{SEED}/user-data")


def test_server_is_a_hub_after_its_first_boot(server: Booted) -> None:
    said = Path(server.root / "var/log/cloud-init-output.log").read_text()
    result = json.loads(server.must("cat /run/cloud-init/result.json"))
    assert result["v1"]["errors"] == [], said
    assert server.show("lkhub", "ActiveState") == "active", said
    assert server.show("lkhub", "UnitFileState") == "enabled"
    assert "got through" in server.show("lkhub", "StatusText")
    assert server.must("cat /etc/lkhub/hub.yaml") == SPEC
    assert server.must("lkhub status")


def test_server_is_as_the_plan_says(server: Booted, network: tuple[Namespace, Namespace]) -> None:
    rendered, machine = server.root / "var/lib/lkhub/rendered", network[0].prefix
    plan = describe_plan(machine, server.root / "etc/lkhub/hub.yaml", "lkhub.plan.service:INSTALLED", rendered)
    plan.require(machine, rendered)
    main = server.show("lkhub", "MainPID")
    rights = read_rights(server.must(f"cat /proc/{main}/status"), server.must(f"cat /proc/{main}/limits"))
    assert rights.users == {server.must("id --user lkhub").strip()}
    assert (rights.rights, rights.no_new) == (BIND, True)
    minutes, seconds = divmod(plan.drain + 30, 60)
    assert server.show("lkhub", "TimeoutStopUSec") == (f"{minutes}min {seconds}s" if seconds else f"{minutes}min")
