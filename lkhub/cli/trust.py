"""`lkhub trust`: the root certificate of a hub that certifies itself, and how devices are told to trust it."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from lkhub.cli.shared.options import HubSpec, Json, State
from lkhub.cli.shared.show import out, show_qr
from lkhub.cli.shared.show_json import show_json
from lkhub.errors import ANOTHER, START, InputError, UnwellError
from lkhub.hub.applied import describe_unknown
from lkhub.hub.locate import find_hub
from lkhub.plan.paths import StatePaths
from lkhub.state.applied import AppliedRecord, load_applied
from lkhub.trust import Guide, build_guides, file_name, show_fingerprint, split_fingerprint

if TYPE_CHECKING:
    from lkhub.host.ca import Root


def trust(
    pem: Annotated[bool, typer.Option("--pem", help="Print the root certificate alone, as PEM.")] = False,
    spec: HubSpec = None,
    state: State = None,
    json: Json = False,
) -> None:
    """Show how a device comes to trust this hub, where the hub certifies itself (tls.mode internal).

    Prints the fingerprint of its root certificate, where a device gets it, a QR code that leads a phone there,
    and the steps for each system. Compare the fingerprint on the device before you trust it.
    """
    if pem and json:
        raise InputError("--pem and --json exclude each other")
    paths = find_hub(spec, state)
    applied = _require_own_authority(paths)
    # Imported here: it loads cryptography (20 ms), and `lkhub --help` loads this module too.
    from lkhub.host.ca import read_root

    root = read_root(paths)
    if root is None:
        raise UnwellError(f"the root certificate is missing at {paths.ca_root}", hints=("`lkhub up` makes it",))
    urls: list[str] = list(applied.urls.trust)
    fingerprint = show_fingerprint(root.fingerprint_sha256)
    if pem:
        sys.stdout.write(root.pem)
    elif json:
        show_json(
            {
                "fingerprint": fingerprint,
                "subject": root.subject,
                "not_after": root.not_after.timestamp(),
                "names": list(root.names),
                "urls": urls,
                "path": paths.ca_root,
            }
        )
    else:
        _show_root(root, paths.ca_root, urls)
        _show_steps(applied.name, urls[0])


def _require_own_authority(paths: StatePaths) -> AppliedRecord:
    """The applied record of a hub that certifies itself."""
    applied = load_applied(paths)
    if applied is None:
        raise UnwellError(
            f"this hub has not been up yet: {describe_unknown(paths)}",
            hints=(f"{START}, and makes the root", ANOTHER),
        )
    if not applied.urls.trust:
        hints = ("tls.mode: internal in the spec makes one; certificates of other modes come from elsewhere",)
        raise UnwellError("this hub has no certificate authority of its own", hints=hints)
    return applied


def _show_root(root: "Root", path: str, urls: list[str]) -> None:
    """Aligned rows; a value of several lines has its name beside the first line."""
    rows = {
        "name": [root.subject],
        "good for": [f"{', '.join(root.names)}, and nothing else"],
        "until": [f"{root.not_after:%Y-%m-%d}"],
        "file": [path],
        "open": urls,
        "fingerprint": split_fingerprint(root.fingerprint_sha256),
    }
    width = max(map(len, rows))
    for name, lines in rows.items():
        for number, line in enumerate(lines):
            out.print(Text.assemble("  ", (("" if number else name).ljust(width), "dim"), "  ", line))


def _show_steps(hub: str, url: str) -> None:
    """A QR code for a phone, a command for a terminal, and the steps of each system."""
    sys.stdout.flush()
    show_qr(url)
    file = file_name(hub)
    out.print("On the device, open that address and follow it, or fetch the file in a terminal:\n")
    # Over HTTPS the hub can't be verified yet. The fingerprint tells whether it is the right root.
    flags = "-kfo" if url.startswith("https:") else "-fo"
    out.print(f"    curl {flags} {file} {url}/root.crt")
    for guide in build_guides(hub):
        out.print(f"\n{guide.title}")
        _show_guide(guide)


def _show_guide(guide: Guide) -> None:
    for number, step in enumerate(guide.steps, 1):
        out.print(f"  {f'{number}.' if guide.ordered else '-'} {step.text}")
        for command in step.commands:
            out.print(f"       {command}")
