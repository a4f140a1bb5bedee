"""LiveKit's RoomConfiguration, as the protocol's own classes read it."""

import contextlib
import json
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict, ParseDict
from hypothesis import given
from hypothesis import strategies as st
from livekit.protocol.room import RoomConfiguration

from lkhub.livekit.room_config import (
    MAX_UINT32,
    MOST_AGENTS,
    MOST_FAULTS,
    AgentDispatch,
    RoomConfig,
    RoomConfigError,
    read_room_config,
)

NUMBERS = st.integers(0, MAX_UINT32)
TEXTS = st.text()  # no surrogates
AGENTS = st.builds(
    AgentDispatch,
    agent_name=TEXTS,
    metadata=TEXTS,
    deployment=st.text("abz09-.é", max_size=32),
    attributes=st.dictionaries(TEXTS, TEXTS, max_size=3),
)
CONFIGS = st.builds(
    RoomConfig,
    name=TEXTS,
    empty_timeout=NUMBERS,
    departure_timeout=NUMBERS,
    max_participants=NUMBERS,
    metadata=TEXTS,
    agents=st.lists(AGENTS, max_size=3).map(tuple),
)

FULL = RoomConfig(
    name="voice",
    empty_timeout=77,
    departure_timeout=2,
    max_participants=16,
    metadata='{"topic": "fish"}',
    agents=(AgentDispatch("helper", "m", "prod", {"agent_name": "kept"}), AgentDispatch()),
)


def test_claim_has_camel_case() -> None:
    assert FULL.as_claim() == {
        "name": "voice",
        "emptyTimeout": 77,
        "departureTimeout": 2,
        "maxParticipants": 16,
        "metadata": '{"topic": "fish"}',
        "agents": [
            {"agentName": "helper", "metadata": "m", "deployment": "prod", "attributes": {"agent_name": "kept"}},
            {},
        ],
    }


def test_request_has_snake_case() -> None:
    assert FULL.as_request() == {
        "name": "voice",
        "empty_timeout": 77,
        "departure_timeout": 2,
        "max_participants": 16,
        "metadata": '{"topic": "fish"}',
        "agents": [
            {"agent_name": "helper", "metadata": "m", "deployment": "prod", "attributes": {"agent_name": "kept"}},
            {},
        ],
    }


def test_defaults_are_left_out() -> None:
    assert RoomConfig().as_claim() == RoomConfig().as_request() == {}
    assert read_room_config({}) == RoomConfig()


@given(CONFIGS)
def test_both_forms_are_read_back(config: RoomConfig) -> None:
    for form in (config.as_claim(), config.as_request()):
        assert read_room_config(json.loads(json.dumps(form))) == config


@given(CONFIGS.filter(lambda config: not any(agent.deployment or agent.attributes for agent in config.agents)))
def test_protocols_own_reader_understands_both_forms(config: RoomConfig) -> None:
    # livekit-protocol for Python has no deployment and no attributes yet.
    for form in (config.as_claim(), config.as_request()):
        assert read_room_config(MessageToDict(ParseDict(form, RoomConfiguration()))) == config


def test_what_livekit_client_sends_is_read() -> None:
    sent = {"agents": [{"agent_name": "helper", "metadata": "m", "deployment": "prod"}]}
    assert read_room_config(sent) == RoomConfig(agents=(AgentDispatch("helper", "m", "prod"),))


def test_null_is_a_field_that_is_not_given() -> None:
    nothing = {"name": None, "emptyTimeout": None, "agents": None, "egress": None}
    assert read_room_config(nothing) == RoomConfig()


EGRESS = "egress: a token does not start recordings: whoever asks for a token could send a call to any address"
NUMBER = f"expected a whole number from 0 to {MAX_UINT32}"

FAULTS: list[tuple[Any, list[str]]] = [
    (None, ["expected an object, not null"]),
    ([], ["expected an object, not a list"]),
    ("lobby", ["expected an object, not text"]),
    (True, ["expected an object, not true or false"]),
    ({"egress": {"room": {"file_outputs": []}}}, [EGRESS]),
    ({"egress": {}}, [EGRESS]),
    ({"syncStreams": True}, ["syncStreams: the hub does not pass this setting on to LiveKit"]),
    ({"tags": {}}, ["tags: the hub does not pass this setting on to LiveKit"]),
    ({"max_participant": 3}, ["max_participant: unknown field; did you mean max_participants?"]),
    ({"\x1b[2J": 3}, ["\\x1b[2J: unknown field"]),
    ({"x" * 1000: 3}, [f"{'x' * 57}…: unknown field"]),
    ({"Metadata": "m"}, ["Metadata: unknown field; did you mean metadata?"]),
    ({"empty_timeout": 1, "emptyTimeout": 1}, ["emptyTimeout: given twice, as empty_timeout and as emptyTimeout"]),
    ({"emptyTimeout": -1}, [f"empty_timeout: {NUMBER}"]),
    ({"departure_timeout": 2**32}, [f"departure_timeout: {NUMBER}"]),
    ({"max_participants": True}, [f"max_participants: {NUMBER}"]),
    ({"max_participants": 1.5}, [f"max_participants: {NUMBER}"]),
    ({"max_participants": "3"}, [f"max_participants: {NUMBER}"]),
    ({"metadata": {"a": 1}}, ["metadata: expected text, not an object"]),
    ({"name": 5}, ["name: expected text, not a number"]),
    ({"metadata": "\ud800"}, ["metadata: has half a character (an unpaired surrogate)"]),
    ({"agents": {}}, ["agents: expected a list, not an object"]),
    ({"agents": ["helper"]}, ["agents[0]: expected an object, not text"]),
    ({"agents": [{}, {"agent": "x"}]}, ["agents[1].agent: unknown field; did you mean agent_name?"]),
    ({"agents": [{"restart_policy": 1}]}, ["agents[0].restart_policy: only LiveKit Cloud has this setting"]),
    ({"agents": [{"attributes": {"a": 1}}]}, ["agents[0].attributes.a: expected text, not a number"]),
    ({"agents": [{"attributes": []}]}, ["agents[0].attributes: expected an object, not a list"]),
    ({"agents": [{"deployment": "é" * 33}]}, ["agents[0].deployment: has more than 64 bytes"]),
    (
        {"agents": [{"deployment": "my_prod"}]},
        ["agents[0].deployment: LiveKit takes no underscore, blank or control character in it"],
    ),
    (
        {"egress": {}, "metadata": 1, "agents": [{"agent_name": []}, 3]},
        [
            EGRESS,
            "agents[0].agent_name: expected text, not a list",
            "agents[1]: expected an object, not a number",
            "metadata: expected text, not a number",
        ],
    ),
]


@pytest.mark.parametrize(("given", "faults"), FAULTS, ids=lambda value: ascii(value)[:40])
def test_all_faults_are_told(given: Any, faults: list[str]) -> None:
    with pytest.raises(RoomConfigError) as raised:
        read_room_config(given)
    assert sorted(raised.value.faults) == sorted(faults)
    assert str(raised.value) == "; ".join(raised.value.faults)


def test_no_caller_has_thousands_of_agents_called() -> None:
    assert len(read_room_config({"agents": [{}] * MOST_AGENTS}).agents) == MOST_AGENTS
    with pytest.raises(RoomConfigError) as raised:
        read_room_config({"agents": [{}] * (MOST_AGENTS + 1)})
    assert raised.value.faults == ("agents: more than 100 agents",)


@pytest.mark.parametrize(
    "given",
    [
        {f"x{number}": 1 for number in range(1000)},
        {"agents": [{"x": 1}] * MOST_AGENTS},
        {"agents": [{"attributes": {str(number): 1 for number in range(1000)}}]},
    ],
    ids=["fields", "agents", "attributes"],
)
def test_some_of_many_faults_are_told(given: Any) -> None:
    with pytest.raises(RoomConfigError) as raised:
        read_room_config(given)
    assert len(raised.value.faults) == MOST_FAULTS + 1
    assert raised.value.faults[-1] == "and more"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(exclude_categories=())),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["agents", "attributes", "metadata", "x"]), inner),
)


@given(JSON)
def test_what_is_not_refused_can_be_written(given: Any) -> None:
    with contextlib.suppress(RoomConfigError):
        json.dumps(read_room_config(given).as_claim(), ensure_ascii=False).encode()
