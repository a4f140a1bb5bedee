"""Findings about web sites that are built. Pure."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from lkhub.findings.catalogue.sites import site_build_failed, site_token_ends, site_token_key
from lkhub.findings.finding import Finding, Fix
from lkhub.plan.service import name_unit
from lkhub.wire.site_build import Builder, name_site_process

KeyState = Literal["current", "retiring", "revoked"]


@dataclass(frozen=True)
class BuiltSite:
    """What is known of a site's last build. `problem` is why it failed, "" where it succeeded, and `lines` are the last
    lines of its output. `served`: visitors get the files of some build. `key` is the ID of the key that the tokens in
    these were signed with, "" where they have none; `key_state` is None where the hub's keys are not known. `until` is
    when the first token ends, in epoch seconds; `due`: that is soon. `missing`: what should have made the build, and
    has not asked for it."""

    name: str
    problem: str = ""
    lines: tuple[str, ...] = ()
    served: bool = True
    key: str = ""
    key_state: KeyState | None = None
    until: float | None = None
    due: bool = False
    missing: Builder = ""


def check_sites(sites: Iterable[BuiltSite], now: datetime) -> Iterator[Finding]:
    """Findings for builds that failed, and for tokens in sites that are good no longer, or will not be soon."""
    for site in sites:
        if site.problem:
            yield site_build_failed(site.name, site.problem, site.served).about(
                site.name,
                detail="\n".join(site.lines),
                fix=(*_find_out(site), Fix("once that is mended, build it again", "lkhub up")),
            )
        if site.key and site.key_state in ("retiring", "revoked"):
            revoked = site.key_state == "revoked"
            yield site_token_key(site.name, site.key, revoked).about(
                site.name, severity="error" if revoked else "warning", fix=(_BUILD,)
            )
        elif site.until is not None and site.due:
            ended = site.until <= now.timestamp()
            when = f"{datetime.fromtimestamp(site.until, UTC):%Y-%m-%d %H:%M %Z}"
            yield site_token_ends(site.name, ended, when).about(
                site.name, severity="error" if ended else "warning", fix=(_BUILD,)
            )


def _find_out(site: BuiltSite) -> tuple[Fix, ...]:
    name = name_site_process(site.name)
    match site.missing:
        case "unit":
            return (
                Fix("see why its unit does not run", f"systemctl status {name_unit(name)}"),
                Fix("write and start the units that are missing", "lkhub install"),
            )
        case "container":
            return (
                Fix("see why its container does not run", f"docker compose logs {name}"),
                Fix(
                    "the compose file may be older than the site: in its folder, write it again, and start what is new",
                    "lkhub render compose -o . && docker compose up --detach --build",
                ),
            )
        case _:
            return (Fix("read its log", f"lkhub logs {name}"),)


_BUILD = Fix("build the site with a new token", "lkhub up")
