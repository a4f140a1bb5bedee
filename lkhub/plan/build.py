"""`Spec` + `NodeFacts` → `Plan`. The one home of defaults that depend on `reach` or on the machine."""

from ipaddress import IPv4Address
from pathlib import PurePath

from lkhub.plan.address import choose_lan_address, list_candidates
from lkhub.plan.facts import NodeFacts
from lkhub.plan.model import (
    DRAIN_SECONDS,
    Door,
    MediaPlan,
    Plan,
    ProbePath,
    ProcessPlan,
    Ready,
    RelayPlan,
    ServePlan,
    Urls,
    in_url,
)
from lkhub.plan.paths import StatePaths
from lkhub.plan.ports import find_collisions, list_listeners
from lkhub.spec.load import LoadedSpec
from lkhub.spec.model import Spec
from lkhub.spec.shown import printable
from lkhub.spec.types import Address

LOOPBACK: Address = IPv4Address("127.0.0.1")
DEFAULT_ICE_TCP = 7881


def build_plan(loaded: LoadedSpec, facts: NodeFacts) -> Plan | None:
    """Decide everything. Faults are added to `loaded`; None where there is no address to build on."""
    spec = loaded.spec
    notes: list[str] = []
    media = _plan_media(loaded, facts, notes)
    if media is None:
        return None
    relay = _plan_relay(spec, media)
    serve = _plan_serve(spec, media)
    listeners = list_listeners(media, relay, serve)
    find_collisions(listeners, loaded)
    paths = StatePaths(facts.state)
    urls = _plan_urls(media, serve)
    return Plan(
        name=spec.name,
        reach=spec.reach,
        paths=paths,
        media=media,
        relay=relay,
        stun=_plan_stun(spec, media, relay),
        serve=serve,
        urls=urls,
        processes=_plan_processes(spec, facts, media, urls, relay is not None),
        listeners=listeners,
        probes=_plan_probes(media, relay),
        livekit=dict(spec.livekit),
        notes=tuple(notes),
        warnings=_warn(spec, serve),
    )


def _plan_media(loaded: LoadedSpec, facts: NodeFacts, notes: list[str]) -> MediaPlan | None:
    spec = loaded.spec
    _check_interfaces(loaded, facts)
    addresses = _check_advertised(loaded, facts)
    interfaces = spec.media.interfaces
    if spec.reach == "local":
        addresses = addresses or (LOOPBACK,)
        interfaces = interfaces or (facts.loopback(),)
    elif not addresses:
        known = tuple(name for name in interfaces if any(name == interface.name for interface in facts.interfaces))
        choice = choose_lan_address(facts, known)
        if choice is None:
            loaded.add(("reach",), *_explain_no_lan(facts))
            return None
        addresses = (choice.address,)
        interfaces = interfaces or (choice.interface,)
        notes.append(f"clients are told {choice.address}, {choice.why}")
        for other in choice.others:
            reason = other.why_not or "set media.advertise to use it"
            notes.append(f"not {other.address} on {other.interface}: {reason}")
    elif not interfaces:
        found = [facts.interface_of(address) for address in addresses]
        interfaces = tuple(dict.fromkeys(interface.name for interface in found if interface))
    tcp = spec.media.tcp
    if tcp is None:
        # LiveKit binds ICE/TCP on every interface: a hub for this machine only must not have it.
        tcp = "off" if spec.reach == "local" else DEFAULT_ICE_TCP
    return MediaPlan(
        advertise=addresses,
        # The hub's own programs reach media and the service on loopback, whatever clients are told.
        bind=addresses if LOOPBACK in addresses else (*addresses, LOOPBACK),
        interfaces=interfaces,
        loopback=spec.reach == "local",
        udp=spec.media.udp,
        tcp=None if tcp == "off" else tcp,
        signal=spec.media.signal,
    )


def _check_interfaces(loaded: LoadedSpec, facts: NodeFacts) -> None:
    known = [interface.name for interface in facts.interfaces]
    for index, name in enumerate(loaded.spec.media.interfaces):
        if name not in known:
            loaded.add(
                ("media", "interfaces", index),
                f"this machine has no interface {printable(name)}",
                f"it has {', '.join(known)}",
            )


def _check_advertised(loaded: LoadedSpec, facts: NodeFacts) -> tuple[Address, ...]:
    """The addresses that the spec names, () for auto. What this machine does not have is a fault."""
    spec = loaded.spec
    if spec.media.advertise == "auto":
        return ()
    for address in spec.media.advertise:
        path = ("media", "advertise")
        if spec.reach == "local" and not address.is_loopback:
            loaded.add(path, f"{address} is not this machine only", "for other devices on this network, set reach: lan")
        elif spec.reach == "lan" and address.is_loopback:
            loaded.add(path, f"{address} is this machine only; no other device can send to it", "write auto")
        elif facts.interface_of(address) is None and not address.is_loopback:
            own = ", ".join(str(candidate.address) for candidate in list_candidates(facts) if not candidate.why_not)
            loaded.add(path, f"{address} is not an address of this machine", f"it has {own or 'no LAN address'}")
    return spec.media.advertise


def _explain_no_lan(facts: NodeFacts) -> tuple[str, str]:
    far = [c for c in list_candidates(facts) if not (c.address.is_loopback or c.address.is_link_local)]
    listed = [f"{c.address} on {c.interface} ({c.why_not or 'not usable'})" for c in far]
    found = "; ".join(listed) or "no address at all"
    return f"no LAN address on this machine: {found}", "connect it to a network, or set media.advertise"


def _plan_relay(spec: Spec, media: MediaPlan) -> RelayPlan | None:
    if not spec.turn.enabled or spec.turn.udp == "off":
        return None
    return RelayPlan(listen=media.advertise, udp=spec.turn.udp, relay=spec.turn.relay)


def _plan_serve(spec: Spec, media: MediaPlan) -> ServePlan:
    hosts = ("localhost", *(in_url(address) for address in media.bind))
    return ServePlan(bind=media.bind, port=spec.web, hosts=hosts, open_tokens=spec.reach == "local")


def _plan_stun(spec: Spec, media: MediaPlan, relay: RelayPlan | None) -> tuple[str, ...]:
    """What livekit.yaml lists as STUN servers, which must never be nothing.

    With no TURN server and no STUN server LiveKit tells clients to ask Google and Twilio
    (roommanager.go, iceServersForParticipant). Without a relay the hub's own media port stands in: it
    answers no STUN, which costs a client nothing (measured).
    """
    if spec.stun != "own":
        return spec.stun
    if relay is not None:
        return ()
    return (f"{in_url(media.advertise[0])}:{media.udp.start}",)


def _plan_urls(media: MediaPlan, serve: ServePlan) -> Urls:
    host = in_url(media.advertise[0])
    web = f"http://{host}:{serve.port}"
    return Urls(
        livekit=f"ws://{host}:{media.signal}",
        web=web,
        api=f"{web}/api",
        local_media=f"http://{LOOPBACK}:{media.signal}",
        local_serve=f"http://{LOOPBACK}:{serve.port}",
    )


def _plan_processes(
    spec: Spec, facts: NodeFacts, media: MediaPlan, urls: Urls, has_relay: bool
) -> tuple[ProcessPlan, ...]:
    drain = f"{DRAIN_SECONDS}s"
    paths = StatePaths(facts.state)
    livekit_yaml, relay_json, serve_json = (paths.render(name) for name in ("livekit.yaml", "relay.json", "serve.json"))
    argv: tuple[str, ...]
    doors: tuple[Door, ...] = ()
    if spec.engine == "bundled":
        control = paths.socket("media")
        argv = (facts.engine, "media", "--config", livekit_yaml, "--control", control, "--drain", drain)
        ready = Ready(socket=control)
        doors = tuple((str(address), media.signal) for address in media.bind)
    else:
        argv = (str(PurePath(facts.folder, spec.engine)), "--config", livekit_yaml)
        ready = Ready(url=f"{urls.local_media}/")
    processes = [ProcessPlan("media", argv, (livekit_yaml, paths.keys, paths.relay_secret), ready, True, doors)]
    if has_relay:
        control = paths.socket("relay")
        argv = (facts.engine, "relay", "--config", relay_json, "--control", control)
        processes.append(ProcessPlan("relay", argv, (relay_json, paths.relay_secret), Ready(socket=control), True))
    argv = (facts.python, "-m", "lkhub", "serve", "--config", serve_json)
    ready = Ready(url=f"{urls.local_serve}/api/hub")
    processes.append(ProcessPlan("serve", argv, (serve_json, paths.keys), ready, False))
    return tuple(processes)


def _plan_probes(media: MediaPlan, relay: RelayPlan | None) -> tuple[ProbePath, ...]:
    paths: list[ProbePath] = ["udp"]
    if media.tcp is not None:
        paths.append("tcp")
    # The probe's library gathers no relay candidate over IPv6 (pion/ice, gather.go).
    if relay is not None and any(address.version == 4 for address in relay.listen):
        paths.append("turn-udp")
    return tuple(paths)


def _warn(spec: Spec, serve: ServePlan) -> tuple[str, ...]:
    if spec.reach != "lan":
        return ()
    return (
        "no TLS yet: browsers on other devices refuse camera and microphone on this hub; "
        f"they work in a browser on this machine, at http://127.0.0.1:{serve.port}, and in native applications",
    )
