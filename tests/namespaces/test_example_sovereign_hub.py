"""The sovereign hub, from its files to a call in the tailnet."""

from pathlib import Path

from tests.documents import ROOT
from tests.kit.browser import join_two, launching, profile
from tests.kit.guide import follow
from tests.namespaces.examples import copy_example
from tests.namespaces.test_guides import TAILNET_NAME, tailnet

README = ROOT / "examples/sovereign-hub/README.md"


def test_two_devices_of_the_tailnet_talk(tmp_path: Path) -> None:
    with tailnet() as scene:
        desk, elsewhere = scene.hub, scene.elsewhere
        assert elsewhere is not None
        copy_example("sovereign-hub", desk)
        follow(README, desk, elsewhere)
        assert (desk.folder / "token").read_text().count(".") == 2
        told = (desk.folder / "nixos/hub.nix").read_text()
        assert "50000" in told
        links = [desk.type(f"lkhub token --room home --name {name} --link").strip() for name in ("Ann", "Ben")]
        assert all(link.startswith(f"https://{TAILNET_NAME}/join/home#") for link in links)
        root = Path(desk.environ["SSL_CERT_FILE"])
        with launching(tmp_path, elsewhere.prefix, root) as browser, profile(browser) as context:
            join_two(context, *links)
        desk.type("lkhub down --now")
