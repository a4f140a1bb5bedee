"""Loading any text ends soon, with a spec or with faults, and repeats no secret."""

import io
import re
from ipaddress import ip_address
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from lkhub.plan.build import build_plan
from lkhub.plan.model import Plan
from lkhub.plan.paths import StatePaths
from lkhub.prepare.secrets import resolve_keys, resolve_secrets
from lkhub.render.all import render_all
from lkhub.spec.load import LoadedSpec, load_spec
from lkhub.spec.model import Spec
from tests.machines import INSTALLATION, MACHINES

# Nothing else that is printed has three of these letters in a row, so that a part of a secret is found as well.
SECRETS = st.text("JQZ", min_size=8, max_size=50)
PART_OF_A_SECRET = re.compile("[JQZ]{3}")


def judge(raw: bytes, environ: dict[str, str] | None = None) -> tuple[LoadedSpec, Plan | None]:
    """All that judges a spec without an engine; what it says can be printed."""
    loaded = load_spec(raw)
    plan = build_plan(loaded, MACHINES["laptop"], INSTALLATION)
    if loaded.spec.keys.source != "managed":
        secrets = resolve_secrets(loaded, "/nowhere", environ or {})
        resolve_keys(loaded, secrets, StatePaths("/nowhere"))
    for fault in loaded.faults:
        str(fault).encode(errors="backslashreplace")
    return loaded, plan


def dump(data: Any) -> bytes:
    text = io.StringIO()
    YAML().dump(data, text)
    return text.getvalue().encode()


@given(st.binary(max_size=2000))
@example(b"\xff\xfe")
@example(b"a: !!bool x")
def test_random_bytes_give_a_spec_or_faults(raw: bytes) -> None:
    loaded, plan = judge(raw)
    assert loaded.faults or plan


YAML_BITS = st.sampled_from(
    [
        *("name", "media", "udp", "keys", "source", "livekit", "version", "a", "1", "7882", "1-2", "off", "~", "''"),
        *(
            ": ",
            ":",
            "- ",
            "\n",
            "\n  ",
            "\n    ",
            "{",
            "}",
            "[",
            "]",
            ",",
            "#",
            "&a ",
            "*a",
            "!!int ",
            "!!bool ",
            "!x ",
        ),
        *('"', "'", "|", ">", "? ", "---\n", "...\n", "%YAML 1.2\n", "\t", "<<", "@", "`", "\\", "é", "\x00", "\ufeff"),
    ]
)


@given(st.lists(YAML_BITS, max_size=60).map("".join))
def test_bits_of_yaml_in_any_order_give_a_spec_or_faults(text: str) -> None:
    loaded, plan = judge(text.encode())
    assert loaded.faults or plan


def list_keys(model: Any = Spec) -> list[str]:
    """Every key that the spec knows, at any level."""
    keys = []
    for key, info in model.model_fields.items():
        keys.append(key)
        if hasattr(info.annotation, "model_fields"):
            keys += list_keys(info.annotation)
    return keys


SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(0, 70000),
    st.floats(),
    st.text(max_size=20),
    st.dates(),
    st.datetimes(),
    st.sampled_from(
        [
            *("auto", "off", "own", "lan", "local", "public", "managed", "bundled", "127.0.0.1", "192.168.1.5", "1-2"),
            *("rtc.example.com", "internal", "acme", "files", "tailscale", "external", "zerossl", "10.0.0.0/8"),
        ]
    ),
)
KEYS = st.one_of(
    st.sampled_from([*list_keys(), "key", "secret", "file", "env", "rtc", "stun", "url", "credential"]),
    st.text(max_size=10),
)
DATA = st.recursive(
    SCALARS, lambda below: st.lists(below, max_size=4) | st.dictionaries(KEYS, below, max_size=5), max_leaves=12
)


@given(st.dictionaries(KEYS, DATA, max_size=6))
@settings(max_examples=60)
def test_random_data_gives_a_spec_or_faults(data: dict[str, Any]) -> None:
    loaded, plan = judge(dump(data))
    assert loaded.faults or plan


PORTS = st.integers(1, 65535)
RANGES = st.tuples(PORTS, PORTS).map(lambda ends: f"{min(ends)}-{max(ends)}")
VALID_SPECS = st.fixed_dictionaries(
    {},
    optional={
        "version": st.just(1),
        "name": st.from_regex(r"\A[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?\Z"),
        "reach": st.sampled_from(["local", "lan", "public"]),
        "domain": st.sampled_from(["rtc.example.com", "laptop.tail1234.ts.net"]),
        "tls": st.fixed_dictionaries(
            {},
            optional={
                "mode": st.sampled_from(["off", "internal", "acme", "files", "tailscale", "external"]),
                "email": st.just("ops@example.com"),
                "issuer": st.sampled_from(["auto", "letsencrypt", "zerossl", "google", "https://127.0.0.1:14000/dir"]),
                "account": st.just({"key_id": "kid-1", "mac_key": {"file": "mac.key"}}),
                "cert": st.sampled_from(["cert.pem", "/keys/cert.pem"]),
                "key": st.sampled_from(["key.pem", "/keys/key.pem"]),
                "listen": PORTS,
                "http": PORTS | st.just("off"),
                "trusted_proxies": st.lists(st.sampled_from(["10.0.0.0/8", "127.0.0.1", "fd00::/8"]), max_size=2),
            },
        ),
        "media": st.fixed_dictionaries(
            {},
            optional={
                "advertise": st.sampled_from(
                    [
                        *("auto", "127.0.0.1", "192.168.1.5", ["192.168.1.6", "fd00::5"], "::1", "1.2.3.4"),
                        *(["192.168.1.5", "10.0.0.9"], {"stun": "stun.example.com:3478"}),
                    ]
                ),
                "udp": PORTS | RANGES,
                "tcp": PORTS | st.just("off"),
                "signal": PORTS,
                "interfaces": st.lists(st.sampled_from(["lo", "eth0", "wlan0", "docker0"]), max_size=3),
            },
        ),
        "turn": st.fixed_dictionaries(
            {},
            optional={
                "enabled": st.booleans(),
                "udp": PORTS | st.just("off"),
                "relay": PORTS | RANGES,
                "domain": st.sampled_from(["rtc.example.com", "turn.example.com"]),
                "tls": st.booleans(),
                "listen": PORTS,
                "port": PORTS,
            },
        ),
        "stun": st.just("own") | st.lists(st.sampled_from(["stun.example.com:3478", "[::1]:1"]), min_size=1),
        "web": PORTS,
        "keys": st.just({"source": "managed"}),
        "engine": st.sampled_from(["bundled", "./livekit-server"]),
        "livekit": st.sampled_from([{}, {"room": {"auto_create": False}}, {"rtc": {"batch_io": {"batch_size": 1}}}]),
    },
)


@given(VALID_SPECS, st.sampled_from(sorted(MACHINES)))
def test_valid_spec_builds_a_plan_that_renders_or_is_refused_by_the_machine(data: dict[str, Any], name: str) -> None:
    loaded = load_spec(dump(data))
    assert loaded.faults == []
    plan = build_plan(loaded, MACHINES[name], INSTALLATION)
    if loaded.faults:
        return
    assert plan is not None
    files = {file.name: file.text for file in render_all(plan)}
    configs = {
        "livekit.yaml": plan.media,
        "serve.json": plan.serve,
        "relay.json": plan.relay and plan.relay.udp,
        "caddy.json": plan.edge,
    }
    assert set(files) == {name for name, there in configs.items() if there}
    read = {path.rpartition("/")[2] for process in plan.processes for path in process.files}
    assert read & set(configs) == set(files), "each is read by a process"
    check_reach(plan)
    rendered = YAML(typ="safe", pure=True).load(files["livekit.yaml"])
    assert rendered["turn"] == {"enabled": False}
    assert rendered["rtc"].get("turn_servers") or rendered["rtc"]["stun_servers"], "clients would be told of strangers"


def check_reach(plan: Plan) -> None:
    """No client bypasses the edge, and nothing that is for this machine only is open to others."""
    if plan.edge:
        assert plan.media.bind == plan.serve.bind == (ip_address("127.0.0.1"),)
        assert not plan.serve.open_tokens
    if plan.reach == "local":
        assert not [listener for listener in plan.listeners if listener.client_facing]
    for listener in plan.listeners:
        assert not (listener.client_facing and listener.address and listener.address.is_loopback)
    assert all(not address.is_loopback for address in plan.media.advertise) or plan.reach == "local" or plan.notes


@given(VALID_SPECS)
@settings(max_examples=30)
def test_valid_spec_is_planned_the_same_every_time(data: dict[str, Any]) -> None:
    raw = dump(data)
    assert judge(raw)[1] == judge(raw)[1]


def list_wrong_places(secret: str) -> list[Any]:
    """Values of `keys` in which the secret is in the wrong place, or is itself wrong."""
    return [
        *(secret, f"API:{secret}", [secret], [{"API": secret}], {"API": secret}, {secret: "API"}, {secret: secret}),
        *({"source": secret}, {"source": f"API:{secret}"}, {"source": [secret]}, {"source": {secret: "API"}}),
        *({"source": {"API": secret}}, {"source": {"key": secret}}, {"source": {"secret": secret}}),
        *({"source": {"key": secret, "secret": "API"}}, {"source": {"key": "API", "secret": secret[:20]}}),
        *({"source": {"key": "API", "secret": [secret]}}, {"source": {"key": "API", "secret": {"value": secret}}}),
        *({"source": {"key": "API", "secret": {secret: "env"}}}, {"source": {"key": [secret], "secret": secret}}),
        *(
            {"source": {"key": "API", "secret": secret, "x": 1}},
            {"source": {"key": "API", "secret": secret}, "x": secret},
        ),
        *({"source": "managed", secret: secret}, {"source": {"env": {"K": secret}}}, {"sorce": {"secret": secret}}),
        *({"source": {"env": [secret]}}, {"source": {"file": [secret]}}, {"source": {"file": {secret: secret}}}),
    ]


def say(loaded: LoadedSpec) -> str:
    return "".join(map(str, loaded.faults)) + repr(loaded.faults) + repr(loaded.spec)


@given(SECRETS.flatmap(lambda secret: st.sampled_from(list_wrong_places(secret))))
@settings(max_examples=150)
def test_secret_in_a_wrong_place_is_not_repeated(keys: Any) -> None:
    loaded, _ = judge(dump({"keys": keys}))
    assert loaded.faults
    assert not PART_OF_A_SECRET.search(say(loaded))


# How a secret comes to mean something to YAML: its first characters, or those around it.
FRAMES = (
    *(
        "!{}",
        "!!{}",
        "!{}!x",
        "!x!{}",
        "!<{}>",
        "*{}",
        "&{}",
        "&{} *{}",
        "%{}",
        "@{}",
        "`{}",
        "|{}",
        ">{}",
        "? {}",
        "- {}",
    ),
    *('"{}', "'{}", '"\\{}"', "{{{}", "[{}", "{}: {}: {}", "!!int {}", "!!bool {}", "!!timestamp {}", "!!binary {}"),
    *(
        "\t{}",
        "#{}",
        "{} #",
        "!!int\n    {}",
        "&{} a\n  {}: *x",
        "<<: {}",
        "{}:",
        ":{}",
        ",{}",
        "]{}",
        "}}{}",
    ),
)
PLACES = (
    *("keys: {}\n", "keys:\n  {}: x\n", "keys:\n  x: {}\n", "keys:\n  source: {}\n", "keys:\n  source:\n    key: {}\n"),
    *("keys:\n  source:\n    key: API\n    secret: {}\n", "keys: {{source: {{key: API, secret: {}}}}}\n"),
    "keys:\n  {0}: a\n  {0}: b\n",
)


@pytest.mark.parametrize("place", PLACES)
def test_secret_that_means_something_to_yaml_is_not_repeated(place: str) -> None:
    for frame in FRAMES:
        text = place.format(frame.format(*["JQZ" * 12] * 3))
        loaded, _ = judge(text.encode())
        assert not PART_OF_A_SECRET.search(say(loaded)), text


@given(st.text("JQZ", min_size=32, max_size=50))
@settings(max_examples=25)
def test_sound_secret_is_in_no_representation(secret: str) -> None:
    for keys in ({"key": "API", "secret": secret}, {"env": ["K", "S"]}):
        loaded, plan = judge(dump({"keys": {"source": keys}}), {"K": "API", "S": secret})
        assert loaded.faults == []
        assert plan is not None
        assert not PART_OF_A_SECRET.search(repr(loaded) + repr(plan) + repr(render_all(plan)))
