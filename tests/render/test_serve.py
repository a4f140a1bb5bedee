import pytest

from lkhub.plan.build import build_plan
from lkhub.render.all import render_all
from lkhub.render.serve import render_serve
from lkhub.render.serve_config import ServeConfig, parse_serve
from lkhub.spec.load import load_spec
from tests.machines import make_facts


def render(text: str) -> str:
    plan = build_plan(load_spec(text.encode()), make_facts())
    assert plan is not None
    return render_serve(plan).text


def test_what_is_rendered_is_read_again() -> None:
    config = parse_serve(render("name: my-hub\nreach: lan\nweb: 9000"))
    assert config == ServeConfig(
        name="my-hub",
        reach="lan",
        bind=["192.168.1.5", "127.0.0.1"],
        port=9000,
        hosts=["localhost", "192.168.1.5", "127.0.0.1"],
        open_tokens=False,
        livekit_url="ws://192.168.1.5:7880",
        media_url="http://127.0.0.1:7880",
        keys="/var/lib/lkhub/keys.yaml",
    )


@pytest.mark.parametrize("text", ["", "{", "{}", "[]", '{"name": "hub"}', "null"])
def test_what_was_not_rendered_is_refused(text: str) -> None:
    with pytest.raises((ValueError, TypeError)):
        parse_serve(text)


def test_relay_has_a_file_only_where_it_runs() -> None:
    for text, names in (
        ("", {"livekit.yaml", "serve.json", "relay.json"}),
        ("turn: {udp: off}", {"livekit.yaml", "serve.json"}),
    ):
        plan = build_plan(load_spec(text.encode()), make_facts())
        assert plan is not None
        assert {file.name for file in render_all(plan)} == names
