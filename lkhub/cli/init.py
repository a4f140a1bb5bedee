"""`lkhub init`: a first hub.yaml, with every key explained."""

import shlex
from collections.abc import Collection
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from lkhub.cli.shared.show import err, name_hub, say
from lkhub.errors import InputError
from lkhub.findings.fault import SpecError
from lkhub.host.files import explain_os_errors, require_own_links
from lkhub.hub.locate import DEFAULT_SPEC, find_paths, find_service
from lkhub.plan.edge import http_port, tls_mode
from lkhub.plan.issuer import choose_issuers
from lkhub.render.spec import render_spec
from lkhub.shown import escape
from lkhub.source.json_text import Json
from lkhub.spec.load import load_spec
from lkhub.spec.model import Spec


class Reach(StrEnum):
    """Who can reach the hub."""

    local = "local"
    lan = "lan"
    public = "public"


_PLACE = "with --spec FILE"

# The hub uses 443/tcp and 443/udp and no other port.
_SINGLE_PORT: dict[str, Json] = {"tls": {"http": "off"}, "media": {"udp": 443, "tcp": "off"}, "turn": {"udp": "off"}}


def init(
    reach: Annotated[
        Reach, typer.Option(help="local: this machine. lan: this network. public: the internet, needs --domain.")
    ] = Reach.local,
    domain: Annotated[str | None, typer.Option(help="The hub's name in the DNS.")] = None,
    single_port: Annotated[
        bool, typer.Option("--single-port", help="One open port number: 443, over TCP and UDP.")
    ] = False,
    name: Annotated[str, typer.Option(help="Name of the hub.")] = "hub",
    force: Annotated[bool, typer.Option("--force", help="Overwrite a spec that is there.")] = False,
    spec: Annotated[
        Path | None,
        typer.Option("--spec", metavar="FILE", help="The spec to write. Default: hub.yaml in this folder."),
    ] = None,
) -> None:
    """Write a commented hub.yaml with every key and its default."""
    for option, given in (("--name", name), ("--domain", domain or "")):
        if not given.isprintable():
            raise InputError(f"{option}: {escape(given)} has a character that can't be shown")
    path = spec or Path(DEFAULT_SPEC)
    require_own_links(str(path))
    with explain_os_errors(path, "look for", _PLACE):
        exists = path.exists()
    if path.is_dir():
        raise InputError(
            f"{path} is a folder", hints=(f"name a file: `--spec {shlex.quote(str(path / DEFAULT_SPEC))}`",)
        )
    if exists and not force:
        raise InputError(f"{path} is there already", hints=("--force overwrites it",))
    if reach is Reach.public and not domain:
        raise InputError("--reach public needs --domain", hints=("add `--domain rtc.example.com`, the hub's name",))
    if single_port and reach is Reach.local:
        raise InputError("--single-port is for a hub that others reach", hints=("add --reach lan or --reach public",))
    chosen = {"name": name, "reach": reach.value, **({"domain": domain} if domain else {})}
    text = render_spec(chosen | (_SINGLE_PORT if single_port else {}))
    written = _load(text, chosen)
    with explain_os_errors(path, "write", _PLACE):
        path.write_text(text)
    # A service has a spec of its own, and takes another one only by its name.
    default = str(path) == DEFAULT_SPEC and find_service(find_paths(None)) is None
    named = "" if default else f" --spec {shlex.quote(str(path))}"
    err.print(name_hub(f"wrote {path}; `lkhub up{named}` makes it run"))
    mode = tls_mode(written)
    if mode == "acme" and (why := choose_issuers(written, mode, http_port(written))[1]):
        say(why.title, "note", "cyan")


def _load(text: str, chosen: Collection[str]) -> Spec:
    """The spec of this text. InputError where an option had a wrong value: `chosen` are the keys that have one. The
    text is in no file yet that a fault could name."""
    try:
        return load_spec(text.encode()).require_sound()
    except SpecError as error:
        if any(fault.key not in chosen for fault in error.faults):
            raise
        told = [f"--{fault.key}: {fault.title}" for fault in error.faults]
        hints = tuple(fault.hint for fault in error.faults if fault.hint)
        raise InputError("\n".join(told), hints=hints) from None
