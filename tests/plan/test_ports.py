import pytest

from lkhub.plan.build import build_plan
from lkhub.plan.model import Plan
from lkhub.spec.load import LoadedSpec, load_spec
from tests.machines import make_facts


def plan(text: str) -> tuple[Plan, LoadedSpec]:
    loaded = load_spec(text.encode())
    built = build_plan(loaded, make_facts())
    assert built is not None
    return built, loaded


def list_listening(text: str) -> list[str]:
    return [
        f"{listener.process} {listener.protocol} {listener.address or '*'}:{listener.ports}"
        for listener in plan(text)[0].listeners
    ]


def list_faults(text: str) -> list[tuple[int | None, str, str]]:
    return [(fault.line, fault.key, fault.problem) for fault in plan(text)[1].faults]


def test_local_hub_binds_loopback_alone() -> None:
    assert list_listening("") == [
        "media udp 127.0.0.1:7882",
        "media tcp 127.0.0.1:7880",
        "relay udp 127.0.0.1:3478",
        "relay udp 127.0.0.1:30000-39999",
        "serve tcp 127.0.0.1:8080",
    ]


def test_lan_hub_binds_its_address_and_loopback_and_ice_tcp_everywhere() -> None:
    assert list_listening("reach: lan") == [
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
    assert list_faults("") == list_faults("reach: lan") == []


def test_tcp_and_udp_share_a_number() -> None:
    assert list_faults("media: {udp: 7880}\nturn: {udp: 8080}") == []


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
    ],
)
def test_two_things_on_one_port_are_one_fault_at_what_was_written_last(
    text: str, key: str, line: int, other: str
) -> None:
    [(fault_line, fault_key, problem)] = list_faults(text)
    assert (fault_line, fault_key) == (line, key)
    assert f"is taken by {other}" in problem


def test_one_pair_on_many_addresses_is_one_fault() -> None:
    text = "reach: lan\nmedia: {advertise: [192.168.1.5, fd00::5]}\nweb: 7880"
    assert len(list_faults(text)) == 1


def test_three_things_on_one_port_are_told_in_pairs() -> None:
    keys = [
        (key, problem.split()[6])
        for _, key, problem in list_faults("media: {udp: 9000}\nturn: {udp: 9000, relay: 9000}")
    ]
    assert keys == [("turn.udp", "media.udp"), ("turn.relay", "media.udp"), ("turn.relay", "turn.udp")]


@pytest.mark.parametrize(
    "text", ["media: {signal: x}\nweb: 7880", "media: 5\nweb: 7880", "turn: 5\nmedia: {udp: 3478}"]
)
def test_default_that_stands_in_for_a_broken_value_collides_with_nothing(text: str) -> None:
    """What the user meant there is not known yet."""
    assert [problem for _, _, problem in list_faults(text) if "is taken" in problem] == []
