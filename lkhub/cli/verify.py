"""`lkhub verify`: a real call through each path alone."""

import os
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import typer

from lkhub.checks.called import FOREIGN, CalledHub
from lkhub.checks.paths import PathResult, build_request, looks_swapped, read_result
from lkhub.checks.surroundings import UNSEEN, Surroundings
from lkhub.cli.shared.options import HubSpec, Json, State
from lkhub.cli.shared.progress import Progress
from lkhub.cli.shared.show import err, show_detour, show_findings, show_paths, show_unseen
from lkhub.cli.shared.show_json import show_json
from lkhub.errors import EXIT_UNWELL, InputError
from lkhub.findings.finding import DEFAULT_HUB, Finding, Typed
from lkhub.findings.fold import fold
from lkhub.host.files import read_input
from lkhub.hub.applied import require_applied
from lkhub.hub.called import describe_called
from lkhub.hub.gather import refresh_sightings
from lkhub.hub.locate import find_hub, find_typed
from lkhub.hub.probe import run_probe, verify_paths
from lkhub.hub.running import ask_report
from lkhub.hub.status import Verified
from lkhub.hub.surroundings import gather_surroundings
from lkhub.hub.verify import find_hanging, find_in_calls, is_well, verify_hub
from lkhub.plan.model import ALL_PATHS, ProbePath
from lkhub.secret import Secret
from lkhub.shown import printable


def verify(
    path: Annotated[
        list[str] | None, typer.Option(help=f"One of {', '.join(ALL_PATHS)}. Default: all that the spec promises.")
    ] = None,
    url: Annotated[
        str | None,
        typer.Option(
            help="Any LiveKit (ws:// or wss://), with LIVEKIT_API_KEY and LIVEKIT_API_SECRET from the environment."
        ),
    ] = None,
    token_file: Annotated[
        Path | None,
        typer.Option(help="With --url: one or two tokens, one a line, instead of a key. One proves all but media."),
    ] = None,
    spec: HubSpec = None,
    state: State = None,
    json: Json = False,
) -> None:
    """Call this hub, or any LiveKit, through each path alone.

    Calls through this hub are made from this machine, and prove nothing of a firewall between it and others: `outside`
    says when a client on another machine last used the path. Without --path and --url the page of a join link and the
    API are asked for too. Exits 1 where one of them fails, or something keeps clients out.
    """
    paths = _parse_paths(path)
    if url is not None:
        _require_url(url)
    if token_file is not None and url is None:
        raise InputError("--token-file goes with --url")
    called, around, typed = FOREIGN, UNSEEN, DEFAULT_HUB
    hanging: list[Finding] = []
    if url is None:
        hub = find_hub(spec, state)
        applied = require_applied(hub)
        with Progress() as progress:
            around = gather_surroundings(hub, refresh_sightings(hub))
            verified = verify_hub(hub, around, paths, progress=progress)
        url, report, typed = applied.urls.livekit, ask_report(hub), find_typed(hub)
        called = describe_called(applied, report.edge)
        hanging = [each.as_typed(typed) for each in find_hanging(report)]
    elif token_file is not None:
        called = replace(FOREIGN, given_tokens=True)
        verified = Verified(time.time(), _verify_with_tokens(url, token_file, paths or ALL_PATHS))
    else:
        verified = Verified(time.time(), verify_paths(url, paths or ALL_PATHS, *_key_from_environ()))
    show_verified(verified, json, url, called, around, typed, hanging)
    if not is_well(verified, around):
        raise typer.Exit(EXIT_UNWELL)


def show_verified(
    verified: Verified,
    json: bool,
    url: str,
    called: CalledHub,
    around: Surroundings = UNSEEN,
    typed: Typed = DEFAULT_HUB,
    hanging: Sequence[Finding] = (),
) -> None:
    """The verification as a person or, with `json`, a program reads it. `typed`: how commands about this hub
    are typed. `hanging` says which of its processes do not answer."""
    ok, findings = is_well(verified, around), [*hanging, *find_in_calls(verified, called, around, typed)]
    if json:
        shown = verified.as_json()
        rows = [finding.as_json() for finding in findings]
        show_json({"ok": ok, "paths": shown["paths"], "web": shown["web"], "findings": rows})
        return
    show_paths(verified)
    show_detour(verified)
    show_findings(fold(findings))
    if verified.outside:
        show_unseen(verified, url)
    elif ok:
        err.print("this proves the hub from where it was run; routers and firewalls on the way to others are not seen")


def _parse_paths(given: list[str] | None) -> tuple[ProbePath, ...]:
    wrong = [path for path in given or () if path not in ALL_PATHS]
    if wrong:
        raise InputError(f"no such path: {', '.join(wrong)}", hints=(f"one of: {', '.join(ALL_PATHS)}",))
    return tuple(path for path in ALL_PATHS if path in (given or ()))


def _require_url(url: str) -> None:
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("ws", "wss", "http", "https") and bool(parts.hostname) and " " not in url
        good = good and parts.port != 0
    except ValueError:
        good = False
    if not good:
        raise InputError(
            f"--url {printable(url)} is not the address of a LiveKit", hints=("write ws://HOST:PORT or wss://HOST",)
        )


def _key_from_environ() -> tuple[str, Secret]:
    key, secret = (os.environ.get(name, "") for name in ("LIVEKIT_API_KEY", "LIVEKIT_API_SECRET"))
    if not key or not secret:
        raise InputError(
            f"LIVEKIT_API_{'SECRET' if key else 'KEY'} is not set in the environment, or empty",
            hints=("export LIVEKIT_API_KEY and LIVEKIT_API_SECRET, or give --token-file",),
        )
    if looks_swapped(key, secret):
        # A token made with swapped values would carry the secret as its key, which the server and its log could read.
        raise InputError(
            "LIVEKIT_API_KEY is as long as a secret and LIVEKIT_API_SECRET as short as a key: they look swapped",
            hints=("set LIVEKIT_API_KEY to the short one, which mostly begins with API",),
        )
    return key, Secret(secret)


def _verify_with_tokens(url: str, file: Path, paths: tuple[ProbePath, ...]) -> tuple[PathResult, ...]:
    """Given tokens all join the room that they were made for, so the paths are tried one after the other."""
    tokens = read_input(str(file)).decode(errors="replace").split()
    if len(tokens) not in (1, 2):
        raise InputError(f"{file} has {len(tokens)} tokens; one or two are needed, one a line")
    answers = [answer for path in paths for answer in run_probe(build_request(url, {path: tokens}))]
    return tuple(read_result(answer, promised=False) for answer in answers)
