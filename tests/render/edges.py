"""Hubs with an edge of every kind, and what is in their caddy.json."""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from lkhub.plan.build import build_plan
from lkhub.plan.model import Plan
from lkhub.render.caddy import render_caddy
from lkhub.spec.load import load_spec
from tests.machines import INSTALLATION, MACHINES

STATE = "/var/lib/lkhub"
AUTHORITY = "lkhub-0123456789ab"
PUBLIC_HUB = "reach: public\ndomain: rtc.example.com\n"
EXTERNAL = "tls: {mode: external}\n"
FILES = "tls: {mode: files, cert: full.pem, key: /keys/key.pem}\n"
BESIDE = "tls: {mode: external, cert: /c.pem, key: /k.pem}\nturn: {listen: 5349}\n"
SPLIT = "tls: {mode: external}\nturn: {listen: 5349, port: 443, domain: turn.example.com}\n"

HUBS = {
    "local-internal": ("tls: {mode: internal}", "laptop"),
    "lan": ("reach: lan", "laptop"),
    "lan-of-two": ("reach: lan", "zoo"),
    "lan-v6": ("reach: lan", "lan-v6"),
    "lan-named": ("reach: lan\ndomain: hub.example.com", "laptop"),
    "lan-8443": ("reach: lan\ntls: {listen: 8443}", "laptop"),
    "lan-files": ("reach: lan\ndomain: hub.example.com\n" + FILES, "laptop"),
    "lan-external": ("reach: lan\ndomain: hub.example.com\n" + EXTERNAL, "laptop"),
    "lan-acme": ("reach: lan\ndomain: hub.example.com\ntls: {mode: acme}", "laptop"),
    "tailscale": ("reach: lan\ntls: {mode: tailscale}", "tailnet"),
    "acme": (PUBLIC_HUB, "vps"),
    "acme-behind-nat": (PUBLIC_HUB + "tls: {email: ops@example.com}", "home"),
    "acme-8443": (PUBLIC_HUB + "tls: {listen: 8443}", "vps"),
    "single-port": (PUBLIC_HUB + "tls: {http: off}\nmedia: {udp: 443, tcp: off}\nturn: {udp: off}", "vps-v4"),
    "turn-domain": (PUBLIC_HUB + "turn: {domain: turn.example.com}", "vps"),
    "no-turn": (PUBLIC_HUB + "turn: {enabled: false}", "vps"),
    "files": (PUBLIC_HUB + FILES, "vps"),
    "external": (PUBLIC_HUB + EXTERNAL, "vps"),
    "external-elsewhere": (PUBLIC_HUB + "tls: {mode: external, trusted_proxies: [10.0.0.0/8]}", "vps"),
    "external-turn-beside": (PUBLIC_HUB + BESIDE, "vps"),
    "external-turn-split": (PUBLIC_HUB + SPLIT, "vps"),
}
EVERY = pytest.mark.parametrize("hub", HUBS)
WITH_TLS = pytest.mark.parametrize("hub", [name for name, (text, _) in HUBS.items() if "external" not in text])
BEHIND_PROXY = pytest.mark.parametrize("hub", [name for name, (text, _) in HUBS.items() if "external" in text])


def plan_of(hub: str) -> Plan:
    text, machine = HUBS[hub]
    loaded = load_spec(text.encode())
    plan = build_plan(loaded, MACHINES[machine], INSTALLATION)
    assert loaded.faults == []
    assert plan is not None
    assert plan.edge is not None
    return replace(plan, edge=replace(plan.edge, authority=AUTHORITY if plan.edge.tls.mode == "internal" else ""))


def render(hub: str) -> dict[str, Any]:
    plan = plan_of(hub)
    assert plan.edge is not None
    file = render_caddy(plan, plan.edge)
    assert (file.name, file.mode) == ("caddy.json", 0o600)
    config: dict[str, Any] = json.loads(file.text)
    return config


def walk(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Every value, at any depth, with its path."""
    yield path, value
    below = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in below:
        yield from walk(item, (*path, key))


def list_texts(value: Any) -> list[str]:
    return [item for _, item in walk(value) if isinstance(item, str)]


def list_handlers(value: Any, name: str) -> list[dict[str, Any]]:
    return [item for _, item in walk(value) if isinstance(item, dict) and item.get("handler") == name]
