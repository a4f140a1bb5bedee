from collections.abc import Iterator

import pytest
from pydantic import BaseModel

from lkhub.findings.catalogue.spec import value_wrong
from lkhub.findings.fault import SpecError
from lkhub.spec.load import LoadedSpec, load_spec
from lkhub.spec.model import Spec
from lkhub.spec.ports import PortRange


def load(text: str) -> LoadedSpec:
    return load_spec(text.encode(), "hub.yaml")


def list_faults(text: str) -> list[tuple[int | None, str]]:
    return sorted(((fault.line, fault.key) for fault in load(text).faults), key=lambda fault: fault[0] or 0)


def test_sound_spec_is_given() -> None:
    loaded = load("name: a\nmedia:\n  udp: 1000-2000\n")
    assert loaded.require_sound().name == "a"
    assert loaded.spec.media.udp == (PortRange(1000, 2000),)
    assert (loaded.faults, loaded.broken) == ([], set())


def list_keys(model: type[BaseModel] = Spec, above: str = "") -> Iterator[str]:
    """Every key of the spec, dotted."""
    for key, info in model.model_fields.items():
        yield above + key
        if isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel):
            yield from list_keys(info.annotation, f"{above}{key}.")


@pytest.mark.parametrize("key", [*list_keys()])
@pytest.mark.parametrize("null", ["", "~", "null"])
def test_empty_key_is_a_fault_and_no_default(key: str, null: str) -> None:
    steps = key.split(".")
    text = "".join(f"{'  ' * depth}{step}:\n" for depth, step in enumerate(steps))
    [fault] = load(f"{text.rstrip()} {null}\n").faults
    assert (fault.line, fault.key) == (len(steps), key)
    assert fault.title.startswith("empty")
    assert "leave" in f"{fault.title}{fault.hint}" or key.startswith("keys")


def test_raw_keys_of_livekit_may_be_null() -> None:
    assert load("livekit: {webhook: {urls: ~}}").spec.livekit == {"webhook": {"urls": None}}


def test_all_faults_come_together_in_the_order_of_the_file() -> None:
    loaded = load("web: 0\nmedia:\n  udp: x\n  nope: 1\nname: 5\nname: 6\n")
    with pytest.raises(SpecError) as refused:
        loaded.require_sound()
    assert [(fault.line, fault.key) for fault in refused.value.faults] == [
        *((1, "web"), (3, "media.udp"), (4, "media.nope"), (5, "name"), (6, "name"))
    ]
    assert refused.value.exit_code == 2
    assert refused.value.message.splitlines()[-1] == "5 faults in the spec; nothing was changed"


def test_what_is_wrong_has_its_default_so_that_checks_go_on() -> None:
    loaded = load("name: good\nweb: 0\nmedia: {udp: 1, signal: x}\nreach: lan\n")
    assert (loaded.spec.name, loaded.spec.reach, loaded.spec.web) == ("good", "lan", 8080)
    assert (loaded.spec.media.udp[0].start, loaded.spec.media.signal) == (1, 7880)
    assert loaded.broken == {("web",), ("media", "signal")}


def test_part_of_a_wrong_type_is_replaced_as_a_whole() -> None:
    loaded = load("media: 5\nname: a\n")
    assert loaded.broken == {("media",)}
    assert loaded.spec.name == "a"


def test_wrong_item_takes_its_list_with_it() -> None:
    loaded = load("media:\n  interfaces:\n  - 1\n  - eth0\n  - null\n  - wlan0\n")
    assert [(fault.line, fault.key) for fault in loaded.faults] == [
        (3, "media.interfaces[0]"),
        (5, "media.interfaces[2]"),
    ]
    assert loaded.spec.media.interfaces == ()


def test_item_after_one_that_cannot_be_read_keeps_its_number() -> None:
    text = "media:\n  interfaces:\n  - !!int x\n  - 5\n  - eth0\n"
    assert list_faults(text) == [(3, "media.interfaces[0]"), (4, "media.interfaces[1]")]


def test_fault_of_a_default_that_stands_in_is_not_added() -> None:
    loaded = load("web: x\nmedia: 5\n")
    before = list(loaded.faults)
    loaded.add(("web",), value_wrong("is taken"))
    loaded.add(("media", "udp"), value_wrong("is taken"))
    assert loaded.faults == before
    loaded.add(("turn", "udp"), value_wrong("is taken"), "give another")
    assert [(fault.line, fault.key, fault.hint) for fault in loaded.faults[len(before) :]] == [
        (None, "turn.udp", "give another")
    ]


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("nam: x", "did you mean name?"),
        ("media: {udpp: 1}", "did you mean udp?"),
        ("turn: {relays: 1}", "did you mean relay?"),
        ("access: {mode: [open]}", "did you mean modes?"),
        ("access: {roles: {a: {room: [b]}}}", "did you mean rooms?"),
        ("signal: 1", "it belongs at media.signal"),
        ("relay: 1-2", "it belongs at turn.relay"),
        ("media: {web: 1}", "it belongs at web"),
        (
            "rooms: [{match: a, name: b}]",
            "known here: match, capacity, overflow, empty_timeout, departure_timeout, codecs, metadata, agents, roles",
        ),
        ("media: {xyz: 1}", "known here: advertise, udp, tcp, signal, interfaces"),
        ("turn: {xyz: 1}", "known here: enabled, udp, domain, tls, listen, port, relay, external"),
    ],
)
def test_unknown_key_has_a_remedy(text: str, hint: str) -> None:
    [fault] = load(text).faults
    assert fault.hint == hint
    assert fault.title.startswith("unknown key")


def test_unknown_key_stands_on_its_own_line_at_every_level() -> None:
    assert list_faults("a: 1\nmedia:\n  b: 1\nturn:\n\n  c: 1\nkeys:\n  d: 1\n") == [
        *((1, "a"), (3, "media.b"), (6, "turn.c"), (7, "keys"))
    ]


def test_raw_livekit_keys_are_not_judged_here() -> None:
    assert list_faults("livekit: {any: {thing: [1, {x: y}]}}") == []


def test_owned_livekit_keys_are_all_faults_each_on_its_line() -> None:
    text = "livekit:\n  port: 1\n  room: {}\n  rtc:\n    udp_port: 2\n    stun_servers: []\n"
    assert [line for line, _ in list_faults(text)] == [2, 5, 6]


@pytest.mark.parametrize(
    "text",
    [
        *("name: 0x" + "f" * 5000, "version: 0x" + "f" * 5000, "web: 0x" + "f" * 5000, "engine: 0b" + "1" * 60000),
        *('name: "\\ud800"', '"\\ud800": 1', 'media: {"\\udfff": 1}', 'media: {interfaces: ["\\ud800"]}'),
        *("name: .nan", "web: .inf", "web: 1e400", "web: -0.0", "? {}\n: 1", "<<: {name: x}", "media: {<<: {udp: 1}}"),
        *("name: !!binary AAAA", "name: 2001-01-01", "name: !!set {a}", "media: !!omap [udp: 1]", "web: !!float x"),
        *("%YAML 1.1\n---\nweb: 190:20:30", "%YAML 1.1\n---\nturn: {enabled: off}", "name: &a *a", "media: [[[]]]"),
    ],
    ids=lambda text: text[:25],
)
def test_odd_values_are_faults_that_can_be_printed(text: str) -> None:
    loaded = load(text)
    for fault in loaded.faults:
        assert len(str(fault)) < 500
        assert "int_max_str_digits" not in str(fault)


def test_fault_is_one_line_a_person_can_read() -> None:
    """A key is repeated as it is in the text: it must not break the line or control the terminal."""
    for text in ('"a\\nb": 1', '"\\e[2J": 1', 'name: "a\\nb"', 'name: "\\e[2J"', 'media: {advertise: "\\e[2J"}'):
        [fault] = load(text).faults
        assert fault.key.isprintable() or not fault.key
        assert fault.title.isprintable()


def test_long_values_are_shortened() -> None:
    [fault] = load("reach: " + "x" * 1000).faults
    assert len(fault.title) < 120
    [fault] = load("k" * 1000 + ": 1").faults
    assert len(str(fault)) < 400


def test_loaded_spec_shows_no_secret() -> None:
    loaded = load("keys: {source: {key: API, secret: " + "XYZ" * 15 + "}}")
    assert loaded.faults == []
    assert "XYZ" not in repr(loaded)
    assert "XYZ" not in repr(loaded.document)


@pytest.mark.parametrize(
    ("text", "problem", "hint"),
    [
        ("rooms: [{capacity: 3}]", "match is missing", ""),
        ("webhooks: [{events: [room_started]}]", "url is missing", ""),
        ("rooms: {voice: {capacity: 3}}", "a list of mappings is expected", "- match: …"),
        ("webhooks: http://127.0.0.1:9000", "a list of mappings is expected", "- url: …"),
        ("webhooks: [http://127.0.0.1:9000/XYZ]", "webhooks[0]: a mapping of keys is expected", "write {url: …}"),
        ("rooms: [{match: a, agents: [bot]}]", "agents[0]: a mapping of keys is expected", "write {name: …}"),
        ("rooms: [{match: a, capacity: 0}]", "capacity: 0 is less than 1", ""),
        ("rooms: [{match: a, capacity: 10001}]", "capacity: 10001 is more than 10000", ""),
        ("rooms: [{match: a, capacity: many}]", "capacity: many is not a whole number", ""),
        (
            "rooms: [{match: a, capacity: '16'}]",
            "capacity: 16 is in quotes, but a number is expected",
            "without the quotes",
        ),
        (
            "webhooks: [{url: 'https://u:XYZ@a.example'}]",
            "url: has a user or a password, and neither would be sent",
            "",
        ),
        ("webhooks: [{url: 'https://a.example/#x'}]", "url: has a fragment, which would not be sent", ""),
        ("access: {origins: ['*']}", "origins[0]: not the origin of a web page; write https://HOST, one for", ""),
        ("access: {origins: [a.example]}", "origins[0]: not the origin of a web page; write https://HOST, one for", ""),
        ("access: {origins: ['https://*.a.example']}", "origins[0]: not the origin of a web page; write https", ""),
        ("access: {origins: ['https://u:XYZ@a.example']}", "origins[0]: not the origin of a web page; write https", ""),
        ("access: {origins: ['https://a.example/#x']}", "has more than an origin; write https://HOST", ""),
        ("access: {origins: ['https://a.example#']}", "has more than an origin; write https://HOST", ""),
        ("access: {origins: ['https://a.example?']}", "has more than an origin; write https://HOST", ""),
        ("access: {origins: ['https://bücher.example']}", "write the host in ASCII (xn--…)", ""),
        ("access: {open_to_anyone: 'true'}", "open_to_anyone: true is in quotes", "without the quotes"),
        ("rooms: [{match: ''}]", "match: empty; write a pattern of names", ""),
        ("access: {modes: open}", "a list is expected", "[a, b]"),
    ],
)
def test_part_of_a_list_that_is_wrong_is_named(text: str, problem: str, hint: str) -> None:
    [fault] = load(text).faults
    assert problem in str(fault)
    assert hint in fault.hint
    assert "XYZ" not in str(fault)


@pytest.mark.parametrize(
    "text",
    [
        "access: {oidc: {issuer: id.example.com, client_id: lkhub}}",
        "access: {oidc: {issuer: 'https://id.example.com', client_id: 7}}",
        "webhooks: [{url: here}]",
        "rooms: [{match: ''}]",
    ],
)
def test_value_that_is_wrong_is_not_called_missing(text: str) -> None:
    assert len(load(text).faults) == 1
