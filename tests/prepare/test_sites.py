"""Web sites of a hub: what is kept from their visitors, and from the programs that build them."""

import shutil
from pathlib import Path

import pytest

from lkhub.findings.fault import SpecError
from lkhub.prepare import hub as prepare
from lkhub.prepare.sites import list_private
from lkhub.spec.load import load_spec
from lkhub.wire.site_build import parse_site_build
from tests.machines import make_installation
from tests.prepare.conftest import LAN, SECRET, Run

SPEC = (
    LAN
    + """
keys: {source: {key: APIgiven, secret: {file: ./secrets/api.key}}}
sites:
  - {name: bmo, root: dist, port: 3001%s}
"""
)


@pytest.fixture(autouse=True)
def _beside_the_spec(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(prepare, "find_installation", lambda state, folder: make_installation(state, str(tmp_path)))


def test_build_gets_no_file_with_a_secret_of_the_hub(run: Run, tmp_path: Path) -> None:
    """Where the project is the spec's own folder."""
    key = tmp_path / "secrets/api.key"
    key.parent.mkdir()
    key.write_text(SECRET)
    spec = SPEC % ", build: npm run build"

    def prepared() -> tuple[tuple[str, ...], str]:
        hub = run(spec)
        build = parse_site_build(hub.files[hub.plan.paths.render("site-bmo.json")])
        assert build.project == str(tmp_path)
        return build.skipped, build.inputs

    skipped, inputs = prepared()
    assert str(key) in skipped
    key.write_text(SECRET[::-1])
    assert prepared() == (skipped, inputs), "and another secret needs no other build"


def test_build_gets_no_secret_by_another_name_of_its_file(run: Run, tmp_path: Path) -> None:
    """The project is written as a link to the spec's folder, and the secret's file is a link too."""
    (tmp_path / "secrets").mkdir()
    (tmp_path / "real.key").write_text(SECRET)
    (tmp_path / "secrets/api.key").symlink_to("../real.key")
    (tmp_path / "link").symlink_to(".")
    hub = run(SPEC.replace("dist", "link/dist") % ", build: npm run build")
    skipped = parse_site_build(hub.files[hub.plan.paths.render("site-bmo.json")]).skipped
    project = tmp_path / "link"
    assert {str(project / name) for name in ("secrets/api.key", "real.key")} <= set(skipped)


def test_build_gets_neither_the_spec_nor_the_one_before_it(run: Run, tmp_path: Path) -> None:
    loaded = load_spec(b"reach: lan")
    private = list_private(loaded, str(tmp_path / "hub.yaml"), make_installation(folder=str(tmp_path)))
    assert private == (str(tmp_path / "hub.yaml"), str(tmp_path / "hub.yaml.before"))


def test_project_is_not_read_again_when_the_machine_is_looked_at(run: Run, tmp_path: Path) -> None:
    """Nor does one that is being edited, or is gone, keep the hub from following its address."""
    (tmp_path / "frontend").mkdir()
    (tmp_path / "frontend/main.ts").touch()
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets/api.key").write_text(SECRET)
    hub = run(SPEC.replace("dist", "frontend/dist") % ", build: npm run build")
    shutil.rmtree(tmp_path / "frontend")
    again = prepare.prepare_again(hub)
    name = hub.plan.paths.render("site-bmo.json")
    assert parse_site_build(again.files[name]) == parse_site_build(hub.files[name])


def test_site_with_a_secret_of_the_hub_in_it_is_a_fault(run: Run, tmp_path: Path) -> None:
    (tmp_path / "dist").mkdir()
    (tmp_path / "dist/index.html").touch()
    (tmp_path / "dist/api.key").write_text(SECRET)
    with pytest.raises(SpecError, match=r"dist/api.key is in it, and visitors must not get that"):
        run((SPEC % "").replace("./secrets", "dist"))
