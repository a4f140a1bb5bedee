"""What a command or a page learns of a hub after a change."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from lkhub.checks.paths import PathResult
from lkhub.checks.sites import BuiltSite, check_sites
from lkhub.checks.surroundings import UNSEEN, Surroundings
from lkhub.firewall.table import FirewallRow, Verdict
from lkhub.hub import examine
from lkhub.hub.examine import Examined, examine_hub
from lkhub.hub.status import Verified
from lkhub.plan.paths import StatePaths
from lkhub.spec.ports import PortRange

NOW = datetime(2026, 11, 29, tzinfo=UTC)

ROW = FirewallRow("udp", PortRange(7882, 7882), "media", "media", "media.udp", (), frozenset({4}))
CLOSED = Surroundings("lan", verdicts=(Verdict(ROW, False, "policy drop"),))


class Quiet:
    def tell(self, step: str, detail: str = "") -> None:
        pass

    def warn(self, text: str) -> None:
        pass


@pytest.fixture
def happened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    happened: list[str] = []

    def note(what: str, result: Any) -> Any:
        def take(*_: object, **__: object) -> Any:
            happened.append(what)
            return result

        return take

    monkeypatch.setattr(examine, "wait_for_certificates", note("certificates", None))
    monkeypatch.setattr(examine, "gather_surroundings", note("surroundings", UNSEEN))
    monkeypatch.setattr(examine, "verify_hub", note("calls", Verified(1.0, ())))
    return happened


@pytest.mark.parametrize(
    ("verify", "stopping", "wanted"),
    [
        (True, False, ["certificates", "surroundings", "calls"]),
        (True, True, ["certificates", "surroundings"]),
        (False, False, ["surroundings"]),
    ],
)
def test_hub_is_called_once_it_has_its_certificates_and_not_while_it_stops(
    happened: list[str], verify: bool, stopping: bool, wanted: list[str]
) -> None:
    examined = examine_hub(StatePaths("/state"), Quiet(), verify=verify, is_stopping=lambda: stopping)
    assert happened == wanted
    assert (examined.verified is None) is ("calls" not in wanted)


@pytest.mark.parametrize(
    ("ok", "surroundings", "failed"),
    [(True, UNSEEN, False), (True, CLOSED, True), (False, UNSEEN, True), (None, UNSEEN, True)],
)
def test_hub_has_failed_unless_every_path_is_proved_and_clients_get_in(
    ok: bool | None, surroundings: Surroundings, failed: bool
) -> None:
    verified = Verified(1.0, (PathResult("udp", ok, "media", ""),))
    assert Examined(surroundings, verified).failed is failed
    assert not Examined(surroundings, None).failed, "nothing was called"


def test_hub_has_failed_where_a_site_was_not_built() -> None:
    failed, soon = BuiltSite("bmo", "it ended with exit code 1"), BuiltSite("bmo", until=NOW.timestamp(), due=True)
    for site, expected in ((failed, True), (replace(soon, until=NOW.timestamp() + 9), False)):
        built = tuple(check_sites([site], NOW))
        assert len(built) == 1
        assert Examined(UNSEEN, None, built).failed is expected
