"""`lkhub render`: the files that follow from a spec, to read or to use elsewhere."""

import difflib
import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from lkhub.cli.shared.firewall_table import load_table
from lkhub.cli.shared.options import Spec, State
from lkhub.cli.shared.show import err
from lkhub.errors import EXIT_UNWELL, InputError
from lkhub.host.files import explain_os_errors, read_text, write_private
from lkhub.hub.locate import find_spec, find_state
from lkhub.plan.model import Plan
from lkhub.prepare.hub import plan_hub, prepare_hub
from lkhub.render.caddy import render_caddy
from lkhub.render.files import RenderedFile
from lkhub.render.firewall.all import FORMS, render_firewall
from lkhub.render.livekit import render_livekit
from lkhub.render.proxy.all import PROXIES, render_proxy
from lkhub.shown import printable


class Target(StrEnum):
    """What can be rendered."""

    livekit = "livekit"
    caddy = "caddy"
    firewall = "firewall"
    proxy = "proxy"


def render(
    target: Annotated[
        Target,
        typer.Argument(
            help="livekit: livekit.yaml. caddy: caddy.json of the edge, which ends TLS. firewall: the ports to open, "
            "in forms that firewalls read. proxy: what goes into the configuration of a proxy in front of the hub."
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="DIR", help="The folder to write to. Default: one file, on stdout."),
    ] = None,
    diff: Annotated[
        bool,
        typer.Option("--diff", help="Show what would change in DIR and write nothing; exits 1 where something would."),
    ] = False,
    form: Annotated[
        str | None, typer.Option("--format", help=f"firewall: one form alone, of {', '.join(FORMS)}.")
    ] = None,
    proxy: Annotated[str | None, typer.Option("--for", help=f"proxy: this one alone, of {', '.join(PROXIES)}.")] = None,
    spec: Spec = None,
    state: State = None,
) -> None:
    """Write the files of a target into a folder.

    They hold no secrets: those stay in the state directory, which the files name.
    """
    if form is not None and (target is not Target.firewall or form not in FORMS):
        raise InputError(f"there is no form {printable(form)}", hints=(f"of firewall: {', '.join(FORMS)}",))
    if proxy is not None and (target is not Target.proxy or proxy not in PROXIES):
        raise InputError(f"there is no {printable(proxy)}", hints=(f"of proxy: {', '.join(PROXIES)}",))
    if target is Target.proxy:
        files = _render_proxy(spec, state, proxy)
    elif target is Target.firewall:
        table, _ = load_table(spec, state)
        # On a terminal the table that people read; in a folder all of them.
        chosen = form or ("text" if output is None else None)
        files = list(FORMS[chosen](table) if chosen else render_firewall(table))
    else:
        plan = prepare_hub(find_spec(spec), find_state(state), os.environ).plan
        files = [render_livekit(plan) if target is Target.livekit else _render_edge(plan)]
    if output is None:
        if diff or len(files) > 1:
            raise InputError("-o DIR is missing", hints=(f"it is written as {' and '.join(f.name for f in files)}",))
        print(files[0].text, end="")
        return
    if diff:
        if _show_difference(files, output):
            raise typer.Exit(EXIT_UNWELL)
        return
    with explain_os_errors(output, "create"):
        output.mkdir(parents=True, exist_ok=True)
    for file in files:
        path = str(output / file.name)
        changed = write_private(path, file.text, file.mode)
        err.print(f"{path}: {'written' if changed else 'unchanged'}")


def _render_edge(plan: Plan) -> RenderedFile:
    if plan.edge is None:
        raise InputError(
            "this hub has tls.mode off, and no edge that would read a caddy.json",
            hints=("write tls.mode: internal, acme, files, tailscale or external in the spec",),
        )
    return render_caddy(plan, plan.edge)


def _render_proxy(spec: Path | None, state: Path | None, only: str | None) -> list[RenderedFile]:
    plan, _ = plan_hub(find_spec(spec), find_state(state))
    if plan.edge is None or plan.edge.tls.mode != "external":
        mode = plan.edge.tls.mode if plan.edge else "off"
        raise InputError(
            f"this hub has tls.mode {mode}, and is not behind a proxy", hints=("write tls.mode: external in the spec",)
        )
    return list(render_proxy(plan, plan.edge, [only] if only else PROXIES))


def _show_difference(files: list[RenderedFile], folder: Path) -> bool:
    """Print a unified diff of what is in the folder against what would be; whether there is one."""
    differs = False
    for file in files:
        path = str(folder / file.name)
        old = (read_text(path) or "").splitlines(keepends=True)
        for line in difflib.unified_diff(old, file.text.splitlines(keepends=True), path, f"{path} (rendered)"):
            print(line, end="")
            differs = True
    return differs
