"""`Spec` + `NetworkFacts` + `Installation` → `Plan`. Defaults that depend on `reach` or on the network are decided here
alone."""

from collections.abc import Iterator

from lkhub.findings.catalogue.choices import dev_key, no_tls
from lkhub.findings.catalogue.spec import value_wrong
from lkhub.findings.finding import Edit, Finding
from lkhub.plan.agents import list_agent_listeners, plan_agent_processes, plan_agents, warn_of_agents
from lkhub.plan.application import plan_application
from lkhub.plan.codecs import warn_of_codecs
from lkhub.plan.edge import list_authorities, list_trust_urls, origin, plan_edge, tls_mode
from lkhub.plan.installation import Installation
from lkhub.plan.leads import is_literal
from lkhub.plan.media import plan_media
from lkhub.plan.model import (
    EdgePlan,
    KeptSecret,
    MediaPlan,
    Plan,
    ProbePath,
    RelayPlan,
    ServePlan,
    TurnServer,
    Urls,
    in_url,
)
from lkhub.plan.network import LOOPBACK, NetworkFacts
from lkhub.plan.paths import StatePaths, name_credential, name_secret
from lkhub.plan.ports import find_collisions, list_listeners
from lkhub.plan.processes import plan_handover, plan_processes
from lkhub.plan.redis import note_redis, plan_redis
from lkhub.plan.sites import list_notes, plan_builds
from lkhub.plan.stun import plan_stun
from lkhub.secret import FromEnv, FromFile, Secret
from lkhub.spec.keys import DEV_KEY, DEV_SECRET
from lkhub.spec.load import LoadedSpec
from lkhub.spec.model import Spec
from lkhub.spec.references import list_references
from lkhub.spec.turn import Login


def build_plan(loaded: LoadedSpec, network: NetworkFacts, installation: Installation) -> Plan | None:
    """Decide everything for one machine, this one or another, from its network and its installation.

    Faults are added to `loaded`; None where there is no address to build on.
    """
    spec = loaded.spec
    notes: list[Finding] = []
    media = plan_media(loaded, network, notes, has_edge=tls_mode(spec) != "off")
    edge = plan_edge(loaded, network, installation, media, notes)
    if media is None or (edge is None and tls_mode(spec) != "off"):
        return None
    relay = _plan_relay(spec, media, edge)
    serve = _plan_serve(loaded, media, edge, installation.paths)
    urls = _plan_urls(spec, media, serve, edge)
    agents = plan_agents(loaded, installation, urls)
    listeners = (*list_listeners(media, relay, serve, edge), *list_agent_listeners(agents))
    find_collisions(listeners, loaded)
    _judge_dev(loaded, media, edge)
    paths = installation.paths
    turn_servers = _plan_turn_servers(spec, paths)
    if edge is not None:
        edge = plan_builds(loaded, edge, urls, serve.application.access, installation)
        notes += list_notes(edge)
    redis = plan_redis(loaded)
    processes, spare = plan_handover(
        plan_processes(spec, installation, media, urls, serve, relay, edge, turn_servers, listeners),
        installation,
        media,
        redis,
    )
    return Plan(
        name=spec.name,
        reach=spec.reach,
        installation=installation,
        media=media,
        relay=relay,
        edge=edge,
        turn_servers=turn_servers,
        stun=plan_stun(loaded, media, relay),
        serve=serve,
        urls=urls,
        processes=(*processes, *plan_agent_processes(agents, installation)),
        listeners=listeners,
        probes=_plan_probes(spec, media, relay),
        resolve=_override_addresses(media, edge),
        livekit=dict(spec.livekit),
        drain=spec.drain,
        secrets=tuple(_list_secrets(spec, installation)),
        written_out=tuple(each.path for each in list_references(spec) if isinstance(each.source, Secret)),
        findings=(
            *notes,
            *_warn(spec, serve, edge),
            *warn_of_codecs(spec),
            *warn_of_agents(agents),
            *note_redis(spec, media),
        ),
        agents=agents,
        redis=redis,
        spare=spare,
    )


def _judge_dev(loaded: LoadedSpec, media: MediaPlan, edge: EdgePlan | None) -> None:
    """Refuse the key that everybody knows where others may reach the hub from the internet: at a public address of this
    machine or its router, by a proxy, or by a name that a public authority certifies."""
    if loaded.spec.keys.source != "dev":
        return
    is_public = any(address.is_global for pair in media.addresses for address in pair)
    if loaded.spec.reach == "public" or is_public or (edge and edge.tls.mode in ("acme", "external")):
        known = value_wrong(f"dev: everybody knows {DEV_KEY} and {DEV_SECRET}, and the internet may reach this hub")
        loaded.add(("keys", "source"), known, "write managed", Edit("keys.source", "managed"))


def _list_secrets(spec: Spec, installation: Installation) -> Iterator[KeptSecret]:
    for reference in list_references(spec):
        match reference.source:
            case FromFile(path):
                yield KeptSecret(name_secret(reference.path), installation.beside_spec(path), name_credential(path))
            case FromEnv(variable):
                yield KeptSecret(name_secret(reference.path), variable=variable)


def _plan_relay(spec: Spec, media: MediaPlan, edge: EdgePlan | None) -> RelayPlan | None:
    udp = None if spec.turn.udp == "off" else spec.turn.udp
    tls = (edge.turn.host, edge.turn.port) if edge and edge.turn else None
    if not spec.turn.enabled or (udp is None and tls is None):
        return None
    return RelayPlan(bind=media.local if udp else (), udp=udp, relay=spec.turn.relay, tls=tls)


def _plan_turn_servers(spec: Spec, paths: StatePaths) -> tuple[TurnServer, ...]:
    servers = []
    for index, given in enumerate(spec.turn.external):
        username = given.auth.username if isinstance(given.auth, Login) else None
        secret_file = paths.turn_secret(index) if username is None else None
        servers.append(TurnServer(given.host, given.port, given.protocol, secret_file, username))
    return tuple(servers)


def _plan_serve(loaded: LoadedSpec, media: MediaPlan, edge: EdgePlan | None, paths: StatePaths) -> ServePlan:
    spec = loaded.spec
    application = plan_application(loaded, paths, has_edge=edge is not None)
    # Without an edge, browsers use the advertised address here. Behind a NAT that is not the bound address.
    told = () if edge else (*map(in_url, media.advertise), *_name_of(spec))
    return ServePlan(
        bind=media.bind,
        port=spec.web,
        hosts=tuple(dict.fromkeys(("localhost", *map(in_url, media.bind), *told))),
        authorities=list_authorities(edge) if edge else (),
        open_tokens=_opens_here(spec, application.access.modes, edge),
        application=application,
    )


def _opens_here(spec: Spec, modes: tuple[str, ...], edge: EdgePlan | None) -> bool:
    """Whether mode `open` is for programs on this machine, and not for everyone who reaches the hub."""
    here = spec.reach == "local" and edge is None and not spec.access.open_to_anyone
    return here and "open" in modes


def _name_of(spec: Spec) -> tuple[str, ...]:
    """The hub's name, if other machines use it."""
    return (spec.domain,) if spec.domain and spec.reach != "local" else ()


def _plan_urls(spec: Spec, media: MediaPlan, serve: ServePlan, edge: EdgePlan | None) -> Urls:
    host = next(iter(_name_of(spec)), in_url(media.advertise[0]))
    web = origin(edge, "http") if edge else f"http://{host}:{serve.port}"
    return Urls(
        livekit=origin(edge, "ws") if edge else f"ws://{host}:{media.signal}",
        web=web,
        api=f"{web}/api",
        local_media=f"http://{LOOPBACK}:{media.signal}",
        local_serve=f"http://{LOOPBACK}:{serve.port}",
        trust=list_trust_urls(edge) if edge else (),
    )


def _plan_probes(spec: Spec, media: MediaPlan, relay: RelayPlan | None) -> tuple[ProbePath, ...]:
    paths: list[ProbePath] = ["udp"]
    others = {server.protocol for server in spec.turn.external}
    if media.tcp is not None:
        paths.append("tcp")
    if "udp" in others or (relay and relay.udp):
        paths.append("turn-udp")
    if "tls" in others or (relay and relay.tls):
        paths.append("turn-tls")
    return tuple(paths)


def _override_addresses(media: MediaPlan, edge: EdgePlan | None) -> dict[str, str]:
    """The resolve overrides: the hub's names and public addresses, each with this machine's own address. A router may
    not lead packets from its own network back in (hairpin), and this machine may not be able to resolve a name."""
    overrides = {str(a.external): str(a.local) for a in media.addresses if a.external != a.local}
    if edge is not None and edge.tls.mode != "external":
        here = str(LOOPBACK if LOOPBACK in edge.bind or not edge.bind else edge.bind[0])
        overrides |= {name: here for name in edge.names if name not in overrides and not is_literal(name)}
    return overrides


def _warn(spec: Spec, serve: ServePlan, edge: EdgePlan | None) -> Iterator[Finding]:
    if spec.reach == "local":
        return
    if edge is None:
        yield no_tls(serve.port).about("tls.mode")
    if spec.keys.source == "dev":
        yield dev_key(DEV_KEY, DEV_SECRET).about("keys.source")
