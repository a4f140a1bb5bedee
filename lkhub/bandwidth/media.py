"""What one microphone and one camera send, as assumed by a bandwidth plan.

A camera is what livekit-client publishes by default (2.23, `VideoPresets` and `computeVideoEncodings`).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

# Of each packet of a camera: IPv4 (20 bytes), UDP (8), RTP (12) with its extensions (20, measured in Chromium 156), and
# the authentication tag of SRTP (10).
HEADER_BYTES = 70

# libwebrtc fills a packet of video up to 1,200 bytes, with the header of RTP and the codec's own. Chromium's packets of
# 720p had 1,035 on average.
PAYLOAD_BYTES = 1150


@dataclass(frozen=True)
class Traffic:
    """Bits per second on the wire, with all headers, and packets per second."""

    bits: int = 0
    packets: int = 0

    def __add__(self, other: "Traffic") -> "Traffic":
        return Traffic(self.bits + other.bits, self.packets + other.packets)

    def __mul__(self, times: int) -> "Traffic":
        return Traffic(self.bits * times, self.packets * times)


@dataclass(frozen=True)
class Layer:
    """One quality of a camera: `bitrate` of the encoder in bits per second, and `frames` per second."""

    name: str
    bitrate: int
    frames: int

    @property
    def traffic(self) -> Traffic:
        """All frames have the same size here; each begins a packet."""
        packets = self.frames * math.ceil(self.bitrate / 8 / self.frames / PAYLOAD_BYTES)
        return Traffic(self.bitrate + packets * HEADER_BYTES * 8, packets)


VOICE = Traffic(50_000, 50)
"""A microphone: Opus in packets of 20 ms. The person speaks all the time."""

# Measured in Chromium 156 while a person speaks: Opus at 48 kbit/s, each packet twice (RED), and headers.
UNCONFIGURED_VOICE_BITS = 122_000

_180P, _360P = Layer("180p", 160_000, 20), Layer("360p", 450_000, 20)

CAMERAS: Mapping[str, tuple[Layer, ...]] = {
    "360p": (_360P, _180P),
    "540p": (Layer("540p", 800_000, 25), _360P, _180P),
    "720p": (Layer("720p", 1_700_000, 30), _360P, _180P),
    "1080p": (Layer("1080p", 3_000_000, 30), _360P, _180P),
}
"""The simulcast layers that a camera publishes at each resolution, the largest first."""

DEFAULT_RESOLUTION = "720p"
