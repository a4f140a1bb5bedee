import pytest

from lkhub.plan.build import build_plan
from lkhub.plan.model import Listener, Plan
from lkhub.spec.load import LoadedSpec, load_spec
from tests.machines import INSTALLATION, MACHINES


def plan(text: str, machine: str = "laptop") -> tuple[Plan, LoadedSpec]:
    loaded = load_spec(text.encode())
    built = build_plan(loaded, MACHINES[machine], INSTALLATION)
    assert built is not None
    return built, loaded


def show(listener: Listener) -> str:
    return f"{listener.process} {listener.protocol} {listener.address or '*'}:{listener.ports}"


def list_listening(text: str, machine: str = "laptop") -> list[str]:
    return [show(listener) for listener in plan(text, machine)[0].listeners]


def list_outside(text: str, machine: str = "laptop") -> list[str]:
    built, loaded = plan(text, machine)
    assert loaded.faults == []
    return [show(listener) for listener in built.listeners if listener.client_facing]


def list_faults(text: str) -> list[tuple[int | None, str, str]]:
    return [(fault.line, fault.key, fault.title) for fault in plan(text)[1].faults]


def test_local_hub_binds_loopback_alone() -> None:
    assert list_listening("") == [
        "media udp 127.0.0.1:7882",
        "media tcp 127.0.0.1:7880",
        "relay udp 127.0.0.1:3478",
        "relay udp 127.0.0.1:30000-39999",
        "serve tcp 127.0.0.1:8080",
    ]


def test_lan_hub_binds_media_and_its_edge_and_keeps_the_rest_to_itself() -> None:
    assert list_listening("reach: lan") == [
        "media udp 192.168.1.5:7882",
        "media tcp *:7881",
        "edge tcp 192.168.1.5:443",
        "edge tcp 192.168.1.5:80",
        "edge tcp 127.0.0.1:443",
        "edge tcp 127.0.0.1:80",
        "media tcp 127.0.0.1:7880",
        "relay udp 192.168.1.5:3478",
        "relay udp 192.168.1.5:30000-39999",
        "serve tcp 127.0.0.1:8080",
    ]


def test_public_hub_binds_its_edge_everywhere() -> None:
    """Its address may change under it."""
    assert list_listening("reach: public\ndomain: rtc.example.com", "vps") == [
        "media udp 1.2.3.4:7882",
        "media udp 2600::4:7882",
        "media tcp *:7881",
        "edge tcp *:443",
        "edge tcp *:80",
        "media tcp 127.0.0.1:7880",
        "relay udp 1.2.3.4:3478",
        "relay udp 2600::4:3478",
        "relay udp 1.2.3.4:30000-39999",
        "relay udp 2600::4:30000-39999",
        "serve tcp 127.0.0.1:8080",
    ]


def test_hub_behind_a_nat_binds_its_own_address() -> None:
    listening = list_listening("reach: public\ndomain: rtc.example.com", "home")
    assert "media udp 192.168.1.5:7882" in listening
    assert not [row for row in listening if "1.2.3.4" in row]


def test_single_port_hub_is_443_over_tcp_and_udp() -> None:
    text = "reach: public\ndomain: rtc.example.com\ntls: {http: off}\nmedia: {udp: 443, tcp: off}\nturn: {udp: off}"
    assert list_outside(text, "vps-v4") == ["media udp 1.2.3.4:443", "edge tcp *:443"]


SINGLE = "tls: {http: off}\nmedia: {udp: 443, tcp: off}\nturn: {udp: off}"
EXTERNAL = "reach: lan\ndomain: rtc.example.com\ntls: {mode: external"
CERTIFIED = ", cert: /c.pem, key: /k.pem"


@pytest.mark.parametrize(
    ("text", "machine", "outside"),
    [
        ("", "laptop", []),
        ("media: {tcp: 7881}", "laptop", []),
        ("tls: {mode: internal}", "laptop", []),
        (
            "reach: lan",
            "laptop",
            [
                *("media udp 192.168.1.5:7882", "media tcp *:7881", "edge tcp 192.168.1.5:443"),
                *("edge tcp 192.168.1.5:80", "relay udp 192.168.1.5:3478"),
            ],
        ),
        (
            "reach: lan\ntls: {mode: off}",
            "laptop",
            [
                *("media udp 192.168.1.5:7882", "media tcp *:7881", "media tcp 192.168.1.5:7880"),
                *("relay udp 192.168.1.5:3478", "serve tcp 192.168.1.5:8080"),
            ],
        ),
        (f"reach: lan\n{SINGLE}", "laptop", ["media udp 192.168.1.5:443", "edge tcp 192.168.1.5:443"]),
        (
            f"{EXTERNAL}}}\nmedia: {{tcp: off}}",
            "laptop",
            ["media udp 192.168.1.5:7882", "relay udp 192.168.1.5:3478"],
        ),
        (
            f"{EXTERNAL}, trusted_proxies: [10.0.0.0/8]}}\nmedia: {{tcp: off}}",
            "laptop",
            ["media udp 192.168.1.5:7882", "edge tcp *:7883", "relay udp 192.168.1.5:3478"],
        ),
        (
            f"{EXTERNAL}{CERTIFIED}}}\nmedia: {{tcp: off}}\nturn: {{listen: 5349}}",
            "laptop",
            ["media udp 192.168.1.5:7882", "edge tcp 192.168.1.5:5349", "relay udp 192.168.1.5:3478"],
        ),
        (
            f"{EXTERNAL}}}\nmedia: {{tcp: off}}\nturn: {{listen: 5349, port: 443, domain: turn.example.com}}",
            "laptop",
            ["media udp 192.168.1.5:7882", "relay udp 192.168.1.5:3478"],
        ),
    ],
)
def test_only_what_clients_connect_to_is_open_to_the_outside(text: str, machine: str, outside: list[str]) -> None:
    assert list_outside(text, machine) == outside


def test_relay_ports_and_loopback_are_never_for_the_outside() -> None:
    for text in ("reach: lan", "reach: lan\ntls: {mode: off}", f"{EXTERNAL}}}"):
        for listener in plan(text)[0].listeners:
            if listener.key == ("turn", "relay") or (listener.address and listener.address.is_loopback):
                assert not listener.client_facing, listener


def test_lan_hub_without_tls_binds_its_address_and_loopback_and_ice_tcp_everywhere() -> None:
    assert list_listening("reach: lan\ntls: {mode: off}") == [
        "media udp 192.168.1.5:7882",
        "media tcp *:7881",
        "media tcp 192.168.1.5:7880",
        "media tcp 127.0.0.1:7880",
        "relay udp 192.168.1.5:3478",
        "relay udp 192.168.1.5:30000-39999",
        "serve tcp 192.168.1.5:8080",
        "serve tcp 127.0.0.1:8080",
    ]


def test_what_is_off_does_not_listen() -> None:
    listening = " ".join(list_listening("reach: lan\nmedia: {tcp: off}\nturn: {enabled: false}"))
    assert "7881" not in listening
    assert "relay" not in listening


def test_defaults_do_not_collide() -> None:
    for text in ("", "reach: lan", "reach: lan\ntls: {mode: off}", "tls: {mode: internal}", f"{EXTERNAL}}}"):
        assert list_faults(text) == [], text
    loaded = plan("reach: public\ndomain: rtc.example.com", "vps")[1]
    assert loaded.faults == []


def test_tcp_and_udp_share_a_number() -> None:
    assert list_faults("media: {udp: 7880}\nturn: {udp: 8080}") == []
    assert list_faults("reach: lan\nmedia: {udp: 443}\nturn: {udp: 80}") == []


@pytest.mark.parametrize(
    ("text", "key", "line", "other"),
    [
        ("media: {udp: 3478}", "media.udp", 1, "turn.udp"),
        ("turn: {udp: 7882}", "turn.udp", 1, "media.udp"),
        ("web: 7880", "web", 1, "media.signal"),
        ("media:\n  signal: 8080", "media.signal", 2, "web"),
        ("web: 9000\nmedia: {signal: 9000}", "media.signal", 2, "web"),
        ("media: {signal: 9000}\nweb: 9000", "web", 2, "media.signal"),
        ("reach: lan\nweb: 7881", "web", 2, "media.tcp"),
        ("media: {udp: 35000}", "media.udp", 1, "turn.relay"),
        ("turn: {relay: 7000-8000}", "turn.relay", 1, "media.udp"),
        ("turn:\n  udp: 31000\n  relay: 31000-31000", "turn.relay", 3, "turn.udp"),
        ("reach: lan\nmedia:\n  tcp: 443", "media.tcp", 3, "tls.listen"),
        ("reach: lan\nmedia: {tcp: 80}", "media.tcp", 2, "tls.http"),
        ("reach: lan\ntls: {listen: 8080}", "tls.listen", 2, "web"),
        ("reach: lan\ntls:\n  listen: 8443\n  http: 8443", "tls.http", 4, "tls.listen"),
        ("reach: lan\nweb: 443", "web", 2, "tls.listen"),
        (f"{EXTERNAL}{CERTIFIED}}}\nturn: {{listen: 7883}}", "turn.listen", 4, "tls.listen"),
        (f"{EXTERNAL}{CERTIFIED}}}\nturn: {{listen: 7881}}", "turn.listen", 4, "media.tcp"),
    ],
)
def test_two_things_on_one_port_are_one_fault_at_what_was_written_last(
    text: str, key: str, line: int, other: str
) -> None:
    [(fault_line, fault_key, problem)] = list_faults(text)
    assert (fault_line, fault_key) == (line, key)
    assert f"is taken by {other}" in problem


def test_one_pair_on_many_addresses_is_one_fault() -> None:
    text = "reach: lan\ntls: {mode: off}\nmedia: {advertise: [192.168.1.5, fd00::5]}\nweb: 7880"
    assert len(list_faults(text)) == 1


def test_three_things_on_one_port_are_reported_in_pairs() -> None:
    keys = [
        (key, problem.split()[6])
        for _, key, problem in list_faults("media: {udp: 9000}\nturn: {udp: 9000, relay: 9000}")
    ]
    assert keys == [("turn.udp", "media.udp"), ("turn.relay", "media.udp"), ("turn.relay", "turn.udp")]


@pytest.mark.parametrize(
    "text",
    [
        *("media: {signal: x}\nweb: 7880", "media: 5\nweb: 7880", "turn: 5\nmedia: {udp: 3478}"),
        *("reach: lan\ntls: {listen: x}\nweb: 443", "reach: lan\ntls: 5\nweb: 443"),
    ],
)
def test_default_that_stands_in_for_a_broken_value_collides_with_nothing(text: str) -> None:
    """What the user meant there is not known yet."""
    assert [problem for _, _, problem in list_faults(text) if "is taken" in problem] == []
