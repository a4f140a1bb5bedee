"""The traffic of rooms, against a room that is counted person by person."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lkhub.bandwidth.media import CAMERAS, HEADER_BYTES, VOICE, Layer, Traffic
from lkhub.bandwidth.rooms import Rooms

shapes = st.builds(
    Rooms, st.integers(0, 30), st.integers(0, 30), st.integers(1, 9), st.sampled_from(list(CAMERAS))
).filter(lambda rooms: rooms.people > 0)

LAYERS = [layer for layers in CAMERAS.values() for layer in layers]


def count(rooms: Rooms, layer: Layer | None) -> list[tuple[Traffic, Traffic]]:
    """What each person of one room sends and receives."""
    camera = layer.traffic if layer else Traffic()
    people = [(number < rooms.voice, number < rooms.video) for number in range(rooms.people)]
    counted = []
    for me, (speaks, shows) in enumerate(people):
        others = [person for number, person in enumerate(people) if number != me]
        sent = VOICE * speaks + rooms.camera * shows
        received = sum((VOICE * voice + camera * video for voice, video in others), Traffic())
        counted.append((sent, received))
    return counted


@given(shapes)
def test_hub_receives_what_people_send_and_sends_what_they_receive(rooms: Rooms) -> None:
    for layer in rooms.layers:
        people = count(rooms, layer)
        assert rooms.received == sum((sent for sent, _ in people), Traffic()) * rooms.rooms
        assert rooms.sent(layer) == sum((received for _, received in people), Traffic()) * rooms.rooms
        assert rooms.person_sends == max((sent for sent, _ in people), key=lambda traffic: traffic.bits)
        assert rooms.person_receives(layer) == max((got for _, got in people), key=lambda traffic: traffic.bits)


@given(shapes, st.integers(1, 10**10))
def test_uplink_carries_so_many_rooms_and_not_one_more(rooms: Rooms, uplink: int) -> None:
    for layer in rooms.layers:
        carried = rooms.count_carried(layer, uplink)
        one = Rooms(rooms.voice, rooms.video, 1, rooms.resolution).sent(layer).bits
        if carried is None:
            assert one == 0
        else:
            assert one * carried <= uplink < one * (carried + 1)


@given(shapes)
def test_smaller_layers_need_less(rooms: Rooms) -> None:
    sent = [rooms.sent(layer).bits for layer in rooms.layers]
    assert sent == sorted(sent, reverse=True)


def test_one_person_is_sent_nothing() -> None:
    rooms = Rooms(1, 1, 3, "720p")
    assert {rooms.sent(layer) for layer in rooms.layers} == {Traffic()}
    assert rooms.received == (VOICE + rooms.camera) * 3


@pytest.mark.parametrize(("voice", "megabits"), [(2, 0.1), (8, 2.8), (40, 78.0), (80, 316.0)])
def test_sent_voice_grows_with_the_square(voice: int, megabits: float) -> None:
    assert Rooms(voice, 0, 1, "720p").sent(None).bits == megabits * 1_000_000


@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: layer.name)
def test_headers_are_a_small_part_of_a_picture(layer: Layer) -> None:
    """Were a packet's bytes taken for bits, or the reverse, it would be another order of magnitude."""
    assert layer.traffic.bits == layer.bitrate + layer.traffic.packets * HEADER_BYTES * 8
    assert 1.03 < layer.traffic.bits / layer.bitrate < 1.08
    assert layer.traffic.packets % layer.frames == 0


def test_packets_are_those_of_a_measured_load() -> None:
    """1.5 Mbit/s of VP8 were 180 packets/s: three of it and three voices, sent to 40 people, 27,600 packets/s."""
    picture = Layer("1.5 Mbit/s", 1_500_000, 30).traffic
    assert ((picture + VOICE) * 3 * 40).packets == 27_600
