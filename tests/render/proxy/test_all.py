"""Properties of all snippets. Their whole text is in tests/golden/hubs/proxy-*; the real proxies run them in
tests/namespaces/test_proxy.py.
"""

import pytest

from lkhub.plan.build import build_plan
from lkhub.render.proxy.all import PROXIES, render_proxy
from lkhub.spec.load import load_spec
from tests.machines import INSTALLATION, make_facts

SPLIT = "turn: {domain: turn.example.com, listen: 5349, port: 443}"
DIRECT = "turn: {listen: 5350}"


def render(name: str, turn: str = "", tls: str = "") -> str:
    """The text of one proxy's snippets."""
    text = f"reach: lan\ndomain: rtc.example.com\ntls: {{mode: external{tls}}}\n{turn}"
    loaded = load_spec(text.encode())
    plan = build_plan(loaded, make_facts(), INSTALLATION)
    loaded.require_sound()
    assert plan
    assert plan.edge
    files = render_proxy(plan, plan.edge, [name])
    assert {file.mode for file in files} == {0o644}
    return "".join(file.text for file in files)


@pytest.mark.parametrize("name", PROXIES)
@pytest.mark.parametrize("turn", ["", SPLIT, DIRECT])
def test_snippet_is_for_this_very_spec(name: str, turn: str) -> None:
    text = render(name, turn, ", cert: a.pem, key: b.pem" if turn == DIRECT else "")
    assert "127.0.0.1:7883" in text
    assert "rtc.example.com" in text
    assert ("turn.example.com" in text) is (turn == SPLIT)
    assert ("5350" in text) is (turn == DIRECT)


@pytest.mark.parametrize("name", PROXIES)
def test_names_of_sites_are_forwarded_too(name: str) -> None:
    """Each with a certificate of its own: that of the hub has the hub's name."""
    site = "sites: [{name: bmo, root: dist, domain: bmo.example.com}]"
    assert "bmo.example.com" not in render(name, SPLIT)
    text = render(name, f"{SPLIT}\n{site}")
    expected = {
        "nginx": ["return 308 https://bmo.example.com$", "/etc/letsencrypt/live/bmo.example.com/fullchain.pem"],
        "caddy": ["\nbmo.example.com {"],
        "traefik": ["Host(`rtc.example.com`) || Host(`bmo.example.com`)"],
        "haproxy": ["-i rtc.example.com bmo.example.com }", "crt /etc/haproxy/certs/bmo.example.com.pem"],
    }
    for part in expected[name]:
        assert part in text


@pytest.mark.parametrize("name", PROXIES)
def test_a_proxy_elsewhere_is_led_to_this_machine(name: str) -> None:
    assert "192.168.1.5:7000" in render(name, tls=", listen: 7000, trusted_proxies: [192.168.1.9]")


@pytest.mark.parametrize("name", PROXIES)
def test_what_it_cannot_do_is_said(name: str) -> None:
    assert "TURN over TLS, for clients that reach nothing but 443/tcp, is not offered" in render(name)
    assert "clients go straight to rtc.example.com:5350" in render(name, DIRECT, ", cert: a.pem, key: b.pem")
    assert ("can't pass this proxy" in render(name, SPLIT)) is (name == "caddy")


@pytest.mark.parametrize("name", PROXIES)
def test_the_hub_can_prove_the_name_that_it_certifies(name: str) -> None:
    assert "/.well-known/acme-challenge/" in render(name, SPLIT)
    assert "/.well-known/acme-challenge/" not in render(name, SPLIT, ", cert: a.pem, key: b.pem")


@pytest.mark.parametrize("name", ["nginx", "caddy"])
def test_files_that_the_spec_names_for_the_same_name_are_the_proxys_too(name: str) -> None:
    files = ", cert: /etc/hub/a.pem, key: /etc/hub/b.pem"
    assert "/etc/hub/a.pem" in render(name, DIRECT, files)
    assert "/etc/hub/a.pem" not in render(name, SPLIT, files)
