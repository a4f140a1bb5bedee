import pytest

from lkhub.plan.build import build_plan
from lkhub.plan.model import Plan
from lkhub.render.all import render_all
from lkhub.render.serve import render_serve
from lkhub.spec.load import load_spec
from lkhub.wire.serve_config import ServeConfig, parse_serve
from tests.machines import INSTALLATION, make_facts


def plan(text: str) -> Plan:
    built = build_plan(load_spec(text.encode()), make_facts(), INSTALLATION)
    assert built is not None
    return built


def render(text: str) -> str:
    return render_serve(plan(text)).text


def test_what_is_rendered_is_read_again() -> None:
    config = parse_serve(render("name: my-hub\nreach: lan\ntls: {mode: off}\nweb: 9000"))
    assert config == ServeConfig(
        name="my-hub",
        reach="lan",
        bind=("192.168.1.5", "127.0.0.1"),
        port=9000,
        hosts=("localhost", "192.168.1.5", "127.0.0.1"),
        open_tokens=False,
        livekit_url="ws://192.168.1.5:7880",
        media_url="http://127.0.0.1:7880",
        keys="/var/lib/lkhub/keys.yaml",
        authorities=(),
        ca="",
        application=plan("reach: lan\ntls: {mode: off}").serve.application,
    )


def test_behind_an_edge_the_service_is_on_loopback_and_knows_the_names_outside() -> None:
    config = parse_serve(render("reach: lan\ndomain: hub.example.com"))
    assert (config.bind, config.hosts, config.open_tokens) == (("127.0.0.1",), ("localhost", "127.0.0.1"), False)
    assert config.livekit_url == "wss://hub.example.com"
    assert {"hub.example.com", "hub.example.com:443", "192.168.1.5:80"} <= set(config.authorities)
    assert config.ca == "/var/lib/lkhub/ca/root.crt"


@pytest.mark.parametrize("mode", ["off", "files", "external"])
def test_only_the_hubs_own_authority_has_a_root_to_show(mode: str) -> None:
    more = ", cert: a.pem, key: a.key" if mode == "files" else ""
    config = parse_serve(render(f"reach: lan\ndomain: hub.example.com\ntls: {{mode: {mode}{more}}}"))
    assert config.ca == ""


@pytest.mark.parametrize("text", ["", "{", "{}", "[]", '{"name": "hub"}', "null"])
def test_what_was_not_rendered_is_refused(text: str) -> None:
    with pytest.raises((ValueError, TypeError)):
        parse_serve(text)


def test_relay_and_edge_have_files_only_where_they_run() -> None:
    for text, names in (
        ("", {"livekit.yaml", "serve.json", "relay.json"}),
        ("turn: {udp: off}", {"livekit.yaml", "serve.json"}),
        ("reach: lan", {"livekit.yaml", "serve.json", "relay.json", "caddy.json"}),
        ("reach: lan\nturn: {udp: off}", {"livekit.yaml", "serve.json", "caddy.json"}),
        ("reach: lan\nturn: {enabled: false}", {"livekit.yaml", "serve.json", "caddy.json"}),
        ("reach: lan\ntls: {mode: off}\nturn: {udp: off}", {"livekit.yaml", "serve.json"}),
    ):
        plan = build_plan(load_spec(text.encode()), make_facts(), INSTALLATION)
        assert plan is not None
        assert {file.name for file in render_all(plan)} == names
