"""`lkhub render compose`: an image, and a compose file that runs it on the host's network."""

from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import TypeAlias

from lkhub import __version__
from lkhub.plan.container import CONTAINED, PROGRAMS, UID
from lkhub.plan.model import Plan
from lkhub.plan.service import STOP_MARGIN_SECONDS
from lkhub.render.files import RenderedFile
from lkhub.render.targets.image import render_image
from lkhub.render.targets.target import Given, Target
from lkhub.render.yaml_text import dump_yaml
from lkhub.source.json_text import Json

Service: TypeAlias = dict[str, Json]

HUB = "hub"

HEADER = f"""\
# Written by `lkhub render compose`. The folder of this file is the spec's folder: hub.yaml is beside it, and files that
# the spec names by a relative path. The hub runs as the user {UID}, who has to be able to read them.
"""

# `lkhub` in the image gives all of these up but the first, when it becomes the hub's user.
CAPABILITIES = ("NET_BIND_SERVICE", "SETGID", "SETPCAP", "SETUID")

TAILSCALED = "/var/run/tailscale"
"""The folder of tailscaled's socket. A mounted socket would be gone after the daemon's restart."""


def render_compose(plan: Plan) -> RenderedFile:
    """The compose file of a hub of this installation."""
    services = {HUB: _describe_hub(plan)}
    secrets = {secret.name: {"file": _find_source(secret.file)} for secret in plan.secrets if secret.file}
    data: dict[str, Json] = {
        "services": {name: _escape(service) for name, service in services.items()},
        "volumes": {"state": None},
        **({"secrets": _escape(secrets)} if secrets else {}),
    }
    return RenderedFile("compose.yaml", HEADER + dump_yaml(data), 0o644)


def _describe_hub(plan: Plan) -> Service:
    service: Service = {
        "build": ".",
        "image": f"lkhub:{__version__}",
        # Participants send to the addresses of this machine, and a call has ports that no list could name.
        "network_mode": "host",
        "read_only": True,
        "tmpfs": ["/tmp"],  # noqa: S108
        "cap_drop": ["ALL"],
        "cap_add": [*CAPABILITIES],
        "security_opt": ["no-new-privileges:true"],
        "restart": "unless-stopped",
        "stop_grace_period": f"{plan.drain + STOP_MARGIN_SECONDS}s",
        "volumes": [f"state:{CONTAINED.state}", f".:{CONTAINED.folder}:ro", *map(_mount, _list_outside(plan))],
    }
    if variables := sorted({secret.variable for secret in plan.secrets if secret.variable}):
        service["environment"] = [*variables]
    if files := [secret.name for secret in plan.secrets if secret.file]:
        service["secrets"] = [*files]
    return service


def _list_outside(plan: Plan) -> Iterator[str]:
    """What the hub needs of this machine besides the spec's folder and its secrets: absolute paths."""
    tls = plan.edge.tls if plan.edge else None
    if tls and tls.mode == "tailscale":
        yield TAILSCALED
    if tls and tls.cert:
        # A certificate is replaced while the hub runs, and a mounted file would stay the old one.
        folders = {_find_folder(path) for path in (tls.cert, tls.key)}
        yield from sorted(folder for folder in folders if not _is_beside(folder))
    yield from sorted({folder for folder in _list_sites(plan) if not _is_beside(folder)})
    for program in sorted({process.argv[0] for process in plan.processes}):
        if not program.startswith(f"{PROGRAMS}/") and not _is_beside(program):
            yield program


def _list_sites(plan: Plan) -> Iterator[str]:
    """The folders that the hub reads its web sites from. What a build makes is in the volume of the state."""
    for site in plan.edge.sites if plan.edge else ():
        yield site.build.project if site.build else site.root


def _find_folder(path: str) -> str:
    """The folder to mount for a certificate. certbot's `live/NAME` has links to `archive/NAME`."""
    folder = PurePosixPath(path).parent
    return str(folder.parent.parent if folder.parent.name == "live" else folder)


def _is_beside(path: str) -> bool:
    return PurePosixPath(path).is_relative_to(CONTAINED.folder)


def _mount(path: str) -> str:
    return f"{path}:{path}:ro"


def _find_source(file: str) -> str:
    """Where a file of the container is on this machine."""
    return f"./{PurePosixPath(file).relative_to(CONTAINED.folder)}" if _is_beside(file) else file


def _escape(data: Json) -> Json:
    """The data with `$`, which begins a variable in a compose file, doubled."""
    match data:
        case str():
            return data.replace("$", "$$")
        case list():
            return [_escape(item) for item in data]
        case dict():
            return {name: _escape(value) for name, value in data.items()}
    return data


def _render(plan: Plan, _: Given, __: str | None) -> tuple[RenderedFile, ...]:
    return (render_compose(plan), *render_image())


COMPOSE = Target(
    "compose",
    "a compose file and a Dockerfile, for a hub in a container on the host's network.",
    _render,
    installation=CONTAINED,
    agents=False,
)
