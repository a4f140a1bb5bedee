"""The children of the supervisor: their arguments, their files, how they tell that they are ready."""

from collections.abc import Iterable

from lkhub.plan.installation import Installation
from lkhub.plan.model import Door, EdgePlan, Listener, MediaPlan, ProcessPlan, Ready, RelayPlan, TurnServer, Urls
from lkhub.plan.paths import StatePaths
from lkhub.spec.model import Spec


def plan_processes(
    spec: Spec,
    installation: Installation,
    media: MediaPlan,
    urls: Urls,
    relay: RelayPlan | None,
    edge: EdgePlan | None,
    turn_servers: Iterable[TurnServer],
    listeners: Iterable[Listener],
) -> tuple[ProcessPlan, ...]:
    """All of them, in the order in which they are told about."""
    paths = installation.paths
    secrets = tuple(server.secret_file for server in turn_servers if server.secret_file)
    processes = [_plan_media(spec, installation, media, urls, paths, secrets)]
    if relay is not None and relay.udp:
        argv, ready = _engine_command(installation, paths, "relay", "relay.json")
        processes.append(ProcessPlan("relay", argv, (paths.render("relay.json"), paths.relay_secret), ready, True))
    serve_json = paths.render("serve.json")
    argv = (installation.python, "-m", "lkhub", "serve", "--config", serve_json)
    ready = Ready(url=f"{urls.local_serve}/api/hub")
    processes.append(ProcessPlan("serve", argv, (serve_json, paths.keys), ready, False))
    if edge is not None:
        argv, ready = _engine_command(installation, paths, "edge", "caddy.json")
        secret_files = [edge.tls.account.key_file] if edge.tls.account else []
        if relay is not None and relay.tls:
            secret_files.append(paths.relay_secret)
        files = (paths.render("caddy.json"), *secret_files)
        watched = tuple(filter(None, (edge.tls.cert, edge.tls.key)))
        doors = _edge_doors(listeners)
        processes.append(ProcessPlan("edge", argv, files, ready, True, doors, reloads=True, watched=watched))
    return tuple(processes)


def _edge_doors(listeners: Iterable[Listener]) -> tuple[Door, ...]:
    """While the edge restarts, clients wait instead of being refused: one that is refused gives its session up and
    joins anew (the Python SDK 1.2.1), and all of them together cost seconds."""
    ours = [listener for listener in listeners if listener.process == "edge" and listener.protocol == "tcp"]
    return tuple((str(listener.address or ""), listener.ports.start) for listener in ours)


def _engine_command(
    installation: Installation, paths: StatePaths, name: str, config: str
) -> tuple[tuple[str, ...], Ready]:
    control = paths.socket(name)
    argv = (installation.engine, name, "--config", paths.render(config), "--control", control)
    return argv, Ready(socket=control)


def _plan_media(
    spec: Spec, installation: Installation, media: MediaPlan, urls: Urls, paths: StatePaths, secrets: tuple[str, ...]
) -> ProcessPlan:
    livekit_yaml = paths.render("livekit.yaml")
    files = (livekit_yaml, paths.keys, paths.relay_secret, *secrets)
    if spec.engine != "bundled":
        argv: tuple[str, ...] = (installation.beside_spec(spec.engine), "--config", livekit_yaml)
        return ProcessPlan("media", argv, files, Ready(url=f"{urls.local_media}/"), True, drain=int(spec.drain))
    argv, ready = _engine_command(installation, paths, "media", "livekit.yaml")
    if not media.one_of_each_family:
        # What livekit.yaml has no words for.
        for address in media.addresses:
            argv += ("--advertise", f"{address.local}={address.external}")
    doors: tuple[Door, ...] = tuple((str(address), media.signal) for address in media.bind)
    return ProcessPlan("media", argv, files, ready, True, doors, drain=int(spec.drain))
