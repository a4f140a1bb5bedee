"""Which rendered files count as edited, and what is kept of them."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lkhub.host.files import digest
from lkhub.plan.paths import StatePaths, is_edited, name_edited
from lkhub.supervise.edited import digest_rendered, keep_edited

BEFORE, NOW = "port: 7880\n", "port: 7881\n"


@pytest.fixture
def hub(paths: StatePaths) -> Any:
    """As much of a prepared hub as is asked for."""
    names = ("livekit.yaml", "serve.json", "turn-1.secret")
    files = {paths.render(name): NOW for name in names} | {paths.keys: NOW}
    return SimpleNamespace(files=files, plan=SimpleNamespace(paths=paths))


def keep(hub: Any, found: dict[str, str], written: str = BEFORE) -> tuple[list[str], list[str]]:
    """What was said, and the names of the copies, where each file has this text and had `written` before."""
    said: list[str] = []
    for name, text in found.items():
        Path(hub.plan.paths.render(name)).write_text(text)
    keep_edited(hub, [dict.fromkeys(found, digest(written.encode()))], said.append)
    return said, sorted(path.name for path in Path(hub.plan.paths.rendered).iterdir() if is_edited(str(path)))


def test_text_that_nobody_wanted_is_kept(hub: Any) -> None:
    said, kept = keep(hub, {"livekit.yaml": "port: 1\n", "serve.json": BEFORE})
    assert kept == ["livekit.yaml.edited"]
    assert "livekit.yaml was edited" in said[0]
    copy = Path(hub.plan.paths.render(kept[0]))
    assert (copy.read_text(), copy.stat().st_mode & 0o777) == ("port: 1\n", 0o600)


@pytest.mark.parametrize(
    "text",
    [BEFORE, NOW, "", NOW[:8], BEFORE[:8] + "\0\0\0"],
    ids=["unchanged", "already right", "empty after a crash", "cut off by a crash", "zeros after a crash"],
)
def test_what_is_no_edit_is_not_kept(hub: Any, text: str) -> None:
    assert keep(hub, {"livekit.yaml": text}) == ([], [])


def test_file_of_which_it_is_not_known_how_it_was_is_not_kept(hub: Any) -> None:
    """As after an update from a version that did not note it."""
    Path(hub.plan.paths.render("livekit.yaml")).write_text("port: 1\n")
    said: list[str] = []
    keep_edited(hub, [], said.append)
    assert said == []
    assert not Path(name_edited(hub.plan.paths.render("livekit.yaml"))).exists()


def test_secrets_have_no_copy(hub: Any) -> None:
    assert keep(hub, {"turn-1.secret": "another"}) == ([], [])
    assert set(digest_rendered(hub)) == {"livekit.yaml", "serve.json"}


def test_each_edit_is_kept_once(hub: Any) -> None:
    for text in ("first", "second", "first", "second"):
        keep(hub, {"livekit.yaml": text})
    _, kept = keep(hub, {"livekit.yaml": NOW})
    assert kept == ["livekit.yaml.edited", "livekit.yaml.edited-2"]
    assert [Path(hub.plan.paths.render(name)).read_text() for name in kept] == ["first", "second"]


def test_link_that_stands_in_the_way_is_left_alone(hub: Any, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    Path(hub.plan.paths.render("livekit.yaml.edited")).symlink_to(tmp_path / "folder")
    _, kept = keep(hub, {"livekit.yaml": "port: 1\n"})
    assert kept == ["livekit.yaml.edited", "livekit.yaml.edited-2"]
    assert not list((tmp_path / "folder").iterdir())
