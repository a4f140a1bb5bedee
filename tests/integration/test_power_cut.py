"""The power fails, and files are damaged as by a lost write: the hub comes back, or says what it needs."""

import os
from collections.abc import Iterator

import pytest

from tests.kit.power_cut import Damage, PowerCuts, make_power_cuts

# `python -m tests.kit.power_cut --cuts 200` makes as many cuts as wanted.
CUTS = 4


pytestmark = pytest.mark.soak


@pytest.fixture(scope="module")
def cuts() -> Iterator[PowerCuts]:
    seed = int.from_bytes(os.urandom(4))
    print(f"seed {seed}")
    with make_power_cuts(seed) as made:
        yield made


def test_random_files_are_damaged(cuts: PowerCuts) -> None:
    files = cuts.list_files()
    for _ in range(CUTS):
        chosen = cuts.random.sample(files, cuts.random.choice([1, 2]))
        print(cuts.cut([cuts.choose(file) for file in chosen]))


def test_authority_of_the_edge_is_damaged(cuts: PowerCuts) -> None:
    """Caddy does not start with it."""
    [intermediate] = cuts.kept.glob("caddy/pki/authorities/lkhub-*/intermediate.crt")
    assert cuts.cut([Damage(str(intermediate.relative_to(cuts.kept)), 100, zeros=False)]).endswith("runs")


def test_built_site_is_damaged(cuts: PowerCuts) -> None:
    """It is built anew, since visitors would get half a page."""
    [page] = cuts.kept.glob("sites/page/files-*/index.html")
    assert cuts.cut([Damage(str(page.relative_to(cuts.kept)), 10, zeros=False)]).endswith("runs")


def test_folder_of_an_agent_is_damaged(cuts: PowerCuts) -> None:
    [mark] = [name for name in cuts.list_files() if name.endswith("clock/launcher.py")]
    installed = next(name for name in cuts.list_files() if name.endswith("/installed"))
    for damages in ([Damage(mark, 10, zeros=False)], [Damage(installed, 0, zeros=False)]):
        assert cuts.cut(damages).endswith("runs")


def test_no_file_with_the_keys_is_whole(cuts: PowerCuts) -> None:
    damages = [Damage(name, 30, zeros=True) for name in ("managed-keys.yaml", "keys.yaml")]
    assert cuts.cut(damages).endswith("says what it needs")


def test_root_and_store_are_damaged_and_the_hub_says_so(cuts: PowerCuts) -> None:
    said = cuts.cut([Damage("ca/root.key", 50, zeros=False), Damage("store.db", 0, zeros=False)])
    assert said.endswith("runs, root-changed, store-fails")
