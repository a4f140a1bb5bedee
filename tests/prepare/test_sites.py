"""Web sites of a hub: what is kept from their visitors, and from the programs that build them."""

from pathlib import Path

import pytest

from lkhub.findings.fault import SpecError
from lkhub.prepare import hub as prepare
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


def test_site_with_a_secret_of_the_hub_in_it_is_a_fault(run: Run, tmp_path: Path) -> None:
    (tmp_path / "dist").mkdir()
    (tmp_path / "dist/index.html").touch()
    (tmp_path / "dist/api.key").write_text(SECRET)
    with pytest.raises(SpecError, match=r"dist/api.key is in it, and visitors must not get that"):
        run((SPEC % "").replace("./secrets", "dist"))
