"""The processes of a hub: the one place that gives them names and roles."""

from collections.abc import Iterable
from dataclasses import replace

from lkhub.plan.installation import Installation
from lkhub.plan.model import (
    EdgePlan,
    Listener,
    MediaPlan,
    MediaPorts,
    RedisPlan,
    RelayPlan,
    ServePlan,
    TurnServer,
    Urls,
)
from lkhub.plan.process import EngineProgram, Handover, Health, HeldSocket, OwnPorts, ProcessPlan, Resumed
from lkhub.spec.model import Spec
from lkhub.wire.site_build import SiteBuild, name_site_file, name_site_process

SECOND_LIVEKIT = "livekit-2.yaml"
"""The configuration of media on its second ports."""

PROCESS_NAMES = ("media", "relay", "serve", "edge")
"""The names of the processes that a hub may have, for commands about a hub that does not run."""


def plan_processes(
    spec: Spec,
    installation: Installation,
    media: MediaPlan,
    urls: Urls,
    serve: ServePlan,
    relay: RelayPlan | None,
    edge: EdgePlan | None,
    turn_servers: Iterable[TurnServer],
    listeners: Iterable[Listener],
) -> tuple[ProcessPlan, ...]:
    """All processes of a hub, in the order in which they are shown."""
    secrets = tuple(server.secret_file for server in turn_servers if server.secret_file)
    processes = [_plan_media(spec, installation, media, urls, secrets)]
    if relay is not None and relay.udp:
        processes.append(_plan_relay(installation))
    processes.append(_plan_serve(installation, urls, serve))
    if edge is not None:
        processes.append(_plan_edge(installation, edge, relay, listeners))
        processes += [_plan_site_build(installation, site.build) for site in edge.sites if site.build]
    return tuple(processes)


def _plan_media(
    spec: Spec, installation: Installation, media: MediaPlan, urls: Urls, secrets: tuple[str, ...]
) -> ProcessPlan:
    paths = installation.paths
    livekit_yaml = paths.render("livekit.yaml")
    bundled = spec.engine == "bundled"
    if bundled:
        argv, health = _engine_command(installation, "media", livekit_yaml)
        if not media.one_of_each_family:
            # livekit.yaml has no key for several addresses of one family.
            for address in media.addresses:
                argv += ("--advertise", f"{address.local}={address.external}")
    else:
        argv = (installation.beside_spec(spec.engine), "--config", livekit_yaml)
        health = Health(url=f"{urls.local_media}/")
    return ProcessPlan(
        name="media",
        argv=argv,
        health=health,
        engine="media" if bundled else "",
        # A livekit-server of the operator's reads its keys at its start alone.
        files=(livekit_yaml, *(() if bundled else (paths.keys,)), paths.relay_secret, *secrets),
        rereads=(paths.keys,) if bundled else (),
        listens=tuple(HeldSocket(str(address), media.signal) for address in media.bind) if bundled else (),
        carries_calls=True,
        knows_participants=True,
        sees_clients=bundled,
        # The edge's clients lose their connection when the edge ends, and connect again by themselves.
        resumes=(Resumed("relay", paths.render("relay.json")),) if bundled else (),
        # Media ends first, so participants that are relayed or connected through the edge stay connected while it
        # drains. Once its calls are over, the relay's allocations and the edge's pages are of no use.
        stop_order=0,
        drain=int(spec.drain),
    )


def plan_handover(
    processes: Iterable[ProcessPlan], installation: Installation, media: MediaPlan, redis: RedisPlan | None
) -> tuple[tuple[ProcessPlan, ...], tuple[ProcessPlan, ...]]:
    """The processes, and those that can take the place of one of them on other ports. Only the bundled engine can be
    told to let another process accept its clients."""
    planned = tuple(processes)
    if redis is None or media.second is None or not any(each.engine == "media" for each in planned):
        return planned, ()
    paths = installation.paths

    def hand_over(plan: ProcessPlan, ports: MediaPorts) -> ProcessPlan:
        own = [OwnPorts("udp", *ports.udp), *([OwnPorts("tcp", ports.tcp, ports.tcp)] if ports.tcp else ())]
        through = f"{redis.url} as {redis.username}" if redis.username else redis.url
        return replace(plan, handover=Handover(through, tuple(own)))

    [plan] = [each for each in planned if each.engine == "media"]
    first = hand_over(plan, media.ports[0])
    config, control = paths.render(SECOND_LIVEKIT), paths.socket("media-2")
    renamed = {paths.render("livekit.yaml"): config, paths.socket("media"): control}
    second = replace(
        hand_over(plan, media.second),
        argv=tuple(renamed.get(word, word) for word in plan.argv),
        health=Health(socket=control),
        files=tuple(renamed.get(file, file) for file in plan.files),
    )
    return tuple(first if each is plan else each for each in planned), (second,)


def _plan_relay(installation: Installation) -> ProcessPlan:
    paths = installation.paths
    config = paths.render("relay.json")
    argv, health = _engine_command(installation, "relay", config)
    return ProcessPlan(
        name="relay",
        argv=argv,
        health=health,
        engine="relay",
        files=(config, paths.relay_secret),
        carries_calls=True,
        sees_clients=True,
    )


def _plan_serve(installation: Installation, urls: Urls, serve: ServePlan) -> ProcessPlan:
    paths = installation.paths
    config = paths.render("serve.json")
    application = serve.application
    secrets = (application.store.password, application.access.oidc.client_secret if application.access.oidc else "")
    return ProcessPlan(
        name="serve",
        # -P: no module is taken from the folder that `lkhub up` was typed in.
        argv=(installation.python, "-P", "-m", "lkhub", "serve", "--config", config),
        # The edge passes API keys, invites and cookies on to whatever listens there, and any user of the machine may
        # listen on a port that is free while the service starts again.
        listens=tuple(HeldSocket(str(address), serve.port) for address in serve.bind),
        health=Health(url=f"{urls.local_serve}/api/hub"),
        # The key file is not among them: it is read for each token that is signed.
        files=(config, *filter(None, secrets)),
    )


def _plan_edge(
    installation: Installation,
    edge: EdgePlan,
    relay: RelayPlan | None,
    listeners: Iterable[Listener],
) -> ProcessPlan:
    paths = installation.paths
    config = paths.render("caddy.json")
    argv, health = _engine_command(installation, "edge", config)
    secrets = [edge.tls.account.key_file] if edge.tls.account else []
    if relay is not None and relay.tls:
        secrets.append(paths.relay_secret)
    return ProcessPlan(
        name="edge",
        argv=argv,
        health=health,
        engine="edge",
        files=(config, *secrets),
        watched=tuple(filter(None, (edge.tls.cert, edge.tls.key))),
        # While the edge restarts, clients wait instead of being refused. A client that is refused gives up its session
        # and joins anew (the Python SDK 1.2.1), and many such joins at once take seconds.
        listens=tuple(
            HeldSocket(str(listener.address or ""), listener.ports.start)
            for listener in listeners
            if listener.process == "edge" and listener.protocol == "tcp"
        ),
        reloads=True,
        carries_calls=True,
        sees_clients=True,
    )


def _plan_site_build(installation: Installation, build: SiteBuild) -> ProcessPlan:
    """Ends when the site is built, or when the build has failed: that is a finding, and the next `up` tries again."""
    config = installation.paths.render(name_site_file(build.name))
    return ProcessPlan(
        name=name_site_process(build.name),
        argv=(installation.python, "-P", "-m", "lkhub", "build-site", "--config", config),
        files=(config,),
        restart="on-failure",
    )


def _engine_command(installation: Installation, program: EngineProgram, config: str) -> tuple[tuple[str, ...], Health]:
    control = installation.paths.socket(program)
    return (installation.engine, program, "--config", config, "--control", control), Health(socket=control)
