"""The STUN servers that clients are told of, and faults for servers that would block their path over UDP."""

from collections.abc import Iterator
from ipaddress import ip_address

from lkhub.findings.catalogue.spec import server_is_media
from lkhub.findings.finding import Edit
from lkhub.plan.model import MediaPlan, RelayPlan, in_url
from lkhub.source.path import Path, dotted
from lkhub.spec.load import LoadedSpec

# IANA's port of STUN and TURN.
_PORT = 3478


def plan_stun(loaded: LoadedSpec, media: MediaPlan, relay: RelayPlan | None) -> tuple[str, ...]:
    """What livekit.yaml lists as STUN servers. With neither a STUN nor a TURN server listed, LiveKit tells clients to
    ask Google and Twilio (roommanager.go, iceServersForParticipant). So without a relay the hub's own address is
    listed, with a port that media does not use. Nothing answers there, which costs a client nothing (measured).

    A server of the spec at media's own port is a fault.
    """
    spec = loaded.spec
    _refuse_media_ports(loaded, media)
    if spec.stun != "own":
        return spec.stun
    if relay is not None or spec.turn.external:
        return ()
    port = next(port for port in (*range(_PORT, 65536), *range(_PORT)) if not _is_medias(media, port))
    return (f"{in_url(media.advertise[0])}:{port}",)


def _refuse_media_ports(loaded: LoadedSpec, media: MediaPlan) -> None:
    """Add a fault for each STUN or TURN server that is media's own port. libwebrtc takes every packet from a server's
    address for an answer of that server, and drops any other packet (p2p/base/stun_port.cc, UDPPort::OnReadPacket; for
    TURN turn_port.cc, TurnPort::HandleIncomingPacket). So browsers and SDKs built on it would get no media over UDP."""
    own = {*map(str, media.advertise), loaded.spec.domain}
    for path, host, port in _list_servers(loaded):
        if _in_one_form(host) in own and _is_medias(media, port):
            hint, edit = "take it out: clients find media without it", Edit(dotted(path), None)
            loaded.add(path, server_is_media(f"{host}:{port}"), hint, edit)


def _is_medias(media: MediaPlan, port: int) -> bool:
    return any(port in each.udp for each in media.ports)


def _in_one_form(host: str) -> str:
    try:
        return str(ip_address(host.strip("[]")))
    except ValueError:
        return host.lower().removesuffix(".")


def _list_servers(loaded: LoadedSpec) -> Iterator[tuple[Path, str, int]]:
    spec = loaded.spec
    for index, server in enumerate(() if spec.stun == "own" else spec.stun):
        host, _, port = server.rpartition(":")
        yield ("stun", index), host, int(port)
    for index, turn in enumerate(spec.turn.external):
        if turn.protocol == "udp":
            yield ("turn", "external", index), turn.host, turn.port
