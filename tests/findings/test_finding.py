from dataclasses import replace

import pytest

from lkhub.findings.finding import Edit, Finding, Fix, Ref, Typed, Where

FINDING = Finding("port-taken", "edge", "error", "title", "detail", "cause", (Fix("do it"),))


@pytest.mark.parametrize(
    ("command", "typed"),
    [
        (None, None),
        ("lkhub logs media", "lkhub logs media --state /srv/hub"),
        ("lkhub down && lkhub up --detach", "lkhub down --state /srv/hub && lkhub up --detach --state /srv/hub"),
        ("lkhub down --state /other", "lkhub down --state /other"),
        ("lkhub verify --url wss://a.example", "lkhub verify --url wss://a.example"),
        ("systemctl reload nginx", "systemctl reload nginx"),
    ],
)
def test_fix_of_another_hub_names_that_hub(command: str | None, typed: str | None) -> None:
    finding = replace(FINDING, fix=(Fix("do it", command),))
    assert finding.as_typed(Typed(" --state /srv/hub")).fix == (Fix("do it", typed),)
    assert finding.as_typed(Typed()) == finding


@pytest.mark.parametrize("apply", ["lkhub install", "sudo /usr/local/bin/lkhub install"])
@pytest.mark.parametrize(
    ("command", "rest"),
    [("lkhub up", ""), ("lkhub up --now", " --now"), ("lkhub up --detach", ""), ("lkhub up --spec a", " --spec a")],
)
def test_fix_of_a_service_is_applied_by_its_own_command(apply: str, command: str, rest: str) -> None:
    finding = replace(FINDING, fix=(Fix("do it", command), Fix("look", "lkhub upgrade --state /srv/hub")))
    typed = finding.as_typed(Typed(" --state /srv/hub", apply))
    assert [fix.command for fix in typed.fix] == [f"{apply}{rest}", "lkhub upgrade --state /srv/hub"]


@pytest.mark.parametrize(
    ("command", "typed"),
    [
        ("lkhub up --now", "lkhub up --now --spec /srv/hub.yaml --state /srv/hub"),
        ("lkhub up --spec other.yaml", "lkhub up --spec other.yaml --state /srv/hub"),
        ("lkhub up --dev", "lkhub up --dev --state /srv/hub"),
        ("lkhub down && lkhub up", "lkhub down --state /srv/hub && lkhub up --spec /srv/hub.yaml --state /srv/hub"),
    ],
)
def test_fix_starts_the_hub_by_its_spec(command: str, typed: str) -> None:
    """Typed in another folder, it would start the default hub in its place."""
    finding = replace(FINDING, fix=(Fix("do it", command),))
    assert [fix.command for fix in finding.as_typed(Typed(" --state /srv/hub", spec=" --spec /srv/hub.yaml")).fix] == [
        typed
    ]


def test_finding_as_json_names_its_causes_once() -> None:
    causes = (Ref("process-fails", "media"), Ref("process-fails", "edge"))
    row = replace(FINDING, depends_on=causes, where=Where("hub.yaml", 3, "tls.listen")).as_json()
    assert row["depends_on"] == ["process-fails"]
    assert row["where"] == {"file": "hub.yaml", "line": 3, "key": "tls.listen"}
    assert row["docs"] == "docs/findings.md#port-taken"
    assert FINDING.as_json()["where"] is None
    assert Where("hub.yaml").as_json() == {"file": "hub.yaml", "line": None}


def test_fix_without_a_command_has_no_such_key() -> None:
    assert Fix("look").as_json() == {"text": "look"}
    assert Fix("look", "ls").as_json() == {"text": "look", "command": "ls"}
    edit = Edit("tls.mode", None, "hub.yaml", 4)
    assert Fix("look", edit=edit).as_json() == {
        "text": "look",
        "edit": {"file": "hub.yaml", "line": 4, "key": "tls.mode", "value": None},
    }
