"""Properties of caddy.json in every mode. The whole text for each mode is in tests/golden/hubs."""

import re

from lkhub.plan.build import build_plan
from lkhub.plan.model import in_url
from lkhub.render.caddy import render_caddy
from lkhub.spec.load import load_spec
from tests.machines import INSTALLATION, MACHINES
from tests.render.edges import AUTHORITY, EVERY, HUBS, STATE, list_texts, plan_of, render, walk


@EVERY
def test_it_listens_where_the_plan_says_and_nowhere_else(hub: str) -> None:
    apps = render(hub)["apps"]
    servers = [*apps["http"]["servers"].values(), *apps.get("layer4", {}).get("servers", {}).values()]
    found = {address for server in servers for address in server["listen"]} - {"handover/hub"}
    planned = {
        f"bounded/{in_url(listener.address) if listener.address else ''}:{listener.ports}"
        for listener in plan_of(hub).listeners
        if listener.process == "edge" and listener.protocol == "tcp"
    }
    assert found == planned


@EVERY
def test_it_writes_into_the_state_directory_alone(hub: str) -> None:
    config = render(hub)
    assert config["storage"] == {"module": "file_system", "root": f"{STATE}/caddy"}
    assert config["admin"] == {"disabled": True, "config": {"persist": False}}
    paths = [text for text in list_texts(config) if text.startswith("/") and "." in text.rpartition("/")[2]]
    tls = plan_of(hub).edge
    assert tls is not None
    assert {path for path in paths if not path.startswith(f"{STATE}/")} <= {tls.tls.cert, tls.tls.key}


@EVERY
def test_it_puts_no_root_into_anybodys_store(hub: str) -> None:
    """The app `lkhub` of the engine forbids it besides, and is required."""
    config = render(hub)
    assert "lkhub" in config["apps"]
    authorities = config["apps"].get("pki", {}).get("certificate_authorities", {})
    assert all(authority["install_trust"] is False for authority in authorities.values())
    assert set(authorities) <= {AUTHORITY}, "Caddy keeps what it signed under this id"


@EVERY
def test_edge_asks_only_the_issuers_of_the_plan(hub: str) -> None:
    config = render(hub)
    edge = plan_of(hub).edge
    assert edge is not None
    urls = {text for text in list_texts(config) if re.match(r"https?://", text) and "{http." not in text}
    assert urls == set(edge.tls.issuers)
    tls = config["apps"].get("tls", {"disable_ocsp_stapling": True})
    for part in (tls, *tls.get("automation", {}).get("policies", [])):
        assert part["disable_ocsp_stapling"] is True, "what is loaded and what is automated each have their own"
    dialed = {target for path, target in walk(config) if "dial" in path and isinstance(target, str)}
    assert dialed <= {"127.0.0.1:7880", "127.0.0.1:8080"}


@EVERY
def test_no_address_of_a_call_is_logged(hub: str) -> None:
    """Signalling URLs carry a token."""
    config = render(hub)
    logs = config["logging"]["logs"]
    for log in logs.values():
        assert log["encoder"]["fields"]["request>uri"] == {"filter": "delete"}
        assert log["encoder"]["fields"]["request>headers"] == {"filter": "delete"}
        for field in ("request>method", "request>host"):
            cut = log["encoder"]["fields"][field]
            assert cut["filter"] == "regexp"
            assert len(re.sub(cut["regexp"], r"\1…", "A\n" * 30_000)) <= 256
            assert re.sub(cut["regexp"], r"\1…", "OPTIONS") == "OPTIONS"
        assert log["writer"] == {"output": "stderr"}
        assert log["sampling"]
    assert logs["default"]["exclude"] == logs["errors"]["include"], "each line is written once"
    assert not [path for path, _ in walk(config) if path and path[-1] == "logs" and "servers" in path]


@EVERY
def test_no_secret_is_in_it(hub: str) -> None:
    text, machine = HUBS[hub]
    secret = "SECRET" * 8
    keys = f"\nkeys: {{source: {{key: APIkey, secret: {secret}}}}}"
    plan = build_plan(load_spec((text + keys).encode()), MACHINES[machine], INSTALLATION)
    assert plan is not None
    assert plan.edge is not None
    rendered = render_caddy(plan, plan.edge).text
    assert secret not in rendered
    assert "APIkey" not in rendered


@EVERY
def test_same_plan_gives_the_same_text(hub: str) -> None:
    assert render(hub) == render(hub)
